/**
 * Type-checks every `ts` code block of README.md, docs/ and the docstrings of src: `npm run docs`.
 *
 * Each block is a module of its own, and imports `holdfast/...` as a user does. A block whose fence says `ts continued`
 * goes on where the block before it stopped. Generated modules keep the line numbers of what they come from, so that an
 * error points at the text that a reader sees.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import ts from "typescript"
import { filesIn, report, root } from "./files.js"

const out = join(root, ".tmp/docs")
const problems: Array<string> = []

/** The modules in a text: for each, its code at the lines where it stands in the text. */
const modulesOf = (file: string, lines: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> => {
  const modules: Array<Array<string>> = []
  let open: Array<string> | undefined
  for (const [index, line] of lines.entries()) {
    const fence = /^\s*```(.*)$/.exec(line)
    if (fence === null) {
      if (open !== undefined) open[index] = line
    } else if (open !== undefined) {
      open = undefined
    } else if (fence[1] === "ts") {
      modules.push(open = [])
    } else if (fence[1] === "ts continued") {
      open = modules.at(-1)
      if (open === undefined) problems.push(`${file}:${index + 1}: no block before it to continue`)
    } else {
      // A block of another language: skipped to its end.
      open = []
    }
  }
  return modules
}

/** A source file with everything but the text of its docstrings blanked. */
const docstrings = (text: string): ReadonlyArray<string> => {
  let inside = false
  return text.split("\n").map((line) => {
    if (!inside && !/^\s*\/\*\*/.test(line)) return ""
    inside = !line.includes("*/")
    return line.replace(/^\s*(\/\*\*|\*\/|\* ?)/, "").replace(/\*\/\s*$/, "")
  })
}

rmSync(out, { recursive: true, force: true })
const origin = new Map<string, string>()
const add = (file: string, lines: ReadonlyArray<string>): void => {
  for (const [index, module] of modulesOf(file, lines).entries()) {
    const path = join(out, file, `${index + 1}.ts`)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, Array.from(module, (line) => line ?? "").join("\n") + "\nexport {}\n")
    origin.set(path, file)
  }
}

for (const file of ["README.md", "CONTRIBUTING.md", ...filesIn("docs", ".md")]) {
  add(file, readFileSync(join(root, file), "utf8").split("\n"))
}
for (const file of filesIn("src", ".ts")) {
  const lines = docstrings(readFileSync(join(root, file), "utf8"))
  add(file, lines)
  for (const [index, line] of lines.entries()) {
    if (line.trim() === "@example" && lines[index + 1]?.trim() !== "```ts") {
      problems.push(`${file}:${index + 1}: an @example is followed by a \`ts\` code block`)
    }
  }
}

const configFile = join(root, "tsconfig.json")
const config = ts.parseJsonConfigFileContent(ts.readConfigFile(configFile, ts.sys.readFile).config, ts.sys, root)
const program = ts.createProgram([...origin.keys()], {
  ...config.options,
  configFilePath: configFile,
  noUnusedLocals: false,
  noUnusedParameters: false
})
for (const path of origin.keys()) {
  const source = program.getSourceFile(path)
  if (source === undefined) throw new Error(`${path} was not loaded`)
  for (
    const { messageText, start } of [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source)
    ]
  ) {
    const line = source.getLineAndCharacterOfPosition(start ?? 0).line + 1
    problems.push(
      `${origin.get(path) ?? relative(root, path)}:${line}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`
    )
  }
}

report(problems, `${origin.size} code blocks type-check`)
