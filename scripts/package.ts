/**
 * Packs what would be published and has it judged: `npm run build && npm run package`.
 *
 * Besides publint and attw it holds that every declaration of the package leads to a source that ships with it.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, rmSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { filesIn, report, root } from "./files.js"
import { packed, tarball } from "./tarball.js"

const problems: Array<string> = []
const run = (command: string, ...args: ReadonlyArray<string>): void => {
  const { status } = spawnSync(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] })
  if (status !== 0) problems.push(`${command} ${args.join(" ")}: failed`)
}

rmSync(join(root, packed), { recursive: true, force: true })
mkdirSync(join(root, packed), { recursive: true })
run("npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", packed)
run("npx", "publint", "run", tarball(), "--strict")
run("npx", "attw", tarball(), "--profile", "esm-only", "--no-definitely-typed", "--no-emoji", "--format", "ascii")

const listed = spawnSync("tar", ["-tzf", tarball()], { encoding: "utf8" }).stdout.split("\n")
const shipped = new Set(listed.map((entry) => entry.replace(/^package\//, "")))
const declarations = filesIn("dist", ".d.ts")
for (const declaration of declarations) {
  const map = JSON.parse(readFileSync(join(root, `${declaration}.map`), "utf8")) as { readonly sources: Array<string> }
  for (
    const file of [
      declaration,
      ...map.sources.map((source) => relative(root, join(root, dirname(declaration), source)))
    ]
  ) {
    if (!shipped.has(file)) problems.push(`${file}: is not in the package`)
  }
}
if (declarations.length === 0) problems.push("dist holds no declarations")

report(problems, `the package holds ${declarations.length} modules, each with its source`)
