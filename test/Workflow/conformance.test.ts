import { describe, it } from "@effect/vitest"
import * as JournalConformance from "holdfast/Testing/JournalConformance"
import { Journal } from "holdfast/Workflow"
import * as journals from "./support/journals.js"

for (const [name, layer] of journals.all) {
  describe(name, () => {
    for (const { name, run } of JournalConformance.suite(layer)) it.effect(name, () => run)
  })
}
void Journal
