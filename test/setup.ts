/**
 * Property tests draw anew in each run, so that they look further with every one; a run of continuous integration draws
 * the same each time, so that a change is judged by itself.
 */
import * as fc from "effect/FastCheck"

if (process.env["CI"] !== undefined) fc.configureGlobal({ seed: 20_261_121 })
