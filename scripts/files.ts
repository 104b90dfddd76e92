import { existsSync, readdirSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"

/** The root of the repository. */
export const root = join(dirname(fileURLToPath(import.meta.url)), "..")

/** Every file below `directory` whose name ends in `ending`, relative to the root, sorted. */
export const filesIn = (directory: string, ending: string): ReadonlyArray<string> => {
  const absolute = join(root, directory)
  if (!existsSync(absolute)) return []
  const entries = readdirSync(absolute, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith(ending))
  return files.map((file) => relative(root, join(file.parentPath, file.name))).sort()
}

/** Ends a check: prints what is wrong and fails, or prints what held. */
export const report = (problems: ReadonlyArray<string>, held: string): void => {
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) {
    console.error(`${problems.length} ${problems.length === 1 ? "problem" : "problems"}`)
    process.exitCode = 1
  } else {
    console.log(held)
  }
}
