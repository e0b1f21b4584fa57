/** @needs a PostgreSQL server that may be stopped and started */
import { Client } from 'pg'
import { postgresDriver } from '../../../src/drivers/postgres.js'
import type {
  PostgresClient,
  PostgresConfig,
  PostgresDriverOptions,
} from '../../../src/drivers/postgres.js'
import { checkNoSilentLoss } from '../../../src/testing/load.js'
import { recordingSink, until } from '../../../src/testing/index.js'
import { ADMIN, startPostgres, TLS_ONLY } from '../../brokers/postgres.js'
import { freePort } from '../../brokers/process.js'
import { openEvents } from '../../support/event-stream.js'
import { startScript } from '../../support/script.js'
import { cutUnderLoad } from './bursts.js'
import { LIMITS, PostgresFixture, QUICK } from './postgres-harness.js'
import { eventually } from '../../support/until.js'

describe('postgresDriver on a PostgreSQL server', () => {
  const fixture = new PostgresFixture()
  beforeAll(() => fixture.start())
  afterAll(() => fixture.stop())

  const toClose: { close(): Promise<unknown> }[] = []
  afterEach(async () => {
    for (const it of toClose.splice(0).reverse()) await it.close()
  })

  type Target = PostgresClient | PostgresConfig | string
  function made(options: PostgresDriverOptions = {}, target: Target = fixture.url) {
    const driver = postgresDriver(target, { ...LIMITS, ...options })
    toClose.push(driver)
    return driver
  }

  async function connected(url = fixture.url): Promise<Client> {
    const client = new Client(url)
    toClose.push({ close: () => client.end() })
    await client.connect()
    return client
  }

  async function opened(driver: ReturnType<typeof made>, ...topics: string[]) {
    const sinks = topics.map(() => recordingSink())
    await Promise.all(topics.map((topic, index) => driver.subscribe(topic, sinks[index]!)))
    return sinks
  }

  describe('a topic', () => {
    test('is read from the channel that address gives, with what payload makes', async () => {
      const driver = made({
        address: (topic) => `app:${topic.toLowerCase()}`,
        payload: ({ channel, payload }) => `${channel} ${payload}`,
      })
      const sinks = [recordingSink(), recordingSink()]
      const [first] = await Promise.all([
        driver.subscribe('Likes', sinks[0]!),
        driver.subscribe('LIKES', sinks[1]!),
      ])
      await eventually(async () => expect(await fixture.connections()).toHaveLength(1))
      await fixture.notify('app:likes', '1')
      for (const sink of sinks) await sink.received(1)
      await first.close()
      await fixture.notify('app:likes', '2')
      await sinks[1]!.received(2)
      expect(sinks.map((sink) => sink.texts())).toEqual([
        ['app:likes 1'],
        ['app:likes 1', 'app:likes 2'],
      ])
    })

    test('has the channel of its name letter by letter, up to 63 bytes', async () => {
      const names = ['News', 'news', 'a"b"; --', "o'clock", '✓ ünï', '"', 'x'.repeat(63), ' ']
      const sinks = await opened(made(), ...names)
      for (const name of names) await fixture.notify(name, `for ${name}`)
      for (const sink of sinks) await sink.received(1)
      expect(sinks.map((sink) => sink.texts())).toEqual(names.map((name) => [`for ${name}`]))
    })

    test('gets what is for it of one channel that carries many', async () => {
      const driver = made({
        sources: ['events'],
        route: ({ payload }) => (JSON.parse(payload) as { to: string }).to,
      })
      const [ann, bob] = await opened(driver, 'user.ann', 'user.bob')
      const message = (to: string) => JSON.stringify({ to })
      for (const to of ['user.ann', 'user.eve', 'user.bob', 'user.ann']) {
        await fixture.notify('events', message(to))
      }
      await ann!.received(2)
      await bob!.received(1)
      expect(ann!.texts()).toEqual([message('user.ann'), message('user.ann')])
      expect(bob!.texts()).toEqual([message('user.bob')])
    })

    test('takes payloads from none to 7,999 bytes, the most there may be', async () => {
      const [sink] = await opened(made(), 'sizes')
      const longest = 'é'.repeat(3_999) + 'x'
      await fixture.query('NOTIFY sizes')
      await fixture.notify('sizes', longest)
      await expect(fixture.notify('sizes', 'x'.repeat(8_000))).rejects.toThrow('payload string')
      await sink!.received(2)
      expect(sink!.texts()).toEqual(['', longest])
    })
  })

  describe('who is not let in is told', () => {
    const connecting = (target: Target) => made({}, target).connect()

    test('a wrong password, and a user that is not there', async () => {
      const wrong = connecting(fixture.urlWith({ password: 'wr0ng' }))
      await expect(wrong).rejects.toThrow(/127\.0\.0\.1:\d+ refused the credentials/)
      await expect(wrong).rejects.toThrow(/^(?!.*wr0ng).*28P01/)
      const nobody = connecting(fixture.urlWith({ username: 'nobody' }))
      await expect(nobody).rejects.toThrow('Check user and password')
      const without = connecting(fixture.urlWith({ password: '' }))
      await expect(without).rejects.toThrow(/refused the credentials.*password/)
    })

    test('a database that is not there, and one that the user may not connect to', async () => {
      const absent = connecting(fixture.urlWith({ pathname: '/nope' }))
      await expect(absent).rejects.toThrow(/no such database.*"nope".*Create it/)
      await fixture.query("CREATE ROLE stranger LOGIN PASSWORD 'x'")
      const stranger = connecting(fixture.urlWith({ username: 'stranger', password: 'x' }))
      await expect(stranger).rejects.toThrow(/42501.*GRANT CONNECT ON DATABASE/)
    })

    test('no TLS where the user needs it, and a certificate that nobody vouches for', async () => {
      await fixture.query(`CREATE ROLE ${TLS_ONLY} LOGIN PASSWORD 'x'`)
      await fixture.query(`GRANT CONNECT ON DATABASE app TO ${TLS_ONLY}`)
      const connectionString = fixture.urlWith({ username: TLS_ONLY, password: 'x' })
      await expect(connecting(connectionString)).rejects.toThrow(
        /no encryption.*ssl in the settings/,
      )
      await expect(connecting({ connectionString, ssl: true })).rejects.toThrow(
        /No TLS connection to PostgreSQL at .*certificate/,
      )
      const ssl = { ca: fixture.server!.certificate }
      const [sink] = await opened(made({}, { connectionString, ssl }), 'over TLS')
      await fixture.notify('over TLS', 'x')
      await sink!.received(1)
    })

    test('TLS of a server without it, and a standby, until it is promoted', async () => {
      const standby = await startPostgres({ standby: true, tls: 'off' })
      const admin = new Client(standby.adminUrl)
      try {
        const connectionString = standby.adminUrl
        await expect(connecting({ connectionString, ssl: true })).rejects.toThrow(
          /No TLS connection.*does not support SSL/,
        )
        const driver = made({}, connectionString)
        await expect(driver.connect()).rejects.toThrow(
          /can't LISTEN.*Give the address of the primary/,
        )
        await expect(driver.subscribe('x', recordingSink())).rejects.toThrow('primary')
        await admin.connect()
        await admin.query('SELECT pg_promote()')
        await driver.connect()
        const [sink] = await opened(driver, 'x')
        await admin.query("NOTIFY x, 'y'")
        await sink!.received(1)
        await driver.close()
      } finally {
        await admin.end()
        await standby.stop()
      }
    })
  })

  test('a user whose password is changed loses every topic, and the new one lets the next in', async () => {
    await fixture.query(
      "CREATE ROLE gone LOGIN PASSWORD 'x'; GRANT CONNECT ON DATABASE app TO gone",
    )
    let password = 'x'
    const { port } = fixture.link
    const target = { host: '127.0.0.1', port, database: 'app', user: 'gone' }
    const driver = made({}, { ...target, password: () => password })
    const sinks = await opened(driver, 'g0', 'g1')
    await fixture.query("ALTER ROLE gone PASSWORD 'y'")
    await terminate('gone')
    for (const sink of sinks) await sink.until('fail', () => sink.count('fail') === 1)
    await expect(driver.subscribe('g2', recordingSink())).rejects.toThrow('refused the credentials')
    password = 'y'
    const [again] = await opened(driver, 'g0')
    await fixture.notify('g0', 'x')
    await again!.received(1)
  })

  /** As an administrator ends connections, and as PostgreSQL does when it is shut down. */
  async function terminate(user: string): Promise<void> {
    await fixture.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1',
      [user],
    )
  }

  test('a server that is started later is found by the next subscribe', async () => {
    const port = await freePort()
    const url = `postgres://${ADMIN.user}:${ADMIN.password}@127.0.0.1:${port}/postgres`
    const driver = made({}, url)
    await expect(driver.connect()).rejects.toThrow(`127.0.0.1:${port}`)
    await expect(driver.subscribe('x', recordingSink())).rejects.toThrow('Start it, or correct')
    const late = await startPostgres({ port })
    try {
      await driver.connect()
      await opened(driver, 'x')
      await driver.close()
    } finally {
      await late.stop()
    }
  })

  test('a link that is cut again and again under load: in order, once, every loss told', async () => {
    const [sink] = await opened(made(), 'load')
    const confirmed = await cutUnderLoad(
      sink!,
      async (payloads) => {
        await fixture.query('SELECT pg_notify($1, it) FROM unnest($2::text[]) it', [
          'load',
          payloads,
        ])
      },
      () => fixture.link.cut(),
    )
    checkNoSilentLoss('load', sink!.entries, confirmed)
    expect(sink!.count('gap')).toBeGreaterThan(0)
  })

  test('each of thousands of topics gets one gap when the server ends the connection', async () => {
    const names = Array.from({ length: 3_000 }, (_, index) => `gaps.${index}`)
    const sinks = await opened(made(), ...names)
    await terminate('unifrost')
    for (const sink of sinks) await sink.until('a gap', () => sink.count('gap') === 1)
    await fixture.notify('gaps.7', 'after')
    await sinks[7]!.received(1)
    expect(sinks.map((sink) => sink.entries.map(({ type }) => type).join())).toEqual(
      sinks.map((_, index) => (index === 7 ? 'gap,message' : 'gap')),
    )
  })

  test('a primary that comes back as a standby is tried until it is promoted', async () => {
    const own = await startPostgres()
    const admin = () => new Client(own.adminUrl)
    const driver = made({}, own.adminUrl)
    try {
      const [sink] = await opened(driver, 'failover')
      await own.kill()
      await own.demote()
      await own.start()
      await expect(driver.subscribe('other', recordingSink())).rejects.toThrow('primary')
      const client = admin()
      await client.connect()
      await client.query('SELECT pg_promote()')
      await sink!.until('a gap', () => sink!.count('gap') === 1)
      await client.query("NOTIFY failover, 'x'")
      await sink!.received(1)
      await client.end()
      expect(sink!.entries.map(({ type }) => type)).toEqual(['gap', 'message'])
    } finally {
      await driver.close()
      await own.stop()
    }
  })

  test('with the default settings a link gone silent is noticed in about three seconds', async () => {
    const driver = postgresDriver(fixture.url)
    toClose.push(driver)
    const [sink] = await opened(driver, 'silent')
    const from = performance.now()
    fixture.link.stall()
    await sink!.until('a gap', () => sink!.count('gap') === 1)
    expect(performance.now() - from).toBeGreaterThan(1_900)
  })

  test('a frozen server costs no more than the connect timeout, and close no longer', async () => {
    const own = await startPostgres()
    try {
      const driver = made({ connectTimeout: 300 }, own.adminUrl)
      const closing = made({ connectTimeout: 20_000, subscribeTimeout: 20_000 }, own.adminUrl)
      await own.freeze()
      await expect(driver.connect()).rejects.toThrow('within 300 ms')
      const subscribing = closing.subscribe('x', recordingSink()).catch((error: Error) => error)
      await closing.close()
      expect(String(await subscribing)).toContain('closed')
      await own.thaw()
      const back = () =>
        driver.connect().then(
          () => true,
          () => false,
        )
      await until('the server answers', back)
      await opened(driver, 'x')
      await driver.close()
    } finally {
      await own.stop()
    }
  })

  test('closing while the server is away settles and leaves nothing running', async () => {
    const own = await startPostgres()
    const driver = made({}, own.adminUrl)
    await opened(driver, 'x')
    await own.stop()
    const from = performance.now()
    await driver.close()
    expect(performance.now() - from).toBeLessThan(15_000)
  })

  describe('a client that was brought', () => {
    const channels = async (client: Client) => {
      const { rows } = await client.query('SELECT pg_listening_channels() AS name')
      return (rows as { name: string }[]).map(({ name }) => name).sort()
    }
    const EVENTS = ['notification', 'error', 'end']
    const listeners = (client: Client) => EVENTS.map((event) => client.listenerCount(event))

    test('listens to what is open, and is left as it was', async () => {
      const client = await connected()
      await client.query('LISTEN mine')
      const before = listeners(client)
      const driver = made({}, client)
      const sinks = [recordingSink(), recordingSink(), recordingSink()]
      const [first] = await Promise.all(sinks.map((sink, i) => driver.subscribe(`b${i}`, sink)))
      expect(await channels(client)).toEqual(['b0', 'b1', 'b2', 'mine'])
      await first!.close()
      expect(await channels(client)).toEqual(['b1', 'b2', 'mine'])
      await driver.close()
      expect(await channels(client)).toEqual(['mine'])
      expect(listeners(client)).toEqual(before)
    })

    test('ends its topics with its connection, and the error says what to do', async () => {
      const client = await connected()
      client.on('error', () => undefined)
      const driver = made({}, client)
      const sinks = await opened(driver, 'b0', 'b1')
      fixture.link.cut()
      for (const sink of sinks) await sink.until('fail', () => sink.count('fail') === 1)
      const help = 'make a new client and a new driver'
      const error = expect.objectContaining({ message: expect.stringContaining(help) })
      expect(sinks.map((sink) => sink.entries)).toEqual([
        [{ type: 'fail', error }],
        [{ type: 'fail', error }],
      ])
      await expect(driver.subscribe('b2', recordingSink())).rejects.toThrow(help)
      await expect(driver.connect()).rejects.toThrow(help)
    })

    test('without a listener for errors of its own does not end the process', async () => {
      const client = await connected()
      const [sink] = await opened(made({}, client), 'b0')
      await terminate('unifrost')
      await sink!.until('fail', () => sink!.count('fail') === 1)
    })

    test('ends its topics where it has gone silent, too', async () => {
      const client = await connected()
      client.on('error', () => undefined)
      const [sink] = await opened(made({ connectTimeout: 500 }, client), 'b0')
      fixture.link.stall()
      await sink!.until('fail', () => sink!.count('fail') === 1)
      fixture.link.cut()
    })

    test('is listened with anew after a query of its owner that took too long', async () => {
      const client = await connected()
      const [sink] = await opened(made({}, client), 'b0')
      const slow = client.query('SELECT pg_sleep(1.5)')
      await sink!.until('a gap', () => sink!.count('gap') === 1)
      await slow
      await fixture.notify('b0', 'x')
      await sink!.received(1)
      expect(sink!.entries.map(({ type }) => type)).toEqual(['gap', 'message'])
    })

    test('that is not connected is refused with what to do, and left as it was', async () => {
      const client = new Client(fixture.url)
      const driver = made({ connectTimeout: 300 }, client)
      await expect(driver.connect()).rejects.toThrow(/the given client.*It has to be connected/)
      await driver.close()
      expect(listeners(client)).toEqual([0, 0, 0])
    })
  })

  test('a busy process takes no living link for a dead one', async () => {
    const [sink] = await opened(made(QUICK), 'busy')
    for (let round = 0; round < 3; round++) {
      const end = performance.now() + 700
      while (performance.now() < end);
      await fixture.notify('busy', String(round))
      await sink!.received(round + 1)
    }
    expect(sink!.count('gap')).toBe(0)
  })

  test('the example publishes and shows', async () => {
    const script = await startScript('examples/postgres.ts', { DATABASE_URL: fixture.url })
    try {
      const stream = await openEvents(`${script.url}/events?topic=news`)
      await stream.next('news', ({ event }) => event === 'news')
      expect(await script.stop()).toBe(0)
    } finally {
      await script.stop()
    }
  })
})
