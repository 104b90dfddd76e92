/**
 * Errors that are made often and carry their whole meaning in their fields: the stack would be most of their cost.
 */

/** Makes an error without recording where. */
export const stackless = <E extends Error>(make: () => E): E => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return make()
  } finally {
    Error.stackTraceLimit = limit
  }
}
