/**
 * The text by which somebody outside names an attempt.
 */
import type { AttemptId } from "../Journal.js"
import type { AttemptInfo } from "./attempt.js"

export const encode = ({ attempt, idempotencyKey }: AttemptInfo): string => `${idempotencyKey}/${attempt}`

export const decode = (token: string): AttemptId | undefined => {
  const [, runId, command, attempt] = /^(.+)\/([1-9]\d{0,14})\/([1-9]\d{0,14})$/.exec(token) ?? []
  return runId === undefined ? undefined : { runId, command: Number(command), attempt: Number(attempt) }
}
