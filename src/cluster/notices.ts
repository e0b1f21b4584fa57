import type { Directory } from '../directory.js'
import type { Revocation } from '../service/revocations.js'
import { isRevocation } from '../service/revocations.js'

/** The version of the notices' form. Notices of another version are ignored. */
const VERSION = 1
/** The notices are entries of this owner, so that they can be listed. */
const OWNER = 'unifrost revocations'
const PREFIX = 'unifrost revocation '

/**
 * Revocations in the directory, each an entry of its own, for servers that can't be asked: those
 * that are cut off, and those that start later.
 */
export class Notices {
  constructor(private readonly directory: Directory) {}

  /** Keeps a revocation for so many milliseconds. One that is kept already stays as it is. */
  async write(revocation: Revocation, life: number): Promise<void> {
    const text = JSON.stringify({ v: VERSION, revocation })
    await this.directory.put({ id: PREFIX + revocation.nonce, owner: OWNER, text }, undefined, life)
  }

  /** The revocations that are kept. */
  async read(): Promise<Revocation[]> {
    const ids = (await this.directory.idsOf(OWNER)).filter((id) => id.startsWith(PREFIX))
    const read = await Promise.all(ids.map((id) => this.readOne(id)))
    return read.filter((revocation) => revocation !== undefined)
  }

  private async readOne(id: string): Promise<Revocation | undefined> {
    const stored = await this.directory.get(id)
    if (stored === undefined) return undefined
    try {
      const { v, revocation } = JSON.parse(stored.text) as { v?: unknown; revocation?: unknown }
      if (v !== VERSION || !isRevocation(revocation)) return undefined
      return id === PREFIX + revocation.nonce ? revocation : undefined
    } catch {
      // Another version's, or no notice at all: a client may have such an id.
      return undefined
    }
  }
}
