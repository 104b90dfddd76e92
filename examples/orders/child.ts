/**
 * Both ends of a child process: how `main.ts` starts one, and how the child speaks to it. See `npm run demo`.
 *
 * A child writes one message per line to its standard output, as JSON. It lives no longer than its parent: the scope
 * that started it kills it, and should the parent die without closing its scopes, the child notices that its standard
 * input has ended.
 */
import { Command, type CommandExecutor, type Error } from "@effect/platform"
import { NodeStream } from "@effect/platform-node"
import { Console, Data, Effect, Logger, type ParseResult, Schema, type Scope, Stream } from "effect"
import { fileURLToPath } from "node:url"

/** A child process has ended though nobody has killed it. */
export class ChildGone extends Data.TaggedError("ChildGone")<{ readonly file: string; readonly how: string }> {
  override get message(): string {
    return `the process of ${this.file} is gone: ${this.how}`
  }
}

export interface Child<A> {
  readonly pid: number
  readonly messages: Stream.Stream<A, Error.PlatformError | ParseResult.ParseError>
  /** Kills it as a power cut would, and waits until it is gone. */
  readonly kill: Effect.Effect<void>
  /** Waits until it has ended. */
  readonly gone: Effect.Effect<never, ChildGone>
}

/** Starts a file of this folder as a process of its own, for the length of the scope. */
export const start = <A, I>(
  file: string,
  args: ReadonlyArray<string>,
  message: Schema.Schema<A, I>
): Effect.Effect<Child<A>, Error.PlatformError, CommandExecutor.CommandExecutor | Scope.Scope> =>
  Effect.gen(function*() {
    const path = fileURLToPath(new URL(file, import.meta.url))
    const child = yield* Command.make(process.execPath, "--import", "tsx", path, ...args).pipe(
      Command.stderr("inherit"),
      Command.start
    )
    const kill = Effect.ignore(child.kill("SIGKILL"))
    yield* Effect.addFinalizer(() => Effect.whenEffect(kill, Effect.orDie(child.isRunning)))
    return {
      pid: child.pid,
      messages: child.stdout.pipe(
        Stream.decodeText(),
        Stream.splitLines,
        Stream.mapEffect(Schema.decode(Schema.parseJson(message)))
      ),
      kill,
      gone: Effect.matchEffect(child.exitCode, {
        onSuccess: (code) => new ChildGone({ file, how: `exit code ${code}` }),
        onFailure: ({ message }) => new ChildGone({ file, how: message })
      })
    }
  })

/** In the child: says something to the parent. It has been handed to the operating system when this ends. */
export const say = <A, I>(message: Schema.Schema<A, I>): (value: A) => Effect.Effect<void> => {
  const encode = Schema.encodeSync(Schema.parseJson(message))
  return (value) => Console.log(encode(value))
}

/** In the child: runs an effect for as long as the parent lives. */
export const whileParentLives = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A | void, E, R> =>
  Effect.raceFirst(effect, Effect.ignore(Stream.runDrain(NodeStream.stdin)))

/** In the child: log lines belong on standard error, since standard output is for messages. */
export const LogToStderr = Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.logfmtLogger))
