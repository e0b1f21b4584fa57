import { z } from 'zod'
import { durationFrom, flagFrom, numberFrom, sizeFrom } from './quantities.js'

/** What is said of a schema in errors, in the docs, and to editors. */
export interface Words {
  /** What it takes, in words. */
  readonly takes: string
  /** Whether its value must never be shown. */
  readonly secret?: boolean
  /** Whether it is an address that may have a password in it. */
  readonly address?: boolean
  /** Its JSON Schema. */
  readonly json?: Readonly<Record<string, unknown>>
}

/** By definition: `describe` makes another schema of the same one. */
const words = new WeakMap<object, Words>()

export function wordsOf(schema: z.ZodType): Words | undefined {
  return words.get(schema.def)
}

/** Says in words what a schema takes. */
export function worded<T extends z.ZodType>(schema: T, said: Words): T {
  words.set(schema.def, said)
  return schema
}

/** The issue's message where a value is not there at all. */
export const MISSING = 'missing'
/** The issue's message where there is nothing more to say than that it does not fit. */
export const UNFIT = 'unfit'

/**
 * One value. `read` gives what it means, or undefined where it does not fit, or a sentence that says
 * more than "it does not fit".
 */
export function scalar<T>(read: (value: unknown) => T | Fault | undefined, said: Words) {
  const schema = z.unknown().transform((value, context): T => {
    const result = value === undefined || value === null ? undefined : read(value)
    if (result !== undefined && !(result instanceof Fault)) return result
    const message = value === undefined || value === null ? MISSING : UNFIT
    context.addIssue({ code: 'custom', message: result instanceof Fault ? result.text : message })
    return z.NEVER
  })
  return worded(schema, said)
}

/** Why a value does not fit, beyond what is taken. */
export class Fault {
  constructor(readonly text: string) {}
}

export function text(takes = 'a text', more: Partial<Words> = {}) {
  const read = (value: unknown) => {
    // Out of YAML, `1.10` and `007` come as numbers, and have lost what they were.
    if (typeof value === 'number') return new Fault(`YAML reads it as a number: quote it.`)
    if (typeof value === 'boolean') return new Fault(`YAML reads it as a yes or no: quote it.`)
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  return scalar<string>(read, { takes, json: { type: 'string', minLength: 1 }, ...more })
}

export function matching(pattern: RegExp, takes: string, more: Partial<Words> = {}) {
  const fits = (value: unknown) => typeof value === 'string' && pattern.test(value)
  const json = { type: 'string', pattern: pattern.source }
  return scalar((value) => (fits(value) ? (value as string) : undefined), { takes, json, ...more })
}

export function oneOf<const T extends string>(...choices: readonly T[]) {
  const takes = choices.map((choice) => JSON.stringify(choice)).join(' or ')
  const read = (value: unknown) => choices.find((choice) => choice === value)
  return scalar<T>(read, { takes, json: { enum: choices } })
}

export function flag() {
  const read = (value: unknown) => {
    const isOld = typeof value === 'string' && /^(yes|no|on|off|y|n)$/i.test(value)
    return isOld ? new Fault('In YAML 1.2 this is text. Write true or false.') : flagFrom(value)
  }
  return scalar<boolean>(read, { takes: 'true or false', json: { type: 'boolean' } })
}

/** Variables that Kubernetes adds for each Service: `UNIFROST_PORT=tcp://10.0.0.1:80`. */
const SERVICE_LINK = /^(tcp|udp|sctp):\/\//

export function whole(min: number, max: number, what = 'a whole number') {
  const takes = `${what} from ${min.toLocaleString('en')} to ${max.toLocaleString('en')}`
  const read = (value: unknown) => {
    if (typeof value === 'string' && SERVICE_LINK.test(value)) return new Fault(SERVICE_LINKS)
    const number = numberFrom(value)
    const fits = Number.isInteger(number) && number! >= min && number! <= max
    return fits ? number : undefined
  }
  const json = { type: 'integer', minimum: min, maximum: max }
  return scalar<number>(read, { takes, json })
}

const SERVICE_LINKS =
  'This is what Kubernetes writes into the environment for a Service (service links). Set ' +
  'enableServiceLinks: false in the pod, or name the variable otherwise.'

/** A time with its unit, as a pattern for editors. */
export const DURATION = '^[0-9]+(\\.[0-9]+)? ?(ms|s|m|h|d)$'

export function duration(min = 0, max = 2 ** 31 - 1) {
  const from = min === 0 ? '' : `, at least ${min} ms`
  const takes = `a time with its unit, such as 200ms, 5s, 10m, 1h or 2d${from}`
  const read = (value: unknown) => {
    if (numberFrom(value) !== undefined && numberFrom(value) !== 0) {
      return new Fault(`A number says no unit: write ${String(value)}ms or ${String(value)}s.`)
    }
    const millis = durationFrom(value)
    if (millis !== undefined && millis > max) return new Fault('It is longer than 24 days.')
    return millis !== undefined && millis >= min ? millis : undefined
  }
  const json = { type: ['string', 'integer'], pattern: DURATION }
  return scalar<number>(read, { takes, json })
}

export function size(min = 1) {
  const takes = 'a size, such as 65536, 64kB, 4MB or 64MiB'
  const read = (value: unknown) => {
    const bytes = sizeFrom(value)
    const fits = bytes !== undefined && bytes >= min && bytes <= Number.MAX_SAFE_INTEGER
    return fits ? bytes : undefined
  }
  const json = { type: ['string', 'integer'], pattern: '^[0-9]+(\\.[0-9]+)? ?([kKMG]i?)?[bB]?$' }
  return scalar<number>(read, { takes, json })
}

/** An address with one of these schemes. */
export function address(schemes: readonly string[], example: string) {
  const takes = `an address such as ${example}`
  const read = (value: unknown) => {
    if (typeof value !== 'string' || !URL.canParse(value)) return undefined
    const scheme = new URL(value).protocol.slice(0, -1)
    if (schemes.includes(scheme)) return value
    return new Fault(`Its scheme is ${scheme}://; it takes ${schemes.join(':// or ')}://.`)
  }
  return scalar<string>(read, { takes, address: true, json: { type: 'string' } })
}

/** A list of at least one, or one alone. */
export function oneOrMore<T>(item: z.ZodType<T>) {
  const list = z.array(item).min(1)
  const schema = z.union([list, item.transform((one) => [one])])
  const said = wordsOf(item)
  return worded(schema, { ...said, takes: `${said?.takes ?? 'a value'}, or a list of them` })
}
