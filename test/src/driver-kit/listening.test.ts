import { Link, listenOver, Sources } from 'unifrost/driver-kit'
import { recordingSink, until } from 'unifrost/testing'

/** A connection of a library that forgets its topics with the connection. */
class FakeConnection {
  readonly topics = new Map<string, (message: string) => void>()
  readonly confirming: (() => void)[] = []
  refusal: Error | undefined
  ended = false
  lose: (reason: unknown) => void = () => undefined
  readonly lost = new Promise<unknown>((resolve) => (this.lose = resolve))

  listen(topic: string, message: (message: string) => void): Promise<void> {
    if (this.refusal !== undefined) return Promise.reject(this.refusal)
    this.topics.set(topic, message)
    return new Promise((resolve) => this.confirming.push(resolve))
  }

  confirm(): void {
    for (const confirm of this.confirming.splice(0)) confirm()
  }
}

let connections: FakeConnection[]
let link: Link<FakeConnection>
let sources: Sources<string>
let refusesNext: Error | undefined

beforeEach(() => {
  connections = []
  refusesNext = undefined
  link = new Link({
    broker: 'Fake',
    where: 'localhost:1',
    async connect() {
      const connection = new FakeConnection()
      connection.refusal = refusesNext
      connections.push(connection)
      return connection
    },
    lost: (connection) => connection.lost,
    end: (connection) => (connection.ended = true),
    again: () => true,
  })
  const open = listenOver<FakeConnection, string>(link, {
    listen: (connection, source, message) => connection.listen(source, message),
    stop: async (connection, source) => connection.topics.delete(source),
    refusal: (_, error) => (/denied/.test(String(error)) ? (error as Error) : undefined),
    what: (source) => `channel ${source}`,
    subscribeTimeout: 200,
  })
  sources = new Sources<string>('fakeDriver', open, {}, (message) => message)
})

afterEach(async () => {
  await link.close()
  await sources.close()
})

const connection = async (number: number) => {
  await until(`connection ${number}`, () => connections.length === number)
  return connections[number - 1]!
}

async function open(topic = 'x') {
  const sink = recordingSink()
  const opening = sources.subscribe(topic, sink)
  const first = await connection(1)
  await until('it to be asked for', () => first.confirming.length > 0)
  first.confirm()
  return { sink, first, subscription: await opening }
}

test('a topic is asked for on each connection, and the gap stands before what follows', async () => {
  const { sink, first } = await open()
  first.topics.get('x')!('1')
  first.lose('cable')
  const second = await connection(2)
  await until('it to be asked for', () => second.topics.has('x'))
  expect(sink.entries).toHaveLength(1)
  // The broker delivers before its confirmation has been told.
  second.topics.get('x')!('2')
  second.confirm()
  second.topics.get('x')!('3')
  await new Promise(setImmediate)
  expect(sink.entries.map((entry) => entry.type)).toEqual(['message', 'gap', 'message', 'message'])
  expect(sink.entries[1]).toMatchObject({ reason: expect.stringContaining('lost (cable)') })
  expect(sink.texts()).toEqual(['1', '2', '3'])
})

test('what a connection that was replaced still says is ignored', async () => {
  const { sink, first } = await open()
  first.lose('cable')
  const second = await connection(2)
  await until('it to be asked for', () => second.topics.has('x'))
  second.confirm()
  await new Promise(setImmediate)
  first.topics.get('x')!('late')
  expect(sink.texts()).toEqual([])
})

test('a broker that never confirms: it is said in time, and taken back', async () => {
  const opening = sources.subscribe('x', recordingSink())
  await expect(opening).rejects.toThrow(
    'Fake at localhost:1 did not confirm channel x within 200 ms.',
  )
  expect((await connection(1)).topics.size).toBe(0)
})

test('a refusal rejects the first time, and ends the topic later', async () => {
  refusesNext = new Error('denied')
  await expect(sources.subscribe('x', recordingSink())).rejects.toThrow('denied')
  const [first] = connections
  first!.refusal = undefined
  const { sink } = await open('y')
  first!.lose('restart')
  await until('the topic to end', () => sink.entries.length > 0)
  expect(sink.entries).toMatchObject([{ type: 'fail' }])
})

test('any other failure gives the connection up, and the next one is asked', async () => {
  refusesNext = new Error('broken pipe')
  const sink = recordingSink()
  const opening = sources.subscribe('x', sink)
  const first = await connection(1)
  refusesNext = undefined
  const second = await connection(2)
  expect(first.ended).toBe(true)
  await until('it to be asked for', () => second.topics.has('x'))
  second.confirm()
  await opening
})

test('an opening that fails until its time is up says why in the words of the broker', async () => {
  refusesNext = new Error('BUSY running a script')
  await expect(sources.subscribe('x', recordingSink())).rejects.toThrow(
    'Fake at localhost:1 did not confirm channel x within 200 ms (BUSY running a script).',
  )
})

test('a gap says why the link was lost', async () => {
  const { sink, first } = await open()
  first.lose(new Error('BUSY running a script'))
  const second = await connection(2)
  await until('it to be asked for', () => second.topics.has('x'))
  second.confirm()
  await sink.until('a gap', () => sink.count('gap') === 1)
  expect(sink.entries).toMatchObject([{ reason: expect.stringContaining('(BUSY running a') }])
})

test('a topic that is closed is taken back', async () => {
  const { first, subscription } = await open()
  await subscription.close()
  expect(first.topics.size).toBe(0)
})

test('closing the link ends an opening that is under way', async () => {
  const opening = sources.subscribe('x', recordingSink())
  const first = await connection(1)
  await until('it to be asked for', () => first.topics.has('x'))
  await Promise.all([expect(opening).rejects.toThrow('has been closed'), link.close()])
})
