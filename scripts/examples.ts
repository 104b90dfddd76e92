/**
 * Runs every example to its end, one after another: `npm run examples`.
 *
 * An example is examples/NAME.ts or examples/NAME/main.ts. Each is told by CI=true to keep it short, and fails by its
 * exit code or by taking longer than a minute.
 */
import { spawnSync } from "node:child_process"
import { basename, dirname, join } from "node:path"
import { filesIn, report, root } from "./files.js"

const examples = filesIn("examples", ".ts").filter((file) =>
  dirname(file) === "examples" || (basename(file) === "main.ts" && dirname(dirname(file)) === "examples")
)
const problems: Array<string> = []

for (const file of examples) {
  const started = performance.now()
  const run = spawnSync(join(root, "node_modules/.bin/tsx"), [file], {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, CI: "true" },
    timeout: 60_000,
    maxBuffer: 1 << 28
  })
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`${file}: ${run.status === 0 ? "ended well" : "failed"} after ${seconds} s`)
  if (run.status !== 0) {
    const reason = run.error?.message ?? `exit code ${run.status ?? run.signal}`
    problems.push(`${file}: ${reason}\n${run.stdout}${run.stderr}`)
  }
}

if (examples.length === 0) problems.push("there is no example to run")
report(problems, `${examples.length} examples ran`)
