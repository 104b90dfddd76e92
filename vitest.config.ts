import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

export default defineConfig({
  resolve: {
    alias: [{ find: /^holdfast\/(.*)$/, replacement: fileURLToPath(new URL("./src/$1", import.meta.url)) }]
  },
  test: {
    include: ["test/**/*.test.ts"],
    fakeTimers: { toFake: [] },
    testTimeout: 20_000
  }
})
