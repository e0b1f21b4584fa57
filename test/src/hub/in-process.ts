import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryDriver } from '../../../src/drivers/memory.js'
import type { MemoryDriver } from '../../../src/drivers/memory.js'
import { startHub } from '../../../src/hub/index.js'
import type { Hub, HubOptions } from '../../../src/hub/index.js'

/** A folder for sockets, which goes with the test file. */
export function socketFolder(): { path(name: string): string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'unifrost-hub-'))
  return {
    path: (name) => join(folder, name),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** A hub in this process, with a memory driver as its broker. */
export async function localHub(
  address: string,
  options: Partial<HubOptions> = {},
): Promise<{ hub: Hub; broker: MemoryDriver }> {
  const broker = memoryDriver()
  const hub = await startHub({ address, driver: broker, topicLinger: 0, ...options })
  return { hub, broker }
}
