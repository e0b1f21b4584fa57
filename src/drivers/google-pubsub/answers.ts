import { inTime } from '../../driver-kit/index.js'

/** The gRPC codes that make a difference here. */
export const Code = {
  Cancelled: 1,
  DeadlineExceeded: 4,
  NotFound: 5,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Aborted: 10,
  Internal: 13,
  Unavailable: 14,
  Unauthenticated: 16,
} as const

const TRANSIENT: readonly unknown[] = [
  Code.Cancelled,
  Code.DeadlineExceeded,
  Code.ResourceExhausted,
  Code.Aborted,
  Code.Internal,
  Code.Unavailable,
]

/** No answer in time, with the code that the library gives where it notices that itself. */
class SilenceError extends Error {
  readonly code = Code.DeadlineExceeded
}

/**
 * What a call gives within `timeout` milliseconds. The library has no bound for getting credentials.
 */
export function answered<T>(calling: Promise<T>, timeout: number): Promise<T> {
  const late = () => new SilenceError(`no answer within ${Math.round(timeout)} ms`)
  return inTime(calling, timeout, late)
}

/** The library's options for one try within `timeout` milliseconds: the driver tries again itself. */
export function once(timeout: number): { timeout: number; retry: null } {
  return { timeout: Math.max(1, Math.round(timeout)), retry: null }
}

export function codeOf(error: unknown): number | undefined {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'number' ? code : undefined
}

/** Whether the same call may go well a little later. */
export function isTransient(error: unknown): boolean {
  return TRANSIENT.includes(codeOf(error))
}
