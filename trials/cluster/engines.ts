import type { Engine, EngineKind } from './engine.js'
import { jetstreamEngine, natsEngine } from './engine-nats.js'
import { redisEngine } from './engine-redis.js'

export function startEngine(kind: EngineKind): Promise<Engine> {
  if (kind === 'jetstream') return jetstreamEngine()
  return kind === 'redis' ? redisEngine() : natsEngine()
}
