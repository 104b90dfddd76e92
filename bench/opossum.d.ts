/** As much of opossum as the benchmarks use; the package has no types. */
declare module "opossum" {
  export default class CircuitBreaker {
    constructor(
      action: () => Promise<unknown>,
      options: { readonly timeout?: number | false; readonly capacity?: number }
    )
    fire(): Promise<unknown>
    open(): void
  }
}
