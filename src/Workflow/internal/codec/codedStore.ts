/**
 * A store whose user data goes through a codec, in and out.
 *
 * Where user data stands is read from the schema of the events: every field that holds a payload (text or `null`), by
 * whatever name, and the free texts named below. So an event of a new kind needs no line here. What is not an event (an
 * entry, a record, a receipt) is looked through for events, for payloads, and for why a run is blocked.
 *
 * ```text
 *   writer ──entries──▶ encode ──▶ store.write ──▶ receipts ──▶ decode, which never fails
 *   reader ◀── decode, or a JournalError that names run and event ◀── store.history, latest, closed
 * ```
 *
 * What a write or a claim gives back has happened already, so its decoding must not make it fail: it would be done twice.
 * What cannot be read is left out there, and whoever needs it meets the error when he reads it.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as AST from "effect/SchemaAST"
import type { Codec } from "../../Codec.js"
import { Event } from "../../Event.js"
import type { Claimed, JournalStore, PendingActivity, Written } from "../../Journal.js"
import { type CodecError, JournalError } from "../../WorkflowError.js"
import { decode, encode, endOf, isEnvelope } from "./envelope.js"

/** The store as it is seen through the codec. A method that is missing here does not compile. */
export const codedStore = (store: JournalStore, codec: Codec): JournalStore => {
  const reading = (text: string) => decode(codec, text)

  const read = <A>(read: Effect.Effect<A, JournalError>, where: string): Effect.Effect<A, JournalError> =>
    Effect.flatMap(read, (stored) => {
      const { copy, values } = opened(stored, where, isEnvelope)
      return values.length === 0 ? Exit.succeed(stored) : Effect.as(each(values, reading, orFail), copy)
    })

  const readOption = <A>(found: Effect.Effect<Option.Option<A>, JournalError>, where: string) =>
    Effect.flatMap(
      found,
      Option.match({
        onNone: () => Effect.succeedNone,
        onSome: (stored) => Effect.asSome(read(Exit.succeed(stored), where))
      })
    )

  const readOrLeaveOut = <A>(stored: A, where: string, written?: ReadonlyMap<string, string>): Effect.Effect<A> => {
    const { copy, lists, values } = opened(stored, where, isEnvelope)
    if (values.length === 0) return Exit.succeed(stored)
    return Effect.map(
      each(values, (text) => {
        const plain = written?.get(text)
        return plain === undefined ? reading(text) : Exit.succeed(plain)
      }, orLeaveOut),
      () => {
        for (const list of lists) list.splice(0, list.length, ...list.filter((item) => item !== undefined))
        return copy
      }
    )
  }

  return {
    write: codec.steps.length === 0 ? store.write : (entries) => {
      const { copy, values } = opened(entries, "an entry", isAny)
      const written = new Map<string, string>()
      const writing = (text: string) => encode(codec, text)
      return each(values, writing, orFail, (plain, stored) => written.set(stored, plain)).pipe(
        Effect.mapError((error) => new JournalError({ reason: "Write", detail: error.detail, cause: error.cause })),
        Effect.zipRight(Effect.suspend(() => store.write(copy))),
        Effect.flatMap((done) => Effect.map(readOrLeaveOut(done, "a receipt", written), withoutUnreadNews))
      )
    },
    history: (runId) => read(store.history(runId), `run ${runId}`),
    run: (runId) => readOption(store.run(runId), `run ${runId}`),
    latest: (workflowId) => readOption(store.latest(workflowId), `the run of workflow id ${workflowId}`),
    list: (options) => read(store.list(options), "a run"),
    count: store.count,
    pending: (runId) => read(store.pending(runId), `run ${runId}`),
    closed: (runIds) => read(store.closed(runIds), "a run"),
    claim: (options) =>
      Effect.flatMap(store.claim(options), (claimed) => Effect.map(readOrLeaveOut(claimed, "a claim"), withoutUnread)),
    takeAttempts: (options) =>
      Effect.flatMap(store.takeAttempts(options), (taken) =>
        Effect.map(
          readOrLeaveOut(taken, "an activity of a queue"),
          ({ attempts, next }) => ({ attempts: attempts.filter(isRead), next })
        )),
    taken: store.taken,
    heartbeat: store.heartbeat,
    release: store.release,
    workers: store.workers,
    backlog: store.backlog,
    secret: (id) =>
      Effect.map(
        read(Effect.map(store.secret(id), (secret) => ({ secret })), `run ${id.runId}`),
        ({ secret }) => secret
      ),
    owner: store.owner,
    version: store.version
  }
}

