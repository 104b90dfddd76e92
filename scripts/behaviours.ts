/**
 * Which numbered behaviours have a test and a description: `npm run behaviours`, and at the end of `npm test`.
 *
 * Holds that every number of the ranges below is cited by the title of a test and described in docs/behaviours, and that
 * what is cited is described and the other way round. With ranges (`npm run behaviours -- R1-R31 R84`) it looks at those.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import ts from "typescript"
import { filesIn, root } from "./files.js"

/**
 * The numbers cited by a text: `R10`, `T74a`, `B-3`, `D4.1.12`, and ranges such as `R10-R14`, `W-1..W-8` or
 * `D4.1.1..D4.1.8`.
 */
const numbersIn = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/\b([BW]-|D(?:\d+\.)+|[CGLRST])(\d+)([ab]?)(?:\s*(?:-|–|\.\.)\s*\1(\d+))?\b/g)].flatMap(
    ([, prefix, first, suffix, last]) => {
      const from = Number(first)
      return Array.from(
        { length: Number(last ?? first) - from + 1 },
        (_, offset) => `${prefix}${from + offset}${suffix}`
      )
      // There are twenty rules of lint; a limit of 40 is none of them.
    }
  ).filter((number) => !/^L(?:2[1-9]|[3-9]\d|\d{3,})$/.test(number))

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

/** What is promised as a whole, so that a gap in it is a mistake. */
const promised: ReadonlyArray<readonly [what: string, ranges: string]> = [
  ["calls and retries", "R1-R31"],
  ["circuit breaker", "R84-R107"],
  ["rate limiter", "R109-R121"],
  ["bulkhead and gates", "R122 R123 R125-R132"],
  ["fallback, hedge, shed, batch, presets", "R135-R148"],
  ["lint rules", "L1-L20"],
  ["what every store of a journal does", "C1-C43 D2.1..D2.21"],
  [
    "the code of a workflow",
    "D4.1.1..D4.1.13 D4.2.1..D4.2.4 D4.3.1..D4.3.4 D4.4.1..D4.4.5 D4.5.1..D4.5.5 D4.6.1..D4.6.4"
  ],
  ["signals, ends, children", "D4.7.1..D4.7.7 D4.8.1..D4.8.5 D4.9.1..D4.9.9 D4.10.1 D4.10.2 D4.11.1 D4.11.2"],
  ["activities, engine, replay, test kit", "D5.1..D5.19 D6.1..D6.13 D7.1..D7.10 D8.1..D8.8"],
  ["scenarios", "T1-T73 T74a T74b T75-T159 G1-G10 S1-S3"],
  ["mistakes not made", "W-1..W-40 W-42..W-62"],
  ["what is better", "B-1..B-23"]
]

let gaps = 0
const report = (what: string, wanted: ReadonlyArray<string>): void => {
  const lacking = (present: ReadonlySet<string>) => wanted.filter((number) => !present.has(number))
  const [untested, undescribed] = [lacking(tested), lacking(described)]
  gaps += untested.length + undescribed.length
  console.log(
    `${what}: ${wanted.length - untested.length} of ${wanted.length} have a test` +
      (untested.length === 0 ? "" : `; none for ${untested.join(", ")}`) +
      (undescribed.length === 0 ? "" : `; not described: ${undescribed.join(", ")}`)
  )
}

const asked = process.argv.slice(2)
if (asked.length > 0) {
  for (const ranges of asked) report(ranges, numbersIn(ranges))
} else {
  for (const [what, ranges] of promised) report(`${ranges} ${what}`, numbersIn(ranges))
  report("all numbers that are cited or described", [...new Set([...tested, ...described])].sort())
}
if (gaps > 0) process.exitCode = 1
