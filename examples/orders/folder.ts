/**
 * Where the journal of the demo lies, and the client that its customers use. See `npm run demo`.
 */
import { FileSystem } from "@effect/platform"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Cause, Console, Context, Effect, Exit, Layer } from "effect"
import { Client, Journal } from "holdfast/Workflow"

export class Folder extends Context.Tag("holdfast/examples/orders/folder")<Folder, {
  readonly path: string
  /** The SQLite file that all processes share. */
  readonly journal: string
}>() {}

/** A temporary folder. It stays when the demo has failed, for whoever wants to know why. */
export const FolderLive = Layer.scoped(
  Folder,
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const path = yield* Effect.acquireRelease(
      files.makeTempDirectory({ prefix: "holdfast-demo-" }),
      (path, exit) =>
        Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause)
          ? Console.error(`The journal is kept in ${path}`)
          : Effect.orDie(files.remove(path, { recursive: true }))
    )
    return { path, journal: `${path}/orders.db` }
  })
)

/** A client needs the journal and no engine: this process starts orders, and none of their code runs in it. */
export const ClientLive = Layer.unwrapEffect(Effect.map(Folder, ({ journal }) =>
  Client.layer.pipe(
    Layer.provide(Journal.layerSql({ pollInterval: "50 millis" })),
    Layer.provide(SqliteClient.layer({ filename: journal }))
  )))
