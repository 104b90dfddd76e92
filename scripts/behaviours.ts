/**
 * Which numbered behaviours have a test and a description: `npm run behaviours`.
 *
 * Without arguments it holds that every number that the title of a test cites is described in docs/behaviours, and every
 * number described there is cited. With ranges (`npm run behaviours -- R1-R31 R84`) it lists what they lack of either.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import ts from "typescript"
import { filesIn, root } from "./files.js"

/** The numbers cited by a text: `R10`, `D4.1.12`, `B-3`, and ranges such as `R10-R14`. */
const numbersIn = (text: string): ReadonlyArray<string> => [
  ...[...text.matchAll(/\b[BW]-\d+\b|\bD\d+(?:\.\d+)+\b/g)].map(([number]) => number),
  ...[...text.matchAll(/\b([CRT])(\d+)(?:\s*(?:-|–|\.\.)\s*\1(\d+))?\b/g)].flatMap(([, letter, first, last]) => {
    const from = Number(first)
    return Array.from({ length: Number(last ?? first) - from + 1 }, (_, offset) => `${letter}${from + offset}`)
  })
]

/** The titles of the tests in a file: the first argument of `it(...)`, `it.effect(...)`, `describe.each(...)(...)`. */
const titlesOf = (file: string): ReadonlyArray<string> => {
  const text = readFileSync(join(root, file), "utf8")
  const titles: Array<string> = []
  const visit = (node: ts.Node): void => {
    const title = ts.isCallExpression(node) ? node.arguments[0] : undefined
    if (
      ts.isCallExpression(node) && title !== undefined && /^(it|test|describe)\b/.test(node.expression.getText()) &&
      (ts.isStringLiteralLike(title) || ts.isTemplateExpression(title))
    ) {
      titles.push(title.getText())
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true))
  return titles
}

const tested = new Set(
  filesIn("test", ".test.ts").flatMap((file) => titlesOf(file)).flatMap((title) => numbersIn(title))
)
const described = new Set(
  filesIn("docs/behaviours", ".md").flatMap((file) => numbersIn(readFileSync(join(root, file), "utf8")))
)

const ranges = process.argv.slice(2)
const wanted = ranges.length === 0 ? [...new Set([...tested, ...described])].sort() : numbersIn(ranges.join(" "))
const untested = wanted.filter((number) => !tested.has(number))
const undescribed = wanted.filter((number) => !described.has(number))
const line = (what: string, missing: ReadonlyArray<string>): string =>
  `${what}: ${wanted.length - missing.length} of ${wanted.length}` +
  (missing.length === 0 ? "" : `; missing ${missing.join(", ")}`)
console.log(line("cited by the title of a test", untested))
console.log(line("described in docs/behaviours", undescribed))
if (ranges.length === 0 && untested.length + undescribed.length > 0) process.exitCode = 1
