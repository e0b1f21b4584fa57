// Stands in for Azure Service Bus, which has no server to install: an AMQP 1.0 peer made with
// rhea, and as much of the HTTP interface for subscriptions as is needed. It is not the real
// thing. Every topic exists, but those that begin with `missing` or were deleted.
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import rhea from 'rhea'

const [port, adminPort] = [Number(process.env.PORT), Number(process.env.ADMIN_PORT)]
const container = rhea.create_container({ id: 'stand-in' })
const subscriptions = new Map()
const deleted = new Set()
const connections = new Set()
/** By connection and address: where requests are answered. */
const answering = new WeakMap()
let sequence = 0

const topicOf = (entity) => entity.split('/Subscriptions/')[0]
const exists = (topic) => !topic.startsWith('missing') && !deleted.has(topic)

function publish(topic, message) {
  if (!exists(topic)) return
  for (const [entity, { waiting, links }] of subscriptions) {
    if (topicOf(entity) !== topic) continue
    waiting.push(message)
    for (const link of links) pump(entity, link)
  }
}

function pump(entity, link) {
  const { waiting } = subscriptions.get(entity) ?? { waiting: [] }
  while (waiting.length > 0 && link.is_open() && link.sendable()) {
    const message = waiting.shift()
    link.send({
      ...message,
      message_id: message.message_id ?? randomUUID(),
      message_annotations: {
        ...message.message_annotations,
        'x-opt-sequence-number': rhea.types.wrap_long(++sequence),
        'x-opt-enqueued-time': rhea.types.wrap_timestamp(Date.now()),
      },
    })
  }
}

function drop(entity) {
  const { links } = subscriptions.get(entity) ?? { links: [] }
  subscriptions.delete(entity)
  const description = `The messaging entity '${entity}' could not be found.`
  for (const link of links) link.close({ condition: 'amqp:not-found', description })
}

container.on('connection_open', ({ connection }) => connections.add(connection))
for (const event of ['connection_close', 'disconnected']) {
  container.on(event, ({ connection }) => {
    connections.delete(connection)
    for (const { links } of subscriptions.values()) {
      for (const link of links) if (link.connection === connection) links.delete(link)
    }
  })
}
// An error of one connection is no concern of the others.
for (const event of [
  'connection_error',
  'session_error',
  'sender_error',
  'receiver_error',
  'error',
]) {
  container.on(event, () => undefined)
}

// A sender of ours is what a client receives from.
container.on('sender_open', ({ sender }) => {
  const { source, target } = sender.remote.attach
  const { address } = source
  sender.set_source({ address })
  sender.set_target({ address: target?.address })
  if (address === '$cbs' || address.endsWith('/$management')) {
    const links = answering.get(sender.connection) ?? new Map()
    answering.set(sender.connection, links.set(address, sender))
    return
  }
  const found = subscriptions.get(address)
  if (found === undefined) {
    const description = `The messaging entity '${address}' could not be found.`
    sender.close({ condition: 'amqp:not-found', description })
    return
  }
  found.links.add(sender)
})
container.on('sendable', ({ sender }) => {
  const entity = sender.source.address
  if (subscriptions.has(entity)) pump(entity, sender)
})
container.on('sender_close', ({ sender }) => {
  subscriptions.get(sender.source?.address)?.links.delete(sender)
  sender.close()
})
container.on('receiver_open', ({ receiver }) => {
  const { source, target } = receiver.remote.attach
  receiver.set_source({ address: source?.address })
  receiver.set_target({ address: target.address })
})

function answer({ connection }, address, { message_id }, application_properties) {
  const link = answering.get(connection)?.get(address)
  if (!link?.is_open()) return
  link.send({ correlation_id: message_id, body: undefined, application_properties })
}

container.on('message', (context) => {
  const { message, receiver } = context
  const address = receiver.target.address
  if (address === '$cbs') {
    const refused = String(message.body).includes('skn=wrong')
    const [code, words] = refused ? [401, 'InvalidSignature: no such key.'] : [202, 'Accepted']
    const properties = { 'status-code': code, 'status-description': words }
    answer(context, address, message, properties)
  } else if (address.endsWith('/$management')) {
    answer(context, address, message, { statusCode: 204, statusDescription: 'No Content' })
  } else publish(address, message)
})

container.listen({
  port,
  host: '127.0.0.1',
  sender_options: { snd_settle_mode: 1 },
  max_frame_size: 65_536,
})

const entry = (host, topic, name) => `<?xml version="1.0" encoding="utf-8"?>
<entry xmlns="http://www.w3.org/2005/Atom"><id>http://${host}/${topic}/Subscriptions/${name}</id>
<title type="text">${name}</title><content type="application/xml">
<SubscriptionDescription xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect">
<LockDuration>PT1M</LockDuration><RequiresSession>false</RequiresSession>
<DefaultMessageTimeToLive>PT1H</DefaultMessageTimeToLive>
<DeadLetteringOnMessageExpiration>false</DeadLetteringOnMessageExpiration>
<DeadLetteringOnFilterEvaluationExceptions>true</DeadLetteringOnFilterEvaluationExceptions>
<MaxDeliveryCount>10</MaxDeliveryCount><EnableBatchedOperations>true</EnableBatchedOperations>
<Status>Active</Status><AutoDeleteOnIdle>PT5M</AutoDeleteOnIdle>
<EntityAvailabilityStatus>Available</EntityAvailabilityStatus>
</SubscriptionDescription></content></entry>`

const namespaceInfo = `<?xml version="1.0" encoding="utf-8"?>
<entry xmlns="http://www.w3.org/2005/Atom"><id>http://stand-in/$namespaceinfo</id>
<title type="text">stand-in</title><content type="application/xml">
<NamespaceInfo xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect">
<CreatedTime>2026-01-01T00:00:00Z</CreatedTime><MessagingSKU>Standard</MessagingSKU>
<ModifiedTime>2026-01-01T00:00:00Z</ModifiedTime><Name>stand-in</Name>
<NamespaceType>Messaging</NamespaceType></NamespaceInfo></content></entry>`

async function handle(request, body) {
  const url = new URL(request.url, 'http://stand-in')
  const path = decodeURIComponent(url.pathname).slice(1)
  if (path === 'state') {
    return [
      200,
      JSON.stringify({ subscriptions: [...subscriptions.keys()], connections: connections.size }),
    ]
  }
  if (path.startsWith('publish/')) {
    const properties = JSON.parse(request.headers['x-properties'] ?? '{}')
    const message = { body: rhea.message.data_section(body), application_properties: properties }
    publish(path.slice('publish/'.length), message)
    return [201, '']
  }
  if (path.startsWith('publish-all/')) {
    for (const text of JSON.parse(body)) {
      const message = { body: rhea.message.data_section(Buffer.from(text)) }
      publish(path.slice('publish-all/'.length), message)
    }
    return [201, '']
  }
  if ((request.headers.authorization ?? '').includes('skn=wrong')) {
    return [401, '<Error><Code>401</Code><Detail>InvalidSignature: no such key.</Detail></Error>']
  }
  if (path === '$namespaceinfo') {
    return [200, namespaceInfo]
  }
  const [, topic, name] = /^(.+)\/Subscriptions\/([^/]+)$/.exec(path) ?? []
  if (topic === undefined) {
    if (request.method !== 'DELETE') return [404, '<Error><Code>404</Code></Error>']
    deleted.add(path)
    for (const entity of subscriptions.keys()) if (topicOf(entity) === path) drop(entity)
    return [200, '']
  }
  if (topic.startsWith('denied')) {
    const detail = `Authorization failed for specified action: Manage on ${topic}.`
    return [401, `<Error><Code>401</Code><Detail>${detail}</Detail></Error>`]
  }
  const entity = `${topic}/Subscriptions/${name}`
  if (request.method === 'PUT') {
    if (!exists(topic)) {
      return [
        404,
        `<Error><Code>404</Code><Detail>SubCode=40400. No such topic: ${topic}.</Detail></Error>`,
      ]
    }
    if (subscriptions.has(entity)) {
      return [409, '<Error><Code>409</Code><Detail>SubCode=40900. Conflict.</Detail></Error>']
    }
    subscriptions.set(entity, { waiting: [], links: new Set() })
    return [201, entry(request.headers.host, topic, name)]
  }
  if (!subscriptions.has(entity)) return [404, '<Error><Code>404</Code></Error>']
  drop(entity)
  return [200, '']
}

createServer(async (request, response) => {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const [status, text] = await handle(request, Buffer.concat(chunks))
  response.writeHead(status, { 'content-type': 'application/atom+xml' }).end(text)
}).listen(adminPort, '127.0.0.1')
