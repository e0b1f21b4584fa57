/**
 * What `authorize` may answer: `true` and `false`, or `{ since }`, which allows a topic, and nothing of
 * what came before this time: a `Date`, or milliseconds since 1970.
 */
export type Allowance = boolean | { readonly since: Date | number }

/** Since when a topic is allowed, in milliseconds since 1970: -Infinity where from its beginning. */
export type AllowedSince = number | false

/** What an `authorize` has answered. Another truthy value is most likely a mistake, and allows nothing. */
export function allowedSince(answer: unknown): AllowedSince {
  if (answer === true) return -Infinity
  if (typeof answer !== 'object' || answer === null) return false
  const { since } = answer as { since?: unknown }
  const time = since instanceof Date ? since.getTime() : since
  if (typeof time !== 'number' || Number.isNaN(time)) return false
  return time > 0 ? time : -Infinity
}

/** What two of them allow that must both allow a topic. */
export function bothAllow(one: AllowedSince, other: AllowedSince): AllowedSince {
  return one === false || other === false ? false : Math.max(one, other)
}
