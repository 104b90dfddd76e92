/**
 * Runs one benchmark: `npm run bench -- NAME` runs bench/NAME.bench.ts. Without a name, lists them.
 */
import { readdirSync } from "node:fs"
import { fileURLToPath } from "node:url"

const ending = ".bench.ts"
const names = readdirSync(fileURLToPath(new URL(".", import.meta.url)))
  .filter((file) => file.endsWith(ending))
  .map((file) => file.slice(0, -ending.length))
const name = process.argv[2]

if (name !== undefined && names.includes(name)) {
  await import(new URL(`./${name}${ending}`, import.meta.url).href)
} else {
  if (name !== undefined) {
    console.error(`there is no benchmark called "${name}"`)
    process.exitCode = 1
  }
  console.log("npm run bench -- NAME, where NAME is one of:")
  for (const each of names) console.log(`  ${each}`)
}
