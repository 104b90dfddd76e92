/**
 * What every constructor of this package raises when its options can never work.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

/**
 * Options that can never work: a negative duration, a capacity of zero, a number that is not a number.
 *
 * It is a mistake in the program, so it is thrown by constructors that return a value, and is a defect of those that
 * return an Effect or a Layer. Nothing is built from invalid options.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidOptions extends Data.TaggedError("InvalidOptions")<{
  /** The constructor that refused, e.g. `Backoff.exponential`. */
  readonly module: string
  /** The option that is wrong, e.g. `cap`. */
  readonly option: string
  /** The value that the option was given. */
  readonly actual: unknown
  /** What the option needs, as a phrase: `a positive duration`. */
  readonly expected: string
}> {
  override get message(): string {
    return `${this.module}: option "${this.option}" must be ${this.expected}, not ${show(this.actual)}`
  }
}

const show = (value: unknown): string =>
  Duration.isDuration(value)
    ? Duration.format(value)
    : typeof value === "string"
    ? JSON.stringify(value)
    : String(value)

/**
 * Reads the options of one constructor and names it in what it throws.
 *
 * @internal
 */
export const reader = (module: string) => {
  const refuse = (option: string, actual: unknown, expected: string): never => {
    throw new InvalidOptions({ module, option, actual, expected })
  }
  const millis = (option: string, input: Duration.DurationInput, expected: string): number =>
    Option.match(Duration.decodeUnknown(input), {
      onNone: () => refuse(option, input, expected),
      // Effect decodes a negative duration to zero, so the sign is read from the input.
      onSome: (duration) => isNegative(input) ? refuse(option, input, expected) : Duration.toMillis(duration)
    })
  return {
    refuse,
    /** A duration of zero or more, in milliseconds; may be infinite. */
    duration: (option: string, input: Duration.DurationInput): number =>
      millis(option, input, "a duration of zero or more"),
    /** A finite duration of zero or more, in milliseconds. */
    finiteDuration: (option: string, input: Duration.DurationInput): number => {
      const value = millis(option, input, "a finite duration of zero or more")
      return value < Infinity ? value : refuse(option, input, "a finite duration of zero or more")
    },
    /** A finite duration above zero, in milliseconds. */
    positiveDuration: (option: string, input: Duration.DurationInput): number => {
      const value = millis(option, input, "a finite duration above zero")
      return value > 0 && value < Infinity ? value : refuse(option, input, "a finite duration above zero")
    },
    /** A whole number of at least `minimum`. */
    integer: (option: string, value: number, minimum: number): number =>
      Number.isSafeInteger(value) && value >= minimum
        ? value
        : refuse(option, value, `a whole number of at least ${minimum}`)
  }
}

const isNegative = (input: unknown): boolean =>
  typeof input === "number" || typeof input === "bigint"
    ? input < 0 || Number.isNaN(input)
    : typeof input === "string"
    ? input.trimStart().startsWith("-")
    : Array.isArray(input)
    ? input.some((part) => !(part >= 0))
    : false
