// Publishes to all servers' topics; in compose.yaml it is a container of its own.
import { publishTicks } from './engine.js'

const stop = await publishTicks()
process.once('SIGTERM', stop)
