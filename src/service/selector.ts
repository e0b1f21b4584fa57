import { OptionsError } from '../errors.js'
import type { OptionCheck } from '../option-checks.js'
import { isRecord, nearest, refuse } from '../option-checks.js'
import { isOwner } from './owner.js'

/** What a client is marked with where it is made: each label's name, and what it is for this client. */
export type Labels = Readonly<Record<string, string>>

export const NO_LABELS: Labels = Object.freeze({})

/** The most labels of one client. */
const MOST_LABELS = 8
const LABEL = /^[A-Za-z_][\w.-]{0,63}$/
const LONGEST_VALUE = 256

/** Names that say something else where clients are named. */
const TAKEN = new Set(['id', 'owner', 'labels', '__proto__'])

/** Whether this can be what a label is for a client. */
function isLabelled(value: unknown): value is string {
  return isOwner(value) && value.length <= LONGEST_VALUE
}

/** Whether these are the labels of a client. */
export function areLabels(value: unknown): value is Labels {
  if (!isRecord(value)) return false
  const labels = Object.entries(value)
  return (
    labels.length <= MOST_LABELS &&
    labels.every(([name, of]) => LABEL.test(name) && !TAKEN.has(name) && isLabelled(of))
  )
}

export const LABELS = `at most ${MOST_LABELS} labels, such as { tenant: 'acme' }: names other than id and owner, each with a text`

/** The check of `labels`. A label that is undefined by mistake would leave its client out of a `revoke`. */
export const LABELS_CHECK: OptionCheck = [areLabels, LABELS, { given: true }]

/**
 * Which clients are meant, on all servers: one by its id, `{ id: 'a' }`; an owner's, `{ owner: 'ann' }`;
 * those with a label, `{ tenant: 'acme' }`. Exactly one of them. `{ session: 's1' }` also means the
 * clients that came with this log-in, as the option `session` of the middleware names it.
 */
export type Which = Readonly<Record<string, string>>

/** {@link Which}, checked. Its name is `id`, `owner`, or a label's. */
export interface Selector {
  readonly name: string
  readonly value: string
}

const TAKES = "{ id }, { owner } or one label, such as { tenant: 'acme' }"
const KNOWN = ['id', 'owner', 'session']

/**
 * The clients that a call means.
 *
 * @param caller The method that was called, for errors.
 * @throws OptionsError
 */
export function selectorFrom(caller: string, which: unknown): Selector {
  const [first, ...others] = isRecord(which) ? Object.entries(which) : []
  if (first === undefined || others.length > 0) refuse(caller, 'which', which, TAKES)
  const [name, value] = first
  if (!isOwner(value)) refuse(caller, name, value, 'a text')
  if (KNOWN.includes(name)) return { name, value }
  // Nobody has a label whose name was mistyped, and nobody would be told.
  const meant = nearest(name, KNOWN)
  if (meant === undefined && LABEL.test(name) && !TAKEN.has(name)) return { name, value }
  const hint = meant === undefined ? '' : ` Did you mean ${meant}?`
  throw new OptionsError(`${caller}: which takes ${TAKES}; it got ${JSON.stringify(name)}.${hint}`)
}

/** The same for a call that means all clients where it names none. @throws OptionsError */
export function selectorOrAll(caller: string, which: unknown): Selector | undefined {
  const isEmpty = isRecord(which) && Object.keys(which).length === 0
  return isEmpty ? undefined : selectorFrom(caller, which)
}

/** Whether a value that was read somewhere is a selector. */
export function isSelector(value: unknown): value is Selector {
  if (typeof value !== 'object' || value === null) return false
  const { name, value: of } = value as Record<string, unknown>
  return typeof name === 'string' && name !== '' && typeof of === 'string' && of !== ''
}
