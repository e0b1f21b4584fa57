// Socket.IO over WebSocket alone, with a room for each topic and without compression.
import { createServer } from 'node:http'
import { Server } from 'socket.io'
import { contend, indexOf, topicsOf } from './contender.mjs'

const server = createServer()
const io = new Server(server, {
  transports: ['websocket'],
  perMessageDeflate: false,
  httpCompression: false,
  serveClient: false,
})

io.on('connection', (socket) => {
  socket.join(topicsOf(indexOf(socket.request.url)))
  socket.emit('hello')
})

contend(server, (topic, payload) => io.to(topic).emit(topic, payload))
