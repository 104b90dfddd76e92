/**
 * A TCP relay between clients and a server, which can lose what passes: so connections break where a test wants them to.
 */
import { Effect } from "effect"
import { connect, createServer, type Socket } from "node:net"

/** What happens to a message of a client that contains a text. */
export type Loss =
  /** The connection breaks, and the server never sees the message. */
  | "request"
  /** The server gets the message, and the connection breaks when it answers. */
  | "answer"

export interface Relay {
  readonly port: number
  /** Loses the next message that contains the text. */
  readonly loseNext: (text: string, loss: Loss) => void
  /** Decides for each message that contains the text. */
  readonly loseSome: (text: string, decide: () => Loss | undefined) => void
  /** How many connections were broken. */
  readonly broken: () => number
}

export const relay = (host: string, port: number) =>
  Effect.acquireRelease(
    Effect.async<Relay & { readonly close: () => void }>((resume) => {
      let broken = 0
      let decide: (message: Buffer) => Loss | undefined = () => undefined
      const sockets = new Set<Socket>()
      const server = createServer((client) => {
        const upstream = connect(port, host)
        let loseAnswer = false
        const end = (): void => {
          client.destroy()
          upstream.destroy()
        }
        for (const socket of [client, upstream]) {
          sockets.add(socket)
          socket.on("error", end)
          socket.on("close", () => {
            sockets.delete(socket)
            end()
          })
        }
        client.on("data", (message) => {
          const loss = decide(message)
          if (loss === "request") {
            broken++
            return end()
          }
          loseAnswer = loss === "answer"
          upstream.write(message)
        })
        upstream.on("data", (message) => {
          if (!loseAnswer) return void client.write(message)
          broken++
          end()
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed({
          port: typeof address === "object" && address !== null ? address.port : 0,
          broken: () => broken,
          loseNext: (text, loss) => {
            let lost = false
            decide = (message) => {
              if (lost || !message.includes(text)) return undefined
              lost = true
              return loss
            }
          },
          loseSome: (text, each) => {
            decide = (message) => message.includes(text) ? each() : undefined
          },
          close: () => {
            for (const socket of sockets) socket.destroy()
            server.close()
          }
        }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )
