// Shows messages of Azure Service Bus topics in the browser. The topics must exist.
//
//   SERVICE_BUS='Endpoint=sb://…' npx tsx examples/azure-service-bus.ts
//   curl -N 'localhost:3000/events?topic=prices&topic=news'
//
// SERVICE_BUS_ADMIN is for the emulator, whose HTTP interface has another port.
import { ServiceBusClient } from '@azure/service-bus'
import express from 'express'
import { Streamer } from 'unifrost'
import { azureServiceBusDriver } from 'unifrost/drivers/azure-service-bus'
import { autoClient, unifrostExpress } from 'unifrost/express'

const connectionString = process.env.SERVICE_BUS ?? ''
const adminConnectionString = process.env.SERVICE_BUS_ADMIN ?? connectionString
const topics = ['prices', 'news']

const driver = azureServiceBusDriver({ connectionString, adminConnectionString })
const streamer = new Streamer(driver)
const app = express()

app.use(
  '/events',
  autoClient(streamer, { authorize: (_principal, topic) => topics.includes(topic) }),
  unifrostExpress(streamer),
)

const server = app.listen(Number(process.env.PORT ?? 3000), 'localhost', () => {
  const { port } = server.address() as { port: number }
  console.log(`Listening on http://localhost:${port}`)
})
const publisher = new ServiceBusClient(connectionString)
const senders = topics.map((topic) => publisher.createSender(topic))
let count = 0
let sending: Promise<unknown> = Promise.resolve()
const timer = setInterval(() => {
  // The library would send a string as JSON, in quotes.
  const body = Buffer.from(String(++count))
  sending = Promise.all(senders.map((sender) => sender.sendMessages({ body })))
}, 1_000)

process.once('SIGTERM', async () => {
  clearInterval(timer)
  await streamer.shutdown(server)
  await sending
  await publisher.close()
})
