import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as machine from "../../src/Circuit/internal/outlier/outliers.js"

const usual: machine.SuccessRate = { intervalMillis: 10_000, minimumHosts: 5, minimumRequests: 100, factor: 1.9 }
const rates = (...successes: ReadonlyArray<number>) =>
  successes.map((successes, index) => ({ host: `h${index}`, requests: 100, successes }))

describe("which hosts are outliers by success rate", () => {
  it("a rate more than 1.9 standard deviations below the mean, of five hosts with a hundred requests each", () => {
    // mean .8, deviation .4: the threshold is .04
    assert.deepStrictEqual(machine.outliersOf(usual, rates(100, 100, 100, 100, 0)), [{ host: "h4", rate: 0 }])
    // Of five hosts the farthest can be two deviations away: at 1.9 only one that is alone is.
    assert.deepStrictEqual(machine.outliersOf(usual, rates(100, 100, 100, 90, 0)), [{ host: "h4", rate: 0 }])
    assert.deepStrictEqual(machine.outliersOf(usual, rates(100, 100, 100, 50, 0)), [])
    assert.deepStrictEqual(machine.outliersOf(usual, rates(90, 90, 90, 90, 90)), [])
  })

  it("not with four hosts, nor with fewer requests", () => {
    assert.deepStrictEqual(machine.outliersOf(usual, rates(100, 100, 100, 0)), [])
    const few = rates(100, 100, 100, 100, 0).map((host, index) => index === 0 ? { ...host, requests: 99 } : host)
    assert.deepStrictEqual(machine.outliersOf(usual, few), [])
  })

  it("the worst first", () => {
    const many = rates(...Array.from({ length: 18 }, () => 100), 10, 0)
    assert.deepStrictEqual(machine.outliersOf(usual, many).map(({ host }) => host), ["h19", "h18"])
  })
})

/** What the fleet must do, told by the calls that have ended: all is worked out from the list of them each time. */
class Model {
  readonly hosts: Array<{
    readonly name: string
    readonly results: Array<{ readonly at: number; readonly good: boolean }>
    readonly ejections: Array<{ readonly until: number }>
    times: number
    decayedAt: number
    epoch: number
  }>
  swept = 0
  constructor(readonly settings: machine.Settings, names: ReadonlyArray<string>) {
    this.hosts = names.map((name) => ({ name, results: [], ejections: [], times: 0, decayedAt: 0, epoch: 0 }))
  }
  until(host: Model["hosts"][number]): number {
    return host.ejections.at(-1)?.until ?? 0
  }
  out(now: number): ReadonlyArray<string> {
    return this.hosts.filter((host) => now < this.until(host)).map(({ name }) => name)
  }
  eject(host: Model["hosts"][number], now: number): void {
    const most = Math.min(Math.floor(this.hosts.length * this.settings.maxEjection + 1e-9), this.hosts.length - 1)
    if (this.out(now).length >= most) return
    host.times++
    host.ejections.push({
      until: now + Math.min(this.settings.baseMillis * host.times, this.settings.longestMillis)
    })
    host.results.length = 0
    host.epoch++
  }
  sweep(now: number): void {
    const { successRate } = this.settings
    if (successRate === null) return
    const bucket = (at: number) => Math.floor(at / successRate.intervalMillis)
    const [last, swept] = [bucket(now) - 1, this.swept]
    this.swept = Math.max(bucket(now), swept)
    if (last !== swept) return
    const counted = this.hosts.map((host) => ({
      host,
      results: host.results.filter(({ at }) => bucket(at) === last)
    })).filter(({ results }) => results.length >= successRate.minimumRequests).map(({ host, results }) => ({
      host,
      rate: results.filter(({ good }) => good).length / results.length
    }))
    if (counted.length < successRate.minimumHosts) return
    const mean = counted.reduce((sum, { rate }) => sum + rate, 0) / counted.length
    const deviation = Math.sqrt(counted.reduce((sum, { rate }) => sum + (rate - mean) ** 2, 0) / counted.length)
    const bad = counted.filter(({ rate }) => rate < mean - successRate.factor * deviation)
    for (const { host } of bad.sort((a, b) => a.rate - b.rate)) if (now >= this.until(host)) this.eject(host, now)
  }
  settle(index: number, epoch: number, good: boolean, now: number): void {
    this.sweep(now)
    const host = this.hosts[index]!
    if (host.epoch !== epoch || now < this.until(host)) return
    host.results.push({ at: now, good })
    if (good) {
      if (host.times > 0 && now - Math.max(host.decayedAt, this.until(host)) >= this.settings.decayMillis) {
        host.times--
        host.decayedAt = now
      }
      return
    }
    if (this.settings.failures !== null && this.inARow(host) >= this.settings.failures) this.eject(host, now)
  }
  inARow(host: Model["hosts"][number]): number {
    return host.results.length - 1 - host.results.findLastIndex(({ good }) => good)
  }
}

