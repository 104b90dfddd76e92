/**
 * A PostgreSQL server for the tests: that of `HOLDFAST_TEST_POSTGRES_URL`, or one from npm that lives as long as they run.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  export interface ProvidedContext {
    /** The database `postgres` of the server, as a superuser. */
    readonly postgresUrl: string
  }
}

const program = fileURLToPath(new URL("./postgresProcess.ts", import.meta.url))

export default async ({ provide }: TestProject): Promise<(() => Promise<void>) | undefined> => {
  const given = process.env["HOLDFAST_TEST_POSTGRES_URL"]
  if (given !== undefined) {
    provide("postgresUrl", given)
    return undefined
  }
  const server = spawn(process.execPath, ["--import", "tsx", program], { stdio: ["pipe", "pipe", "inherit"] })
  const ended = once(server, "exit").then(([code]) => {
    throw new Error(`the PostgreSQL server of the tests did not start (exit code ${String(code)})`)
  })
  const [url] = await Promise.race([once(createInterface(server.stdout), "line"), ended])
  // From here on its end is none of a test's business.
  ended.catch(() => {})
  provide("postgresUrl", String(url))
  return async () => {
    server.stdin.end()
    await ended.catch(() => {})
  }
}
