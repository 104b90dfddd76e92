/**
 * Effect's own diagnostics over the whole project, warnings included: `npm run diagnostics`.
 *
 * `src` is held to every rule of tsconfig.json. Elsewhere a few rules have no sense, and the table says which.
 */
import { spawnSync } from "node:child_process"
import { join, relative } from "node:path"
import { report, root } from "./files.js"

const realWorld = [
  "globalDate",
  "globalDateInEffect",
  "globalRandom",
  "globalRandomInEffect",
  "globalTimers",
  "globalTimersInEffect",
  "globalConsole",
  "globalConsoleInEffect",
  "newPromise",
  "asyncFunction"
]

/** The rules that are not asked of a folder. Programs that are not built on Effect are asked none. */
const relaxed: Readonly<Record<string, ReadonlyArray<string> | "all">> = {
  examples: ["importFromBarrel"],
  test: ["importFromBarrel", "deterministicKeys", "strictEffectProvide", ...realWorld],
  bench: ["importFromBarrel", "deterministicKeys", "strictEffectProvide", ...realWorld],
  scripts: "all"
}

interface Diagnostic {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly severity: string
  readonly name: string
  readonly message: string
}

const binary = join(root, "node_modules/.bin/effect-language-service")
const run = spawnSync(binary, ["diagnostics", "--project", join(root, "tsconfig.json"), "--format", "json"], {
  encoding: "utf8",
  maxBuffer: 1 << 28
})
const output = JSON.parse(run.stdout.slice(run.stdout.indexOf("{"))) as {
  readonly diagnostics: ReadonlyArray<Diagnostic>
  readonly summary: { readonly filesChecked: number }
}

const problems = output.diagnostics.flatMap((diagnostic) => {
  const file = relative(root, diagnostic.file)
  const rules = relaxed[file.split("/")[0] ?? ""] ?? []
  return diagnostic.severity === "message" || rules === "all" || rules.includes(diagnostic.name)
    ? []
    : [`${file}:${diagnostic.line}:${diagnostic.column}: ${diagnostic.name}: ${diagnostic.message}`]
})

report(problems, `Effect's diagnostics hold in ${output.summary.filesChecked} files`)
