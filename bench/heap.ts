/**
 * The heap in use, after everything that nobody holds has been collected.
 */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

export const heapInUse = (): number => {
  collect()
  return process.memoryUsage().heapUsed
}
