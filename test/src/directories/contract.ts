import type { Directory, DirectoryHost } from '../../../src/directory.js'
import { until } from '../../support/until.js'

/** One test of the contract. */
export interface DirectoryCase {
  name: string
  run: () => Promise<void>
}

const HOUR = 3_600_000
let servers = 0

/** What every directory promises, as a suite: see `src/directory.ts`. */
export function directoryContract(make: () => Directory): DirectoryCase[] {
  const opened: { directory: Directory; host: TestHost }[] = []

  async function open(receive?: DirectoryHost['receive']) {
    const one = { directory: make(), host: new TestHost(receive) }
    opened.push(one)
    await one.directory.open(one.host)
    expect(one.host.ups.length).toBe(1)
    return one
  }

  const cases: Record<string, () => Promise<void>> = {
    'what was never written is not there': async () => {
      const { directory } = await open()
      expect(await directory.get('nobody')).toBeUndefined()
    },

    'an entry is made once, and changed only by who knows it as it is': async () => {
      const { directory } = await open()
      const { directory: other } = await open()
      const entry = { id: unique(), owner: undefined, text: '{"a":"line\\nline\nline ü"}' }
      const first = await directory.put(entry, undefined, HOUR)
      expect(await other.get(entry.id)).toEqual({ text: entry.text, revision: first })
      expect(await other.put({ ...entry, text: 'again' }, undefined, HOUR)).toBeUndefined()
      const second = await other.put({ ...entry, text: 'changed' }, first, HOUR)
      expect(second).toBeDefined()
      expect(second).not.toBe(first)
      expect(await directory.put({ ...entry, text: 'too late' }, first, HOUR)).toBeUndefined()
      expect(await directory.get(entry.id)).toEqual({ text: 'changed', revision: second })
    },

    'a revision is never that of another life of the same id': async () => {
      const { directory } = await open()
      const entry = { id: unique(), owner: 'owner', text: 'first life' }
      const first = (await directory.put(entry, undefined, HOUR))!
      expect(await directory.delete(entry, first)).toBe(true)
      expect(await directory.get(entry.id)).toBeUndefined()
      const second = (await directory.put({ ...entry, text: 'second' }, undefined, HOUR))!
      expect(await directory.put({ ...entry, text: 'wrong' }, first, HOUR)).toBeUndefined()
      expect(await directory.delete(entry, first)).toBe(false)
      expect(await directory.get(entry.id)).toEqual({ text: 'second', revision: second })
      expect(await directory.delete(entry, second)).toBe(true)
      expect(await directory.delete(entry, second)).toBe(true)
    },

    'of many who change an entry at once, one does': async () => {
      const { directory } = await open()
      const { directory: other } = await open()
      const entry = { id: unique(), owner: 'owner', text: 'before' }
      const makes = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          (i % 2 ? directory : other).put({ ...entry, text: String(i) }, undefined, HOUR),
        ),
      )
      const [revision, ...rest] = makes.filter((made) => made !== undefined)
      expect(rest).toEqual([])
      const changes = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          (i % 2 ? directory : other).put({ ...entry, text: String(i) }, revision, HOUR),
        ),
      )
      expect(changes.filter((made) => made !== undefined).length).toBe(1)
    },

    'the engine forgets an entry when its time is over': async () => {
      const { directory } = await open()
      const entry = { id: unique(), owner: unique(), text: 'for a moment' }
      const long = { id: unique(), owner: entry.owner, text: 'for long' }
      const first = (await directory.put(entry, undefined, HOUR))!
      await directory.put(long, undefined, HOUR)
      await directory.put(entry, first, 300)
      expect(await directory.get(entry.id)).toBeDefined()
      await until('it is forgotten', async () => (await directory.get(entry.id)) === undefined)
      expect(await directory.get(long.id)).toBeDefined()
      // As if it had never been.
      expect(await directory.put(entry, undefined, HOUR)).toBeDefined()
    },

    'every id and every owner is kept apart from all others': async () => {
      const { directory } = await open()
      const own = unique()
      const names = [
        'a',
        'A',
        'a b',
        'a.b',
        '*',
        '>',
        'a:b',
        '$',
        '/',
        '%61',
        'ü',
        '語'.repeat(200),
      ]
      const ids = names.map((name) => `${own}${name}`.slice(0, 256))
      await Promise.all(
        ids.map((id) => directory.put({ id, owner: id, text: `text of ${id}` }, undefined, HOUR)),
      )
      for (const id of ids) {
        expect((await directory.get(id))?.text).toBe(`text of ${id}`)
        expect(await directory.idsOf(id)).toEqual([id])
      }
    },

    "an owner's entries are found": async () => {
      const { directory } = await open()
      const owner = unique()
      const ids = [unique(), unique(), unique()]
      const revisions: string[] = []
      for (const id of ids) {
        revisions.push((await directory.put({ id, owner, text: 'x' }, undefined, HOUR))!)
      }
      expect((await directory.idsOf(owner)).sort()).toEqual([...ids].sort())
      await directory.delete({ id: ids[0]!, owner }, revisions[0]!)
      expect((await directory.idsOf(owner)).sort()).toEqual(ids.slice(1).sort())
      expect(await directory.idsOf(unique())).toEqual([])
    },

    'the servers are those with a lease': async () => {
      const one = await open()
      const other = await open()
      expect(await one.directory.servers()).toEqual(
        expect.arrayContaining([one.host.server, other.host.server]),
      )
      await other.directory.close()
      const left = await one.directory.servers()
      expect(left).toContain(one.host.server)
      expect(left).not.toContain(other.host.server)
    },

    'a server is asked, and answers': async () => {
      const asker = await open()
      const { host } = await open(async (message) => `answer to ${message}`)
      const large = 'x'.repeat(50_000)
      const messages = [...Array.from({ length: 100 }, (_, i) => `question ${i}`), large, '"\n\0ü']
      const outcomes = await Promise.all(
        messages.map((message) => asker.directory.ask(host.server, message, 5_000)),
      )
      expect(outcomes).toEqual(messages.map((message) => ({ answer: `answer to ${message}` })))
    },

    'a server that is not there, or says nothing, is waited for no longer than asked': async () => {
      const asker = await open()
      const { host, directory } = await open(() => new Promise(() => undefined))
      expect(await asker.directory.ask(host.server, 'are you there?', 300)).toBe('silent')
      await directory.close()
      const gone = async () => (await asker.directory.ask(host.server, 'and now?', 300)) === 'gone'
      await until('the engine knows that it has gone', gone)
      expect(await asker.directory.ask('never-was', 'hello', 5_000)).toBe('gone')
    },

    'after closing, every verb rejects at once': async () => {
      const { directory } = await open()
      await directory.close()
      await directory.close()
      const unavailable = { code: 'ERR_UNIFROST_DIRECTORY_UNAVAILABLE' }
      await expect(directory.get('x')).rejects.toMatchObject(unavailable)
      await expect(directory.servers()).rejects.toMatchObject(unavailable)
    },
  }

  return Object.entries(cases).map(([name, test]) => ({
    name,
    async run() {
      try {
        await test()
      } finally {
        await Promise.all(opened.splice(0).map(({ directory }) => directory.close()))
      }
    },
  }))
}

/** A server that only notes what it is told. */
export class TestHost implements DirectoryHost {
  readonly server = `server-${process.pid}-${servers++}`
  readonly ups: string[] = []
  readonly downs: Error[] = []
  lapses = 0

  constructor(readonly receive: DirectoryHost['receive'] = async () => 'nothing') {}

  up(memory: string): void {
    this.ups.push(memory)
  }

  down(error: Error): void {
    this.downs.push(error)
  }

  lapsed(): void {
    this.lapses++
  }
}

export function unique(): string {
  return `${process.pid}-${servers++}-`
}