/** An activity that cannot be read is started from the history of its run, once that can be read. */
const withoutUnread = (claimed: Claimed): Claimed => {
  const unread = claimed.activities.filter((activity) => !isRead(activity))
  return unread.length === 0 ? claimed : {
    ...claimed,
    activities: claimed.activities.filter(isRead),
    unread: [...new Set(unread.map((activity) => activity.runId))]
  }
}

const isRead = ({ scheduled }: PendingActivity): boolean => (scheduled as unknown) !== undefined

/** An owner that is not told of an event notices the gap, and reads the history. */
const withoutUnreadNews = ({ consequences, receipts }: Written): Written => ({
  consequences: consequences.filter((notification) =>
    notification._tag === "RunCreated" || (notification.event as unknown) !== undefined
  ),
  receipts
})

// --- the values

/** A text in an object of ours, which is not yet the one that it is to be. */
interface Value {
  readonly kind: "json" | "text"
  readonly holder: Record<string, unknown>
  readonly key: string
  readonly where: string
  /** Takes the event out of what holds it, or the value where it is in no event. */
  readonly leaveOut: () => void
}

type OnError = (value: Value, error: JournalError) => Effect.Effect<void, JournalError>

const orFail: OnError = (_, error) => Exit.fail(error)

const orLeaveOut = (value: Value, error: JournalError): Effect.Effect<void> =>
  Effect.zipRight(
    Effect.sync(value.leaveOut),
    Effect.logWarning("holdfast: a value is left out for now, since it cannot be decoded", Cause.fail(error))
  )

/** How many values are with a codec that waits at once. */
const atOnce = 16

/** Puts every value in its place. Only what really waits gets a fiber. */
const each = <E extends JournalError>(
  values: ReadonlyArray<Value>,
  code: (text: string) => Effect.Effect<string, CodecError>,
  onError: (value: Value, error: JournalError) => Effect.Effect<void, E>,
  onDone?: (from: string, to: string) => void
): Effect.Effect<void, E> =>
  Effect.suspend(() => {
    const waiting: Array<Effect.Effect<void, E>> = []
    for (const value of values) {
      const { holder, key } = value
      const from = holder[key] as string
      const put = (to: string): void => {
        holder[key] = to
        onDone?.(from, to)
      }
      const coded = code(from)
      const end = endOf(coded)
      if (end !== undefined && Exit.isSuccess(end)) put(end.value)
      else {
        waiting.push(Effect.matchEffect(coded, {
          onSuccess: (to) => Effect.sync(() => put(to)),
          onFailure: (cause) =>
            onError(value, new JournalError({ reason: "Codec", detail: `${value.where}: ${cause.message}`, cause }))
        }))
      }
    }
    return waiting.length === 0
      ? Exit.void
      : Effect.forEach(waiting, (wait) => wait, { concurrency: atOnce, discard: true })
  })

// --- where they stand

type IsMeant = (kind: Value["kind"], text: string) => boolean

const isAny: IsMeant = (_, text) => text !== ""

