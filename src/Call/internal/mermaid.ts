/**
 * Descriptions as a Mermaid flowchart (https://mermaid.js.org/syntax/flowchart.html).
 */
import type { Description } from "../../Combinator.js"

/** One box for each combinator, from the caller to what is called. */
export const mermaid = (descriptions: ReadonlyArray<Description>): string => {
  const boxes = descriptions.map((description, index) => `  p${index}["${labelOf(description)}"]`)
  const path = ["caller", ...descriptions.map((_, index) => `p${index}`), "effect"].join(" --> ")
  return ["flowchart LR", "  caller([caller])", ...boxes, "  effect([effect])", `  ${path}`].join("\n")
}

const labelOf = ({ key, policy, settings }: Description): string =>
  [
    key === undefined ? policy : `${policy} ${key}`,
    // What is nested (rules, hosts), off or without a limit has no room in a box; `describe` has it.
    ...Object.entries(settings).filter(([, value]) => typeof value !== "object" && value !== false).map(
      ([name, value]) => `${name}: ${String(value)}`
    )
  ].map(escape).join("<br/>")

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("\"", "&quot;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
