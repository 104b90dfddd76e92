import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))

describe("README, documents and docstrings", () => {
  it("show code that type-checks against the package as it is (W-61)", () => {
    const { status, stderr, stdout } = spawnSync("npm", ["run", "--silent", "docs"], { cwd: root, encoding: "utf8" })
    assert.strictEqual(status, 0, `${stdout}${stderr}`)
    assert.match(stdout, /\d+ code blocks type-check/)
  }, 120_000)
})
