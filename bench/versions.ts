import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { VERSIONS } from './peers/centrifugo.js'

const PACKAGES = [
  'unifrost',
  'better-sse',
  '@fastify/sse',
  'fastify',
  'socket.io',
  'express',
  'koa',
]

/** The versions of the packages that are measured. */
export async function versionsOf(): Promise<Record<string, string>> {
  const versions: Record<string, string> = { ...VERSIONS }
  for (const name of PACKAGES) {
    const folder = name === 'unifrost' ? '..' : join('../node_modules', name)
    const text = await readFile(join(import.meta.dirname, folder, 'package.json'), 'utf8')
    versions[name] = (JSON.parse(text) as { version: string }).version
  }
  return versions
}
