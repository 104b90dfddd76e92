/**
 * Sheds the less important calls first, as many as the gates further in would turn away.
 */
import type * as Exit from "effect/Exit"
import { nowOf } from "../../../internal/now.js"
import type { Runner, Ticket } from "../gate/gate.js"
import { classes, levelCount, levelsOf, levelsPerClass, priorityOf, rankOf } from "../gate/priority.js"
import { randomOf } from "../gate/withinStep.js"
import { levelOfUser, rejectionRate, thresholdFor } from "./priorityShedding.js"
import { type Shed, Shedder } from "./shedder.js"
import { Usage } from "./usage.js"

export interface Settings {
  readonly everyMillis: number
  /** `null` where the level within a class is drawn at random. */
  readonly usageWindowMillis: number | null
  readonly maxUsers: number
}

export class PriorityShedder extends Shedder {
  private threshold = 0
  private startedAt = -Infinity
  private passed = 0
  private notRun = 0
  private shedNow = 0
  private levels = noLevels()
  /** Calls that may be of any level of their class, by class. */
  private anyOf = noClasses()
  private levelsBefore: ReadonlyArray<number> = noLevels()
  private readonly usage: Usage | undefined

  constructor(key: string, private readonly settings: Settings) {
    const { everyMillis, maxUsers, usageWindowMillis } = settings
    super(key, "priority", { everyMillis, usageWindowMillis, maxUsers: usageWindowMillis === null ? null : maxUsers })
    if (usageWindowMillis !== null) this.usage = new Usage(usageWindowMillis, maxUsers)
  }

  admit(fiber: Runner): Ticket<Shed> | Exit.Exit<never, Shed> {
    const now = nowOf(fiber)
    if (now - this.startedAt >= this.settings.everyMillis) this.calibrate(now)
    const priority = priorityOf(fiber)
    const { highest, lowest } = levelsOf(priority.class)
    const level = priority.level ?? this.levelOf(priority.user, lowest)
    if (level === undefined) this.anyOf[rankOf(priority.class)]!++
    else this.levels[level]!++
    if (this.isBelow(level, lowest, highest, fiber)) {
      this.shedNow++
      return this.shed("priority", this.startedAt + this.settings.everyMillis - now)
    }
    this.passed++
    return this.usage === undefined || priority.user === undefined
      ? this.ticket
      : new UserTicket(this, priority.user, now)
  }

  /** A user's call has run for so long. */
  used(user: string, millis: number): void {
    // A call that takes no time at all is a call even so.
    this.usage?.add(user, Math.max(1, millis))
  }

  /** A gate further in has turned a call away, or it has given up waiting there. */
  readonly didNotRun = (): void => {
    this.notRun++
  }

  protected look() {
    return { shedding: this.threshold > 0, inflight: 0, waiting: 0, threshold: this.threshold }
  }

  private readonly ticket: Ticket<never> = { _tag: "Ticket", settle: () => {}, refund: this.didNotRun }

  /** The level of a call within its class; `undefined` where any is as good. */
  private levelOf(user: string | undefined, lowest: number): number | undefined {
    return this.usage === undefined || user === undefined
      ? undefined
      : levelOfUser(lowest, this.usage.quantileOf(user))
  }

  /** A number is drawn only where it decides. */
  private isBelow(level: number | undefined, lowest: number, highest: number, fiber: Runner): boolean {
    const { threshold } = this
    if (level !== undefined) return level < threshold
    return highest < threshold ||
      (lowest < threshold && lowest + Math.floor(randomOf(fiber) * levelsPerClass) < threshold)
  }

  private calibrate(now: number): void {
    const { anyOf, levels, levelsBefore, notRun, passed, shedNow: shed } = this
    const current = levels.map((calls, level) => calls + anyOf[Math.floor(level / levelsPerClass)]! / levelsPerClass)
    // A whole period without a call: there is no load any more.
    const isOver = now - this.startedAt >= 2 * this.settings.everyMillis
    this.threshold = isOver ? 0 : thresholdFor(
      rejectionRate({ notRun, passed, shed }),
      current.map((calls, level) => calls + levelsBefore[level]!)
    )
    this.usage?.compare(now)
    this.levelsBefore = current
    this.levels = noLevels()
    this.anyOf = noClasses()
    this.passed = this.notRun = this.shedNow = 0
    this.startedAt = now
    this.snapshot.touch()
  }
}

class UserTicket implements Ticket<never> {
  readonly _tag = "Ticket"
  constructor(
    private readonly shedder: PriorityShedder,
    private readonly user: string,
    private readonly startedAt: number
  ) {}
  settle(_exit: Exit.Exit<unknown, unknown>, fiber: Runner): void {
    this.shedder.used(this.user, nowOf(fiber) - this.startedAt)
  }
  refund(): void {
    this.shedder.didNotRun()
  }
}

const noLevels = (): Array<number> => Array.from({ length: levelCount }, () => 0)
const noClasses = (): Array<number> => classes.map(() => 0)
