import { renameSync, writeFileSync } from 'node:fs'
import { BrokerProcess, freePort } from '../brokers/process.js'

/**
 * A test file for a Jest of its own, started by test/ending.test.ts. With a file to write to, it
 * starts a broker, writes down the broker's process id, and never ends. Without one it is over at once.
 */
const { ENDING_PID_FILE: file } = process.env

const listen = (port: number) => `require('node:net').createServer().listen(${port}, '127.0.0.1')`

test('a broker', async () => {
  if (file === undefined) return
  const port = await freePort()
  const args = ['-e', listen(port)]
  const broker = await BrokerProcess.start({ command: process.execPath, args, port })
  // Whoever sees the file reads all of it.
  writeFileSync(`${file}.new`, String(broker.pid))
  renameSync(`${file}.new`, file)
  await new Promise(() => undefined)
}, 60_000)
