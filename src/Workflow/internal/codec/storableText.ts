/**
 * Ids and names, as every journal can keep them: not empty, without NUL, which PostgreSQL refuses, and without half a
 * surrogate pair, which becomes another character in UTF-8, so that two ids would be one.
 */
import type { reader } from "../../../InvalidOptions.js"

const isStorable = (text: string): boolean => text !== "" && !/\0|\p{Surrogate}/u.test(text)

const expected = "a text that is not empty and holds neither NUL nor half a surrogate pair"

/** Throws `InvalidOptions` for a name that cannot be kept. */
export const checkName = (read: ReturnType<typeof reader>, option: string, name: string): void => {
  if (!isStorable(name)) read.refuse(option, name, expected)
}

/** What is wrong with an id. */
export const idProblem = (id: string): string | undefined =>
  isStorable(id) ? undefined : `its id ${JSON.stringify(id)} must be ${expected}`
