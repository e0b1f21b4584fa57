/** @needs Redis and NATS servers that may be stopped and started */
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { natsDirectory } from '../../../src/directories/nats.js'
import { redisDirectory } from '../../../src/directories/redis.js'
import type { Directory } from '../../../src/directory.js'
import { ADMIN as NATS_ADMIN, startNats } from '../../brokers/nats.js'
import { freePort } from '../../brokers/process.js'
import { adminClient, startRedis } from '../../brokers/redis.js'
import { until } from '../../support/until.js'
import { Servers } from './cluster-suite.js'
import { TestHost } from './contract.js'

const QUICK = { lease: 900, timeout: 500, connectTimeout: 500 }

/** What keeps a directory from opening, with its cause. */
async function refusal(directory: Directory): Promise<string> {
  try {
    await directory.open(new TestHost())
    return 'none'
  } catch (error) {
    return String((error as Error).message)
  } finally {
    await directory.close()
  }
}

describe('an engine that goes away', () => {
  const engines = {
    async redis() {
      const port = await freePort()
      const start = () => startRedis({ port })
      return {
        start,
        make: () => redisDirectory(`redis://admin:admin-secret@127.0.0.1:${port}`, QUICK),
      }
    },
    async nats() {
      const port = await freePort()
      const start = () => startNats({ port, jetstream: true })
      const target = { servers: `nats://127.0.0.1:${port}`, ...NATS_ADMIN }
      return { start, make: () => natsDirectory(target, QUICK) }
    },
  }

  test.each(Object.entries(engines))(
    'open streams go on without %s, and all is well once it is back, empty',
    async (_, prepare) => {
      const { start, make } = await prepare()
      let engine = await start()
      const servers = new Servers(make)
      try {
        const [a, b] = [await servers.start(), await servers.start()]
        const { id } = await a.newClient({ owner: 'alice' })
        await a.subscribe(id, 'news')
        const page = await servers.connect(a, id, { owner: 'alice' })
        expect(a.health()).toMatchObject({ ok: true, directory: 'up' })

        await engine.stop()
        await until('it is seen', () => a.health().directory === 'down')
        expect(a.health().ok).toBe(false)
        servers.publish('news', '1')
        await until('the message', () => page.got.includes('news=1'))
        const unavailable = { code: 'ERR_UNIFROST_DIRECTORY_UNAVAILABLE', status: 503 }
        await expect(a.newClient()).rejects.toMatchObject(unavailable)
        await expect(a.subscribe(id, 'more')).rejects.toMatchObject(unavailable)
        expect(a.getClient(id)?.topics).toEqual(['news'])
        await until('b sees it', () => b.health().directory === 'down')
        const refused = await servers.connect(b, id, { owner: 'alice' })
        expect(refused.refusal[0]).toBe(503)
        expect(refused.response.headers.get('retry-after')).toBe('5')

        // With a folder of its own: it knows nothing of what was.
        engine = await start()
        await until('it is back', () => a.health().ok && b.health().ok)
        await until('the client is known again', () => b.findClient(id))
        expect(page.response.writableEnded).toBe(false)
        await a.subscribe(id, 'more')
        await servers.connect(b, id, { owner: 'alice' })
        expect(b.getClient(id)?.topics.sort()).toEqual(['more', 'news'])
        expect(page.got.at(-1)).toBe('replaced:')
      } finally {
        await servers.close()
        await engine.stop()
      }
    },
  )
})

