import request from 'supertest'
import { openEvents } from '../support/event-stream.js'
import type { App } from './support/apps.js'
import { apps } from './support/apps.js'
import { stageForEach } from './support/stage.js'

const [express, koa] = ['express 5', 'koa 3'].map((name) => apps.find((app) => app.name === name)!)

describe.each([express, koa] as App[])('$name', ({ build }) => {
  const stage = stageForEach()

  async function start(): Promise<string> {
    return stage.serve(
      build({ streamer: stage.streamer, auto: {}, allow: () => true, maxBodyBytes: 65_536 }),
    )
  }

  test.each([
    'topics=a',
    'topic[]=a',
    'topic%5B%5D=a',
    'topic[0]=a',
    'Topic=a',
    'topic=a&TOPICS=b',
  ])(
    'a request that names its topics by %s is told what the parameter is called',
    async (query) => {
      const answer = await request(await start()).get(`/events?${query}`)
      expect(answer.status).toBe(400)
      expect(answer.body).toEqual({
        error: {
          code: 'ERR_UNIFROST_TOPIC_NAME',
          message: expect.stringContaining('?topic=a&topic=b') as string,
        },
      })
      expect(stage.streamer.stats()).toMatchObject({ clients: 0, topics: 0 })
    },
  )

  test('as many topics as a client may have come by POST, where an address is too short', async () => {
    const url = await start()
    const topics = Array.from({ length: 256 }, (_, index) => `${index}.`.padEnd(66, 'x'))
    const query = topics.map((topic) => `topic=${topic}`).join('&')
    expect((await request(url).get(`/events?${query}`)).status).toBe(431)

    const { client_id: id } = (await request(url).post('/clients')).body as { client_id: string }
    const body = { client_id: id, add: topics }
    expect((await request(url).post('/subscriptions').send(body)).status).toBe(200)
    const stream = await openEvents(`${url}/events?id=${id}`)
    await stream.next('the first message', ({ event }) => event === 'message')
    expect(stream.infos[0]).toMatchObject({ subscriptions: topics })
  })

  describe('a position', () => {
    /** Which of three messages a client gets that is to come back behind the second. */
    async function after(query: (position: string) => string, header = ''): Promise<string[]> {
      const url = await start()
      const { id } = await stage.streamer.newClient()
      await stage.streamer.subscribe(id, 'a')
      const first = await openEvents(`${url}/events?id=${id}`)
      const seen: string[] = []
      for (const text of ['one', 'two', 'three']) {
        stage.driver.publish('a', text)
        seen.push((await first.next(text, ({ data }) => data === text)).id)
      }
      first.drop()
      const headers = header === '' ? {} : { 'last-event-id': seen[Number(header)]! }
      const again = await openEvents(`${url}/events?id=${id}${query(seen[1]!)}`, headers)
      await again.next('three', ({ data }) => data === 'three')
      return again.events.filter(({ event }) => event === 'a').map(({ data }) => data)
    }

    test.each(['last_event_id', 'lastEventId', 'lastEventID', 'Last-Event-ID'])(
      'may come as %s, which some library writes into the address',
      async (name) => {
        expect(await after((position) => `&${name}=${position}`)).toEqual(['three'])
      },
    )

    test('that a library appends counts before one that the page wrote into its address', async () => {
      const query = (position: string) => `&last_event_id=x-1&lastEventId=${position}&lastEventId=`
      expect(await after(query)).toEqual(['three'])
    })

    test('in the header counts before one in the address', async () => {
      expect(await after((position) => `&lastEventId=${position}`, '0')).toEqual(['two', 'three'])
    })
  })
})
