/**
 * Effect's own diagnostics over the whole project, warnings included: `npm run diagnostics`.
 *
 * `src` is held to the rules of tsconfig.json. Where a few of them have no sense, the table says which.
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

/**
 * What runs through the stages of a call has no types there: they are stated where a combinator is made, and held by type
 * tests.
 */
const untyped = ["anyUnknownInErrorContext"]

/** The rules that are not asked of a folder. Programs that are not built on Effect are asked none. */
const relaxed: Readonly<Record<string, ReadonlyArray<string> | "all">> = {
  "src/internal": untyped,
  "src/Schedule": untyped,
  "src/Circuit": untyped,
  "src/Call": untyped,
  "src/Preset": untyped,
  examples: ["importFromBarrel"],
  test: ["importFromBarrel", "deterministicKeys", "strictEffectProvide", ...untyped, ...realWorld],
  bench: ["importFromBarrel", "deterministicKeys", "strictEffectProvide", ...untyped, ...realWorld],
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
  const rules = Object.entries(relaxed).find(([folder]) => file.startsWith(`${folder}/`))?.[1] ?? []
  return diagnostic.severity === "message" || rules === "all" || rules.includes(diagnostic.name)
    ? []
    : [`${file}:${diagnostic.line}:${diagnostic.column}: ${diagnostic.name}: ${diagnostic.message}`]
})

report(problems, `Effect's diagnostics hold in ${output.summary.filesChecked} files`)
