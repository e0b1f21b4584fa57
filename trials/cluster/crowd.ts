/** Plays the browsers of a cost run: many clients that read and count, on raw sockets. */
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import type { Socket } from 'node:net'

export type CrowdCommand =
  { do: 'open'; count: number; each: number; topics: number } | { do: 'cut' } | { do: 'count' }

export interface CrowdReport {
  /** Streams that are open and have had their first message. */
  greeted: number
  /** Messages of topics, in all. */
  received: number
  /** Answers that were no stream, by their first line; the members came again. */
  refused: Record<string, number>
}

interface Member {
  id: string
  server: number
  socket: Socket | undefined
  greeted: boolean
  /** The end of what came, in case a line was cut. */
  tail: string
}

/** How many may be on their way at once. */
const ABREAST = 50
const servers = process.argv.slice(2).map((address) => {
  const [host = '', port = ''] = address.split(':')
  return { host, port: Number(port) }
})
const agent = new Agent({ keepAlive: true, maxSockets: ABREAST })
const members: Member[] = []
let received = 0
const refused: Record<string, number> = {}
/** How often a member that was refused comes again. */
const MOST_TRIES = 20

function post(server: number, path: string, body: object): Promise<any> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' }
    const asked = request({ ...servers[server], path, method: 'POST', agent, headers })
    asked.on('error', (error) => {
      // The server has closed a connection that was kept, as this was on its way.
      if (asked.reusedSocket) post(server, path, body).then(resolve, reject)
      else reject(error)
    })
    asked.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('end', () => {
        if ((response.statusCode ?? 500) < 300) resolve(JSON.parse(text))
        else reject(new Error(`POST ${path}: ${response.statusCode} ${text}`))
      })
    })
    asked.end(JSON.stringify(body))
  })
}

async function make(index: number, each: number, topics: number): Promise<Member> {
  const server = index % servers.length
  const { client_id: id } = await post(server, '/clients', {})
  const add = Array.from({ length: each }, (_, i) => `t${(index * each + i) % topics}`)
  await post(server, '/subscriptions', { client_id: id, add })
  return { id, server, socket: undefined, greeted: false, tail: '' }
}

/** Opens a member's stream, as often as it takes. */
async function open(member: Member): Promise<void> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    await attempt(member)
    if (member.greeted) return
  }
}

/** Settles when the stream has said its first words, or is refused. */
function attempt(member: Member): Promise<void> {
  return new Promise((resolve) => {
    const { host = '', port = 0 } = servers[member.server] ?? {}
    const socket = connect(port, host)
    socket.setEncoding('latin1')
    Object.assign(member, { socket, greeted: false, tail: '' })
    socket.write(`GET /events?id=${member.id} HTTP/1.1\r\nHost: crowd\r\n\r\n`)
    let head = ''
    let greeted = false
    socket.on('data', (text) => {
      if (!greeted) {
        head += String(text)
        if (!head.includes('"config"')) return
        greeted = true
        member.greeted = true
        resolve()
      }
      read(member, String(text))
    })
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      if (!greeted) {
        const line = head.split('\r\n', 1)[0] || 'no answer'
        refused[line] = (refused[line] ?? 0) + 1
      }
      if (member.socket === socket) member.greeted = false
      resolve()
    })
  })
}

/** Counts the events that have a name: those of topics. */
function read(member: Member, text: string): void {
  const whole = member.tail + text
  for (let at = whole.indexOf('event: '); at >= 0; at = whole.indexOf('event: ', at + 7)) received++
  // Less than what is looked for, so that nothing is counted twice.
  member.tail = whole.slice(-6)
}

/** Does it for everybody, a number of them at once. */
async function forAll(count: number, act: (index: number) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async () => {
    while (next < count) await act(next++)
  }
  await Promise.all(Array.from({ length: ABREAST }, lane))
}

async function obey(command: CrowdCommand): Promise<void> {
  if (command.do === 'open') {
    await forAll(command.count, async (index) => {
      const member = await make(index, command.each, command.topics)
      members.push(member)
      await open(member)
    })
  } else if (command.do === 'cut') {
    for (const { socket } of members) socket?.resetAndDestroy()
    // To the next server each, which has to adopt it.
    await forAll(members.length, (index) => {
      const member = members[index]!
      member.server = (member.server + 1) % servers.length
      return open(member)
    })
  }
}

process.on('message', (command: CrowdCommand) => {
  obey(command).then(
    () => {
      const greeted = members.filter((member) => member.greeted).length
      process.send?.({ greeted, received, refused } satisfies CrowdReport)
    },
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`)
      process.exit(1)
    },
  )
})
process.on('disconnect', () => process.exit())
