/** What is wrong with a history, whatever its workflow does. */
import { type Event, isClosing } from "../../../src/Workflow/Event.js"

/** One end for each activity, one answer for each command, and nothing after the end. */
export const problemsIn = (history: ReadonlyArray<Event>): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const answered = new Set<number>()
  const commands = new Set<number>()
  history.forEach((event, i) => {
    if (i > 0 && isClosing(history[i - 1]!)) problems.push(`${event._tag} after the end`)
    if (event.seq !== i + 1) problems.push(`event ${event.seq} stands at ${i + 1}`)
    if ("command" in event) {
      if (event.command !== commands.size + 1) problems.push(`command ${event.command} after ${commands.size}`)
      commands.add(event.command)
    } else if ("target" in event && event._tag !== "AttemptFailed") {
      if (!commands.has(event.target)) problems.push(`${event._tag} of ${event.target}, which nobody has asked for`)
      if (answered.has(event.target)) problems.push(`${event._tag}: a second answer to ${event.target}`)
      answered.add(event.target)
    }
  })
  return problems
}
