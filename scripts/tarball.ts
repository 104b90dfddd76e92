import { join } from "node:path"
import { filesIn, root } from "./files.js"

/** Where the packed package is put. */
export const packed = ".tmp/pack"

/** The packed package, as `npm run package` left it. */
export const tarball = (): string => {
  const [file, ...more] = filesIn(packed, ".tgz")
  if (file === undefined || more.length > 0) throw new Error("run `npm run build && npm run package` first")
  return join(root, file)
}