describe("a fleet of hosts", () => {
  it.prop(
    "does what the naive model does: who is out, until when, and never more than may be",
    [
      fc.record({
        failures: fc.option(fc.integer({ min: 1, max: 3 }), { nil: null }),
        successRate: fc.option(
          fc.record({
            intervalMillis: fc.constantFrom(20, 50),
            minimumHosts: fc.integer({ min: 2, max: 3 }),
            minimumRequests: fc.integer({ min: 1, max: 4 }),
            factor: fc.constantFrom(0.3, 0.7)
          }),
          { nil: null }
        ),
        baseMillis: fc.integer({ min: 5, max: 30 }),
        longestMillis: fc.integer({ min: 30, max: 80 }),
        maxEjection: fc.constantFrom(0.2, 0.29, 0.34, 0.5, 1),
        decayMillis: fc.integer({ min: 0, max: 20 })
      }),
      fc.integer({ min: 1, max: 7 }),
      fc.array(
        fc.record({ which: fc.nat(100), wait: fc.nat(12), good: fc.boolean(), late: fc.integer({ min: 0, max: 5 }) }),
        { maxLength: 250 }
      )
    ],
    ([settings, count, steps]) => {
      const names = Array.from({ length: count }, (_, index) => `h${index}`)
      const model = new Model(settings, names)
      let fleet = machine.initial(names)
      let now = 0
      // Calls that are under way, with the generation they began in.
      const out: Array<{ readonly index: number; readonly generation: number; readonly epoch: number }> = []
      for (const { good, late, wait, which } of steps) {
        now += wait
        const index = which % count
        out.push({ index, generation: fleet.hosts[index]!.generation, epoch: model.hosts[index]!.epoch })
        if (out.length <= late) continue
        const [call] = out.splice(0, 1)
        const ended = { host: names[call!.index]!, generation: call!.generation }
        const [next] = machine.settle(settings, fleet, ended, good ? "success" : "failure", now)
        fleet = JSON.parse(JSON.stringify(next)) as machine.Fleet
        model.settle(call!.index, call!.epoch, good, now)
        const ejected = fleet.hosts.filter((host) => machine.isEjected(host, now))
        assert.deepStrictEqual(ejected.map(({ host }) => host), [...model.out(now)])
        assert.isAtMost(ejected.length, count * settings.maxEjection + 1e-9)
        assert.isBelow(ejected.length, count)
        for (const [index, host] of fleet.hosts.entries()) {
          assert.strictEqual(host.ejectedUntil, model.until(model.hosts[index]!))
          assert.strictEqual(host.timesEjected, model.hosts[index]!.times)
          assert.strictEqual(host.failures, model.inARow(model.hosts[index]!))
        }
      }
    },
    { fastCheck: { numRuns: 1_000 } }
  )

  it("of a hundred hosts exactly 29 may be out where the part is .29, which has no exact form", () => {
    const settings: machine.Settings = {
      failures: 1,
      successRate: null,
      baseMillis: 30,
      longestMillis: 60,
      maxEjection: 0.29,
      decayMillis: 0
    }
    let fleet = machine.initial(Array.from({ length: 100 }, (_, index) => `h${index}`))
    for (const { host } of fleet.hosts) [fleet] = machine.settle(settings, fleet, { host, generation: 0 }, "failure", 0)
    assert.strictEqual(fleet.hosts.filter((host) => machine.isEjected(host, 1)).length, 29)
  })

  it("other hosts: those that stay keep what is known of them, and come back where there is no more room", () => {
    const settings: machine.Settings = {
      failures: 1,
      successRate: null,
      baseMillis: 30,
      longestMillis: 60,
      maxEjection: 0.5,
      decayMillis: 0
    }
    const fail = (fleet: machine.Fleet, host: string, now: number) =>
      machine.settle(settings, fleet, { host, generation: 0 }, "failure", now)[0]
    const six = machine.initial(["a", "b", "c", "d", "e", "f"])
    const three = fail(fail(fail(six, "a", 0), "b", 1), "c", 2)
    const out = ({ hosts }: machine.Fleet) => hosts.filter((host) => machine.isEjected(host, 5)).map(({ host }) => host)
    assert.deepStrictEqual(out(three), ["a", "b", "c"])
    assert.deepStrictEqual(out(fail(three, "d", 3)), ["a", "b", "c"])
    assert.deepStrictEqual(out(machine.withHosts(settings, three, ["c", "b", "a", "d", "x"], 5)), ["c", "b"])
    assert.deepStrictEqual(out(machine.withHosts(settings, three, ["c"], 5)), [])
  })
})