/** A copy of what holds values, the rest shared; its values, still as they are; and its lists. */
const opened = <A>(
  original: A,
  where: string,
  isMeant: IsMeant
): { readonly copy: A; readonly values: ReadonlyArray<Value>; readonly lists: ReadonlyArray<Array<unknown>> } => {
  const values: Array<Value> = []
  const lists: Array<Array<unknown>> = []

  /** Gives the very same thing when it holds no value. */
  const open = (thing: unknown, where: string, leaveOut: () => void): unknown => {
    if (Array.isArray(thing)) return openList(thing, where)
    if (!isRecord(thing)) return thing
    const places = placesOf(thing)
    if (places !== undefined) {
      const at = `${"seq" in thing ? `event ${thing["seq"]}` : "a new event"} (${thing["_tag"]}) of ${where}`
      return openPlaces(thing, places, at, leaveOut)
    }
    const run = typeof thing["runId"] === "string" ? `run ${thing["runId"]}` : where
    let copy = thing
    const own = () => copy === thing ? (copy = { ...thing }) : copy
    for (const key in thing) {
      const inner = thing[key]
      if (typeof inner === "string") {
        const kind = kindOf(thing, key)
        if (kind === undefined || !isMeant(kind, inner)) continue
        const holder = own()
        values.push({ kind, holder, key, where: `${key} of ${run}`, leaveOut: () => (holder[key] = undefined) })
      } else if (typeof inner === "object" && inner !== null) {
        const opened = open(inner, run, () => (own()[key] = undefined))
        if (opened !== inner) own()[key] = opened
      }
    }
    return copy
  }

  const openList = (list: ReadonlyArray<unknown>, where: string): unknown => {
    let copy: Array<unknown> | undefined
    for (let i = 0; i < list.length; i++) {
      const opened = open(list[i], where, () => (copy![i] = undefined))
      if (opened === list[i]) continue
      if (copy === undefined) lists.push(copy = [...list])
      copy[i] = opened
    }
    return copy ?? list
  }

  const openPlaces = (
    thing: Readonly<Record<string, unknown>>,
    places: ReadonlyArray<Place>,
    where: string,
    leaveOut: () => void
  ): Readonly<Record<string, unknown>> => {
    let copy = thing as Record<string, unknown>
    for (const { inside, key, kind } of places) {
      const inner = thing[key]
      if (inside !== undefined) {
        if (!isRecord(inner)) continue
        const opened = openPlaces(inner, inside, where, leaveOut)
        if (opened === inner) continue
        if (copy === thing) copy = { ...thing }
        copy[key] = opened
      } else if (typeof inner === "string" && isMeant(kind, inner)) {
        if (copy === thing) copy = { ...thing }
        values.push({ kind, holder: copy, key, where, leaveOut })
      }
    }
    return copy
  }

  return { copy: open(original, where, () => {}) as A, values, lists }
}

const isRecord = (thing: unknown): thing is Record<string, unknown> =>
  typeof thing === "object" && thing !== null && !Array.isArray(thing)

/** A text outside of events: payloads, secrets, and why a run is blocked. */
const kindOf = (thing: Readonly<Record<string, unknown>>, key: string): Value["kind"] | undefined =>
  key === "payload" || key === "details"
    ? "json"
    : key === "blocked" || key === "secret" || (key === "reason" && thing["_tag"] === "Block")
    ? "text"
    : undefined

/** Free texts that may hold user data. All others of an event are names. */
const texts: ReadonlySet<string> = new Set(["message", "reason", "detail", "digest"])

interface Place {
  readonly key: string
  readonly kind: Value["kind"]
  /** Where the values are in what stands here. */
  readonly inside: ReadonlyArray<Place> | undefined
}

const placesIn = (ast: AST.AST): ReadonlyArray<Place> =>
  AST.isTypeLiteral(ast)
    ? ast.propertySignatures.flatMap(({ name, type }): ReadonlyArray<Place> => {
      const key = String(name)
      const parts = (AST.isUnion(type) ? type.types : [type]).filter((part) => !AST.isUndefinedKeyword(part))
      const isText = parts.some(AST.isStringKeyword)
      if (isText && parts.some((part) => AST.isLiteral(part) && part.literal === null)) {
        return [{ key, kind: "json", inside: undefined }]
      }
      if (isText && texts.has(key)) return [{ key, kind: "text", inside: undefined }]
      const inside = parts.flatMap(placesIn)
      return inside.length === 0 ? [] : [{ key, kind: "json", inside }]
    })
    : []

const places: ReadonlyMap<unknown, ReadonlyArray<Place>> = new Map(
  (AST.isUnion(Event.ast) ? Event.ast.types : [Event.ast]).map(AST.typeAST).flatMap((ast) => {
    const tag = AST.isTypeLiteral(ast) ? ast.propertySignatures.find(({ name }) => name === "_tag")?.type : undefined
    return tag !== undefined && AST.isLiteral(tag) ? [[tag.literal, placesIn(ast)] as const] : []
  })
)

/** Where an event holds user data; `undefined` when it is no event. */
const placesOf = (thing: Readonly<Record<string, unknown>>): ReadonlyArray<Place> | undefined =>
  places.get(thing["_tag"])
