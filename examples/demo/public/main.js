import { post } from './api.js'
import { Chat } from './chat.js'
import { Connection } from './connection.js'
import { Events } from './events.js'
import { Ledger } from './ledger.js'
import { Notices } from './notices.js'
import { Recovery } from './recovery.js'
import { Status } from './status.js'
import { Ticker } from './ticker.js'
import { Timeline } from './timeline.js'
import { Topics } from './topics.js'

const byId = (id) => document.getElementById(id)
// 12,345 as 12K: there is room for four characters.
const short = new Intl.NumberFormat('en', { notation: 'compact' })
const { broker, ticks, companies } = await (await fetch('demo.json')).json()
byId('broker').textContent = broker

const notices = new Notices(byId('notices'))
const problem = (text) => notices.show(text, 'bad')
const ledger = new Ledger()
const recovery = new Recovery({ ledger, onDone: (result) => status.back(result) })
const status = new Status({ ledger, recovery })
const timeline = new Timeline(byId('timeline'))
const ticker = new Ticker({ element: byId('ticker'), companies })
const events = new Events({
  body: byId('event-rows'),
  pause: byId('pause'),
  kind: byId('events-kind'),
})
const chat = new Chat({
  list: byId('chat'),
  empty: byId('chat-empty'),
  form: byId('chat-form'),
  onProblem: problem,
})
const topics = new Topics({
  element: byId('tiles'),
  names: ticks,
  clientId: () => connection.id,
  onChange: (topic) => ledger.forget(topic),
  onProblem: problem,
})

const dropButton = byId('drop').querySelector('button')
let connected = false
let likes = 0
let ttl = 0
/** Messages from before this client was made were rewound, and are not on the timeline. */
let began = Infinity

function showLikes(value) {
  likes = Math.max(likes, value)
  byId('likes').textContent = short.format(likes)
}

function showConnected(value) {
  connected = value
  // `disabled` would take the focus from the button that the user has just pressed.
  dropButton.setAttribute('aria-disabled', String(!value))
}

function kindOf(topic) {
  if (topics.has(topic)) return 'tick'
  return ticker.has(topic) ? 'ticker' : 'talk'
}

function onTopicEvent(topic, event) {
  const payload = JSON.parse(event.data)
  const published = recovery.clock(payload.at)
  const late = recovery.arrived(published)
  events.add(kindOf(topic), event, late)
  status.position(event.lastEventId)
  // Messages that were on their way when the topic was switched off are ignored.
  if (topics.has(topic) && !topics.isOn(topic)) return

  ledger.record(topic, payload.source, payload.seq)
  status.counts()
  if (published >= began) timeline.add(published, late)
  if (topics.has(topic)) topics.tick(topic, payload.seq, late)
  else if (ticker.has(topic)) ticker.update(topic, payload)
  else if (topic === 'likes') showLikes(payload.likes)
  else chat.add(payload)
}

function onInfo(event) {
  events.add('message', event, false)
  if (event.lastEventId) status.position(event.lastEventId)
  // The only message that is not JSON is the last one, `Client closed`.
  if (event.data === 'Client closed') {
    connection.gone()
    return
  }
  const { error } = JSON.parse(event.data)
  if (!error) return
  if (error.code === 'replaced') {
    // Reconnecting would take the client from the page that has it now.
    connection.close()
    showConnected(false)
    status.replaced()
  } else {
    notices.error(error)
  }
}

const connection = new Connection({
  topics: [...ticks, ...companies.map(({ topic }) => topic), 'chat', 'likes'],
  wanted: () => topics.on,
  on: {
    event: onTopicEvent,
    info: onInfo,
    state(state) {
      if (state === 'connected') {
        recovery.up()
        timeline.up()
      } else if (state !== 'connecting' && connection.id) {
        if (recovery.since === undefined) status.down()
        recovery.down()
        timeline.down()
      }
      showConnected(state === 'connected')
      status.state(state)
    },
    client(client) {
      ledger.forgetAll()
      ticker.clear()
      ttl = client.ttl
      began = recovery.clock(client.at)
      showLikes(client.likes)
      topics.refuse(client.refused)
      status.client(client)
    },
    expired() {
      const outage = recovery.abandon()
      status.expired({ away: outage && Date.now() - outage.from })
    },
  },
})

byId('all-on').addEventListener('click', () => void topics.switchAll(true))
byId('all-off').addEventListener('click', () => void topics.switchAll(false))
byId('like').addEventListener('click', () => {
  post('likes').catch((error) => problem(`The like was not counted. ${error.message}`))
})
byId('drop').addEventListener('submit', (event) => {
  event.preventDefault()
  if (!connected) return
  const choice = byId('drop-for').value
  const seconds = choice === 'ttl' ? ttl / 1_000 + 2 : Number(choice)
  post('drop', { client_id: connection.id, seconds }).catch((error) =>
    problem(`The connection was not dropped. ${error.message}`),
  )
})

void connection.start()
