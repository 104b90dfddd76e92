/**
 * The last word of a continuous-integration run: the test runner's own count, from the report it wrote.
 *
 * Fails when a test failed, when a file of tests could not be loaded, or when nothing ran. Plain JavaScript, so that it
 * has an answer even where nothing could be installed.
 */
import { existsSync, readFileSync } from "node:fs"

const file = new URL("../.tmp/test-results.json", import.meta.url)
const results = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined

const unloaded = results?.testResults.filter((each) => each.status === "failed" && each.assertionResults.length === 0)
const passed = results?.numPassedTests ?? 0
const failed = (results?.numFailedTests ?? 0) + (unloaded?.length ?? 0)
const skipped = (results?.numPendingTests ?? 0) + (results?.numTodoTests ?? 0)

for (const each of unloaded ?? []) console.log(`could not be loaded, and counts as one failure: ${each.name}`)
if (skipped > 0) console.log(`${skipped} skipped`)
console.log(`${passed} passed, ${failed} failed`)
if (results?.success !== true || failed > 0 || passed === 0) process.exitCode = 1
