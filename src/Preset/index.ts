/**
 * Ready-made sets.
 *
 * @since 0.1.0
 */
export * as Grpc from "./Grpc.js"
export * as Http from "./Http.js"
export * as Sql from "./Sql.js"
