/**
 * How long a token is valid, in milliseconds since 1970: its `exp` and the verifier's tolerance. It
 * stands in the payload under a symbol, so that a copy (`{ ...payload }`) has it, and no token can.
 */
const UNTIL: unique symbol = Symbol.for('unifrost.validUntil') as never

/** Notes in a token's payload how long it is valid. */
export function noteValidUntil<Payload extends { exp?: number | undefined }>(
  payload: Payload,
  toleranceSeconds: number,
): Payload {
  if (payload.exp === undefined) return payload
  return Object.assign(payload, { [UNTIL]: (payload.exp + toleranceSeconds) * 1000 })
}

/** What {@link noteValidUntil} has noted, or undefined. */
export function validUntil(principal: unknown): number | undefined {
  return (Object(principal) as { [UNTIL]?: number })[UNTIL]
}
