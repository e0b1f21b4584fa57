import type { Driver } from '../index.js'
import { driverFor } from './broker-drivers.js'
import type { Loaded } from './config/load.js'
import { withoutPassword } from './config/effective.js'

/** What was tried, and why it failed. */
export interface Tried {
  readonly what: string
  readonly fault?: string
}

/** How long an issuer may take, in milliseconds. */
const PATIENCE = 10_000

/** Connects to all that a configuration names. */
export async function checkOnline({ config }: Loaded): Promise<Tried[]> {
  const tried: Tried[] = []
  const attempt = async (what: string, run: () => Promise<unknown>) => {
    try {
      await run()
      tried.push({ what })
    } catch (error) {
      tried.push({
        what,
        fault: withoutPassword(error instanceof Error ? error.message : String(error)),
      })
    }
  }
  await attempt(`the broker (${Object.keys(config.broker)[0] ?? 'memory'})`, async () => {
    const driver: Driver & { connect?: () => Promise<void> } = await driverFor(config)
    try {
      await driver.connect?.()
    } finally {
      await driver.close()
    }
  })
  for (const { issuer, jwks = '' } of config.auth?.issuers ?? []) {
    if (/^https?:\/\//.test(jwks)) await attempt(`the keys of ${issuer}`, () => fetchKeys(jwks))
  }
  return tried
}

async function fetchKeys(address: string): Promise<void> {
  const response = await fetch(address, { signal: AbortSignal.timeout(PATIENCE) }).catch(
    (error: Error) => {
      const { message } = (error.cause as Error | undefined) ?? error
      throw new Error(`${address} does not answer: ${message}`)
    },
  )
  if (!response.ok) throw new Error(`${address} answers ${response.status}, and no keys.`)
  const { keys } = (await response.json().catch(() => ({}))) as { keys?: unknown }
  if (!Array.isArray(keys) || keys.length === 0)
    throw new Error(`${address} answers no JWK Set: {"keys": [...]}.`)
}