describe('an engine that will not do', () => {
  test('addresses of something else are refused at once', () => {
    const code = 'ERR_UNIFROST_OPTIONS'
    for (const address of ['http://localhost', 'nats://localhost', 'localhost:6379', '']) {
      expect(() => redisDirectory(address)).toThrow(expect.objectContaining({ code }))
    }
    for (const address of ['redis://localhost', 'http://localhost', '']) {
      expect(() => natsDirectory(address)).toThrow(expect.objectContaining({ code }))
    }
    expect(() => natsDirectory('nats://localhost', { bucket: 'a.b' })).toThrow(/letters, digits/)
    expect(() => natsDirectory('nats://localhost', { replicas: 2 })).toThrow(/1, 3 or 5/)
  })

  test('nobody is at the address', async () => {
    const port = await freePort()
    expect(await refusal(redisDirectory(`redis://127.0.0.1:${port}`))).toMatch(
      /could not be reached/,
    )
    expect(await refusal(natsDirectory(`nats://127.0.0.1:${port}`))).toMatch(/could not be reached/)
  })

  test('Redis is too old', async () => {
    // A fake one that says it is 5.0, since no package of such an old one is to be had.
    const info = 'redis_version:5.0.14\r\nrun_id:x\r\n'
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('data', (data) => {
        // Each command begins with a line of its own.
        for (const command of data.toString().split(/^(?=\*)/m)) {
          socket.write(/\binfo\b/i.test(command) ? `$${info.length}\r\n${info}\r\n` : '+OK\r\n')
        }
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    try {
      const said = await refusal(redisDirectory(`redis://127.0.0.1:${port}`, QUICK))
      expect(said).toMatch(/Redis 5\.0\.14.*needs Redis 6 or newer/)
    } finally {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    }
  })

  test('a user of Redis may not do what is needed', async () => {
    const redis = await startRedis()
    expect(await refusal(redisDirectory(redis.url, QUICK))).toMatch(/NOPERM.*docs\/scaling\.md/)
    await redis.stop()
  })

  test('the permissions in the docs are all that it takes', async () => {
    const redis = await startRedis({
      config: `user unifrost on >secret ~unifrost:* &unifrost:* -@all ${REDIS_PERMISSIONS}`,
    })
    const make = () => redisDirectory(`redis://unifrost:secret@127.0.0.1:${redis.port}`, QUICK)
    await everything(make)
    await redis.stop()
  })

  test('JetStream is off', async () => {
    const nats = await startNats()
    const target = { servers: nats.url, ...NATS_ADMIN }
    expect(await refusal(natsDirectory(target, QUICK))).toMatch(/JetStream is off.*-js/)
    await nats.stop()
  })

  test('the permissions of NATS in the docs are all that it takes', async () => {
    const nats = await startNats({ jetstream: true, users: NATS_USER })
    const target = { servers: nats.url, user: 'unifrost', pass: 'secret' }
    await everything(() => natsDirectory(target, QUICK))
    await nats.stop()
  })

  test('a full bucket refuses new clients, and says why', async () => {
    const nats = await startNats({ jetstream: true })
    const target = { servers: nats.url, ...NATS_ADMIN }
    const { connect } = await import('nats')
    const admin = await connect({ servers: nats.url, ...NATS_ADMIN })
    const kv = await admin.jetstream().views.kv('small', { max_bytes: 2_000 })
    void kv
    const servers = new Servers(() => natsDirectory(target, { ...QUICK, bucket: 'small' }))
    const a = await servers.start()
    const made: string[] = []
    const fill = async () => {
      for (let i = 0; i < 20; i++) made.push((await a.newClient()).id)
    }
    const error = (await fill().catch((cause: unknown) => cause)) as Error
    expect(error).toMatchObject({ code: 'ERR_UNIFROST_DIRECTORY_UNAVAILABLE', status: 503 })
    expect(String((error.cause as Error).message)).toMatch(/is full/)
    expect(made.length).toBeGreaterThan(0)
    await servers.close()
    await admin.close()
    await nats.stop()
  })

  test('records of another form are left alone, and their ids are nobody here', async () => {
    const redis = await startRedis()
    const admin = adminClient(redis.adminUrl)
    await admin.connect()
    const servers = new Servers(() => redisDirectory(redis.adminUrl, QUICK))
    const a = await servers.start()
    const own = (await a.newClient({ owner: 'alice' })).id
    const text = (await admin.get(`unifrost:client:${own}`))!
    const foreign: Record<string, string> = {
      'not-json': 'r\nnonsense',
      'no-revision': 'nonsense',
      'another-version': 'r\n{"v":2}',
      'of-another': text,
      'no-topics': text.replace(own, 'no-topics').replace('{}', '[1]'),
    }
    for (const [id, value] of Object.entries(foreign))
      await admin.set(`unifrost:client:${id}`, value)
    await admin.hSet('unifrost:client:a-hash', 'a', 'b')
    for (const id of [...Object.keys(foreign), 'a-hash']) {
      expect([id, (await servers.connect(a, id, { owner: 'alice' })).refusal[0]]).toEqual([id, 401])
      expect(await a.findClient(id)).toBeUndefined()
    }
    expect(servers.warnings).toContain('Ignored a directory record that this version cannot read.')
    for (const [id, value] of Object.entries(foreign)) {
      expect(await admin.get(`unifrost:client:${id}`)).toBe(value)
    }
    await servers.close()
    admin.destroy()
    await redis.stop()
  })

  test('what a newer version has written is kept when an older one writes', async () => {
    const redis = await startRedis()
    const admin = adminClient(redis.adminUrl)
    await admin.connect()
    const servers = new Servers(() => redisDirectory(redis.adminUrl, QUICK))
    const [a, b] = [await servers.start(), await servers.start()]
    const { id } = await a.newClient()
    const key = `unifrost:client:${id}`
    const text = (await admin.get(key))!
    await admin.set(key, text.replace('"v":1', '"v":1,"invented":{"later":[1]}'), {
      KEEPTTL: true,
    })
    await servers.connect(b, id)
    await b.subscribe(id, 'news')
    expect(await admin.get(key)).toContain('"invented":{"later":[1]}')
    await servers.close()
    admin.destroy()
    await redis.stop()
  })
})

/** The line in docs/scaling.md. */
const REDIS_PERMISSIONS =
  '+ping +info +get +set +del +eval +evalsha +time +zadd +zrem +zremrangebyscore +zrangebyscore ' +
  '+zrevrange +pexpireat +publish +subscribe +unsubscribe'

/** The block in docs/scaling.md. */
const NATS_USER = `{ user: unifrost, password: secret, permissions: {
  publish: [
    "$KV.unifrost.>", "unifrost.unifrost.*", "_INBOX.>",
    "$JS.API.STREAM.CREATE.KV_unifrost", "$JS.API.STREAM.INFO.KV_unifrost",
    "$JS.API.STREAM.MSG.GET.KV_unifrost", "$JS.API.STREAM.PURGE.KV_unifrost"
  ]
  subscribe: ["unifrost.unifrost.*", "_INBOX.>"]
} }`

/** Does once what a directory is there for. */
async function everything(make: () => Directory): Promise<void> {
  const servers = new Servers(make)
  const [a, b] = [await servers.start(), await servers.start()]
  const { id } = await a.newClient({ owner: 'alice' })
  await b.subscribe(id, 'news')
  await servers.connect(b, id, { owner: 'alice' })
  await a.unsubscribe(id, 'news')
  expect((await a.totals()).clients).toBe(1)
  expect(await a.revoke('alice')).toEqual({ ended: 1, pending: [] })
  await servers.close()
}
