import type { Streamer } from '../src/index.js'
import type { OptionCheck } from '../src/for-middleware.js'
import { given } from '../src/for-middleware.js'
import { areNames } from './callbacks.js'

/** Which names a request may use that mean more to the broker than one topic. */
export interface WildcardOptions {
  /**
   * Names of topics that a request may use although they mean more to the broker than one topic. `true`:
   * those with the broker's wildcards, such as `orders.*` on NATS. An array: exactly these names, also
   * of the broker's internals. `authorize` is asked in any case. Default: none.
   */
  wildcards?: boolean | readonly string[]
}

/** The checks of {@link WildcardOptions}. */
export const WILDCARD_OPTIONS = {
  wildcards: given([
    (value) => typeof value === 'boolean' || areNames(value),
    'true, false, or a list of names',
  ]),
} satisfies Record<keyof WildcardOptions, OptionCheck>

/** What a refused name is answered with, beside the name. */
export const NOT_PLAIN =
  "A request may not use the broker's wildcards or internal names here (option wildcards)."

/** Whether a request may name this topic, by what the name means to the broker. */
export function isPlain(
  { driver }: Streamer,
  topic: string,
  { wildcards = false }: WildcardOptions,
): boolean {
  const kind = driver.kindOf?.(topic) ?? 'plain'
  if (kind === 'plain') return true
  if (typeof wildcards === 'boolean') return wildcards && kind === 'wildcard'
  return wildcards.includes(topic)
}
