import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const isCI = process.env["CI"] !== undefined

export default defineConfig({
  resolve: {
    alias: [{ find: /^holdfast\/(.*)$/, replacement: fileURLToPath(new URL("./src/$1", import.meta.url)) }]
  },
  test: {
    include: ["test/**/*.test.ts"],
    setupFiles: ["test/setup.ts"],
    globalSetup: ["test/support/postgres.setup.ts"],
    // Files of tests share nothing: each has a process of its own, with the garbage collector at hand for heap tests.
    pool: "forks",
    poolOptions: { forks: { execArgv: ["--expose-gc"] } },
    minWorkers: 1,
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // Effect has a clock of its own to stop; the real one goes on.
    fakeTimers: { toFake: [] },
    testTimeout: 20_000,
    reporters: isCI ? ["default", "json"] : ["default"],
    outputFile: { json: ".tmp/test-results.json" }
  }
})
