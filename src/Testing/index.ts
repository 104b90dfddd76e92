/**
 * What a program that uses this package is tested with.
 *
 * @since 0.1.0
 */
export * as Dependency from "./Dependency.js"
export * as Expect from "./Expect.js"
export * as Leaks from "./Leaks.js"
export * as Recorder from "./Recorder.js"
export * as Simulation from "./Simulation.js"
export * as WorkflowTest from "./WorkflowTest.js"
