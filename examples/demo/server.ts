/**
 * A demo of unifrost: a ticker, likes, a chat room and topics to switch on and off, in a page
 * that counts for itself whether anything is missing.
 *
 *   npm start                                     in this process
 *   NATS_URL=nats://localhost:4222 npm start      through a NATS server
 *
 * PORT (3000), TOPICS (12) and CLIENT_TTL (60000, in milliseconds) may be set as well.
 */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Streamer } from 'unifrost'
import { createApp } from './app.js'
import { openBroker } from './broker.js'
import { Publisher } from './publisher.js'
import { readSettings, StartError } from './settings.js'
import { tickTopics } from './topics.js'

async function start(): Promise<void> {
  const settings = readSettings(process.env)
  const broker = await openBroker(settings.natsUrl)
  const streamer = new Streamer(broker.driver, {
    clientTTL: settings.clientTTL,
    // Keeps the chat's last messages after all users were away for a while.
    topicLinger: 3_600_000,
    history: { maxAge: 3_600_000 },
  })
  const ticks = tickTopics(settings.topics)
  const publisher = new Publisher(broker.publish, ticks)
  const server = createServer(createApp({ streamer, publisher, brokerName: broker.name, ticks }))

  try {
    await listen(server, settings.port)
  } catch (error) {
    await streamer.close()
    await broker.close()
    throw error
  }
  publisher.start()
  const { port } = server.address() as AddressInfo
  process.stdout.write(`unifrost demo on http://localhost:${port} (${broker.name})\n`)

  const stop = async (): Promise<void> => {
    publisher.stop()
    await streamer.shutdown(server)
    await broker.close()
  }
  let stopping = false
  const onSignal = (): void => {
    // A second signal ends the process at once.
    if (stopping) process.exit(1)
    stopping = true
    stop().then(() => process.exit(0), fail)
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port)
  try {
    await once(server, 'listening')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const other = `Choose another one: PORT=${port < 65_535 ? port + 1 : 3000} npm start`
    if (code === 'EADDRINUSE') throw new StartError(`Port ${port} is in use. ${other}`)
    if (code === 'EACCES') throw new StartError(`Port ${port} is not allowed. ${other}`)
    throw new StartError(message)
  }
}

function fail(error: unknown): never {
  // A StartError is one line; for other errors the stack shows where the mistake is.
  const text =
    error instanceof StartError
      ? error.message.replace(/\s*\n\s*/g, ' ')
      : error instanceof Error
        ? error.stack || error.name
        : String(error)
  process.stderr.write(`unifrost demo: ${text}\n`)
  process.exit(1)
}

start().catch(fail)
