/**
 * Lists of runs.
 */
import * as Effect from "effect/Effect"
import type { RunFilter, RunPosition } from "../../../Workflow/Journal.js"
import { behaviour, type Subject, theme } from "./behaviour.js"
import { append, at, cancelRequest, closing, free, goOn, lastTurn, post, start, termination, turn } from "./entries.js"
import { same } from "./expect.js"

const list = (
  { store }: Subject,
  filter: RunFilter,
  options?: { readonly after?: RunPosition | undefined; readonly limit?: number }
) =>
  Effect.map(
    store.list({ filter, after: options?.after, limit: options?.limit ?? 100 }),
    (runs) => runs.map(({ runId }) => runId)
  )

export const lists = theme(
  "lists",
  behaviour("nothing is listed where nothing is", (subject) =>
    Effect.gen(function*() {
      yield* same("the list", yield* list(subject, {}), [])
      yield* same("the count", yield* subject.store.count({ workflow: "W", status: "Running" }), 0)
    })),
  behaviour("a list has whole records, the newest first", (subject) =>
    Effect.gen(function*() {
      const { store, write } = subject
      yield* write(start("old", { started: { at: at + 1 } }), start("new", { started: { at: at + 3 } }))
      yield* write(start("between", { workflow: "V", started: { at: at + 2 } }))
      yield* same("the order", yield* list(subject, {}), ["new", "between", "old"])
      yield* same("one of them", (yield* store.list({ filter: {}, after: undefined, limit: 10 }))[1], {
        runId: "between",
        workflowId: "id of between",
        workflow: "V",
        startedAt: at + 2,
        status: "Running",
        events: 1,
        blocked: undefined,
        closed: undefined
      })
    })),
  behaviour(
    "the payload of a run, and when it ended and how, can be found from its record",
    (subject) =>
      Effect.gen(function*() {
        const { store, write } = subject
        yield* write(start("r", { started: { payload: "{\"input\":1}" } }))
        const [open] = yield* store.list({ filter: {}, after: undefined, limit: 1 })
        const payload = Effect.map(
          store.history(open!.runId),
          ([first]) => first?._tag === "RunStarted" && first.payload
        )
        yield* same("while it runs", [open?.closed, yield* payload], [undefined, "{\"input\":1}"])
        yield* write(lastTurn("r", 1))
        const [closed] = yield* store.list({ filter: {}, after: undefined, limit: 1 })
        yield* same("its end", closed?.closed, { ...closing(99), seq: 3 })
        yield* same("its payload", yield* payload, "{\"input\":1}")
      })
  ),
  behaviour(
    "runs of one time stand by their workflow id and then their run id, from the end of the alphabet",
    (subject) =>
      Effect.gen(function*() {
        const { write } = subject
        const ids = ["a", "a b", "a!", "A", "b", "\u{1F600}", "\uFF5E", "é", "ab", " ", "z"]
        yield* write(...ids.map((id) => start(`r ${id}`, { workflowId: id })))
        yield* same("by the bytes of UTF-8, not by the units of UTF-16", yield* list(subject, {}), [
          "r \u{1F600}",
          "r \uFF5E",
          "r é",
          "r z",
          "r b",
          "r ab",
          "r a!",
          "r a b",
          "r a",
          "r A",
          "r  "
        ])
        for (const runId of ["x1", "x3", "x2", "X4"]) {
          yield* write(start(runId, { workflowId: "x", started: { at: at + 1 } }), append(runId, [turn(1), closing(1)]))
          yield* write(start(`${runId} on`, { workflowId: "x", reuse: "always", started: { at: at + 1 } }))
          yield* write(append(`${runId} on`, [turn(1), closing(1)]))
          yield* write(start("x", { workflowId: "y", reuse: "never" }))
        }
        const sameId = yield* list(subject, { workflowId: "x" })
        yield* same("of one id", sameId, [...sameId].sort().reverse())
      })
  ),
  behaviour(
    "what is asked for by workflow, id, status and time is what is given, and counted",
    (subject) =>
      Effect.gen(function*() {
        const { record, store, write } = subject
        yield* some(subject)
        const all = yield* list(subject, {})
        const records = yield* Effect.forEach(all, (runId) => Effect.map(record(runId), (run) => run!))
        const options = {
          workflow: [undefined, "W", "V", "w", "none"],
          workflowId: [undefined, "id of r2", "id of r3", "none"],
          status: [undefined, ...statuses],
          startedFrom: [undefined, at + 2],
          startedBefore: [undefined, at + 4]
        }
        let filters: ReadonlyArray<RunFilter> = [{}]
        for (const [key, values] of Object.entries(options)) {
          filters = filters.flatMap((filter) => values.map((value) => ({ ...filter, [key]: value })))
        }
        for (const filter of filters) {
          const { startedBefore = Infinity, startedFrom = 0, status, workflow, workflowId } = filter
          const expected = records.filter((run) =>
            (workflow === undefined || run.workflow === workflow) &&
            (workflowId === undefined || run.workflowId === workflowId) &&
            (status === undefined || run.status === status) &&
            run.startedAt >= startedFrom && run.startedAt < startedBefore
          ).map(({ runId }) => runId)
          yield* same(`the runs of ${JSON.stringify(filter)}`, yield* list(subject, filter), expected)
          yield* same(`how many ${JSON.stringify(filter)} has`, yield* store.count(filter), expected.length)
        }
        yield* write(start("one more"))
        yield* same("all", yield* store.count({}), all.length + 1)
      })
  ),
  behaviour(
    "pages of any size are the list cut into pieces, each after the last of the one before",
    (subject) =>
      Effect.gen(function*() {
        yield* some(subject)
        for (const filter of [{}, { workflow: "W" }, { status: "Running" as const }, { startedFrom: at + 2 }]) {
          const all = yield* list(subject, filter)
          for (const limit of [1, 2, 3, 5, 100]) {
            const pages: Array<string> = []
            let after: RunPosition | undefined
            for (;;) {
              const page = yield* subject.store.list({ filter, after, limit })
              if (page.length > limit) yield* same("the length of a page", page.length, limit)
              pages.push(...page.map(({ runId }) => runId))
              const last = page.at(-1)
              if (last === undefined) break
              after = { startedAt: last.startedAt, workflowId: last.workflowId, runId: last.runId }
            }
            yield* same(`${JSON.stringify(filter)} in pages of ${limit}`, pages, all)
          }
        }
      })
  ),
  behaviour(
    "a page begins after a position, whether or not a run is there, and whatever its id looks like",
    (subject) =>
      Effect.gen(function*() {
        const ids = ["a|b", "a", "a|", "|", "a|b|c", "\u{1F600}|"]
        yield* subject.write(...ids.map((id) => start(`r|${id}`, { workflowId: id, started: { at: at + 1 } })))
        const sorted = ["\u{1F600}|", "|", "a|b|c", "a|b", "a|", "a"]
        for (const [i, id] of sorted.entries()) {
          const after = { startedAt: at + 1, workflowId: id, runId: `r|${id}` }
          yield* same(
            `after ${id}`,
            yield* list(subject, {}, { after }),
            sorted.slice(i + 1).map((later) => `r|${later}`)
          )
          yield* same(
            `after a run of ${id} that is not there`,
            yield* list(subject, {}, { after: { ...after, runId: "" } }),
            sorted.slice(i + 1).map((later) => `r|${later}`)
          )
          yield* same(
            `after another one that is not there`,
            yield* list(subject, { workflow: "W" }, { after: { ...after, runId: "z" } }),
            sorted.slice(i).map((later) => `r|${later}`)
          )
        }
        const early = { startedAt: at, workflowId: "z", runId: "z" }
        yield* same("after all", yield* list(subject, {}, { after: early }), [])
        yield* same("before all", (yield* list(subject, {}, { after: { ...early, startedAt: at + 2 } })).length, 6)
      })
  ),
  behaviour(
    "what is begun while a list is read in pages moves none of its other runs",
    (subject) =>
      Effect.gen(function*() {
        const { store, write } = subject
        yield* write(...[1, 2, 3, 4].map((n) => start(`r${n}`, { started: { at: at + n } })))
        const first = yield* store.list({ filter: {}, after: undefined, limit: 2 })
        yield* write(
          start("newer", { started: { at: at + 9 } }),
          lastTurn("r4", 1),
          start("older", { started: { at } })
        )
        yield* same("the first page", first.map(({ runId }) => runId), ["r4", "r3"])
        yield* same("the second", yield* list(subject, {}, { after: first[1] }), ["r2", "r1", "older"])
      })
  )
)

const statuses = ["Running", "Cancelling", "Success", "Failure", "Terminated", "TimedOut", "Continued"] as const

/** A dozen runs of different kinds. */
const some = ({ write }: Subject) =>
  Effect.gen(function*() {
    for (let n = 1; n <= 8; n++) {
      yield* write(start(`r${n}`, { workflow: n % 3 === 0 ? "V" : "W", started: { at: at + Math.ceil(n / 2) } }))
    }
    yield* write(free("nobody's", { workflow: "w", started: { at: at + 2 } }))
    yield* write(
      post("r1", cancelRequest),
      lastTurn("r2", 1),
      lastTurn("r3", 1, { outcome: "Failure" }),
      post("r4", termination),
      append("r5", [{ _tag: "RunTimedOut", at }]),
      goOn("r6", 1, "r6 on"),
      start("r2 again", { workflowId: "id of r2", reuse: "always", started: { at: at + 3 } })
    )
  })
