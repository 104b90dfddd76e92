/**
 * The behaviours of every store, by what they are about.
 */
import { attempts } from "./attempts.js"
import type { Theme } from "./behaviour.js"
import { children } from "./children.js"
import { claims } from "./claims.js"
import { endings } from "./ends.js"
import { families } from "./families.js"
import { groups } from "./groups.js"
import { histories } from "./histories.js"
import { links, sends } from "./links.js"
import { lists } from "./lists.js"
import { messages } from "./messages.js"
import { owners } from "./owners.js"
import { pending } from "./pending.js"
import { queues } from "./queues.js"
import { workersAndBacklog } from "./services.js"
import { starts } from "./starts.js"
import { waiting } from "./waiting.js"

export const themes: ReadonlyArray<Theme> = [
  starts,
  histories,
  owners,
  endings,
  messages,
  pending,
  attempts,
  queues,
  claims,
  children,
  families,
  sends,
  links,
  lists,
  groups,
  waiting,
  workersAndBacklog
]
