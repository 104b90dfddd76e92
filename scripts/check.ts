/**
 * The quick checks, two at a time, in seconds: `npm run check`.
 */
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { delimiter, join } from "node:path"
import { root } from "./files.js"

/** Scripts of package.json; the slow ones first. */
const parts = ["typecheck", "diagnostics", "imports", "exports", "docstrings", "lint", "format:check"]

const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>
}
const env = { ...process.env, PATH: `${join(root, "node_modules/.bin")}${delimiter}${process.env["PATH"] ?? ""}` }

/** Runs one part to its end and says how it went. */
const run = (part: string) =>
  new Promise<void>((resolve) => {
    const started = performance.now()
    const output: Array<string> = []
    const child = spawn(scripts[part] ?? "false", { cwd: root, env, shell: true, stdio: ["ignore", "pipe", "pipe"] })
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => output.push(String(chunk)))
    child.on("close", (code) => {
      const seconds = ((performance.now() - started) / 1000).toFixed(1)
      if (code !== 0) console.log(output.join("").trimEnd())
      console.log(`${part.padEnd(14)} ${seconds.padStart(5)} s  ${code === 0 ? "ok" : "FAILED"}`)
      if (code !== 0) process.exitCode = 1
      resolve()
    })
  })

const pending = parts.values()
const work = async () => {
  for (const part of pending) await run(part)
}
await Promise.all([work(), work()])
