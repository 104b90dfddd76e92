/**
 * The text by which somebody outside names an attempt and shows that it was handed to him: which attempt it is, which logs
 * may tell, and a secret of 128 random bits, which the journal keeps for as long as the attempt is pending.
 */
import { randomBytes, timingSafeEqual } from "node:crypto"
import type { AttemptId } from "../../Journal.js"

export const encode = ({ attempt, command, runId }: AttemptId, secret: string): string =>
  `${runId}/${command}/${attempt}/${secret}`

export const decode = (token: string): { readonly id: AttemptId; readonly secret: string } | undefined => {
  const [, runId, command, attempt, secret] = /^(.+)\/([1-9]\d{0,14})\/([1-9]\d{0,14})\/([0-9a-f]{32})$/.exec(token) ??
    []
  return runId === undefined || secret === undefined
    ? undefined
    : { id: { runId, command: Number(command), attempt: Number(attempt) }, secret }
}

/** A new secret. It never comes from a program's own chance, which may be seeded. */
export const makeSecret = (): string => randomBytes(16).toString("hex")

/** Compares two secrets in a time that tells nothing of where they differ. */
export const isSame = (one: string, other: string): boolean =>
  one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other))
