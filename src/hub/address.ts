import { connect } from 'node:net'
import { lstat, unlink } from 'node:fs/promises'
import type { Server } from 'node:net'
import { OptionsError } from '../errors.js'
import { show } from '../option-checks.js'

/** What a Unix socket's path may have, in bytes. Linux takes 107, macOS 103. */
const MOST = process.platform === 'darwin' ? 103 : 107
const PIPE = '\\\\.\\pipe\\'

/** @throws OptionsError for what can't be a hub's address. */
export function checkAddress(caller: string, address: unknown): asserts address is string {
  const takes =
    process.platform === 'win32'
      ? `the name of a pipe, such as "${PIPE}unifrost"`
      : `the path of a Unix socket, of at most ${MOST} bytes, such as "/run/app/hub.sock"`
  const isText = typeof address === 'string' && address !== '' && !address.includes('\0')
  const fits =
    isText &&
    (process.platform === 'win32'
      ? address.startsWith(PIPE)
      : Buffer.byteLength(address) <= MOST && !/^[a-z]+:\/\/|^[\w.-]+:\d+$/i.test(address))
  if (fits) return
  const hint = isText && /:/.test(address) ? ' A hub is for one machine, and speaks no TCP.' : ''
  throw new OptionsError(`${caller}: address takes ${takes}; it got ${show(address)}.${hint}`)
}

/**
 * Listens on an address that nobody else may use: only the user whose process it is may connect. A
 * socket that a dead process left there is removed.
 *
 * @throws Error if a process listens there, or it can't be listened on.
 */
export async function listen(server: Server, address: string): Promise<void> {
  try {
    await bind(server, address)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw refused(address, error)
    if (await answers(address)) {
      throw new Error(
        `Another process listens at ${address}. Stop it, or give this hub another address.`,
        { cause: error },
      )
    }
    if (!(await lstat(address)).isSocket()) throw refused(address, new Error('it is no socket'))
    await unlink(address)
    await bind(server, address).catch((again: unknown) => {
      throw refused(address, again)
    })
  }
}

function bind(server: Server, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // The socket's file is made within this call, with these permissions.
    const before = process.platform === 'win32' ? undefined : process.umask(0o177)
    server.listen(address, () => {
      server.off('error', reject)
      resolve()
    })
    if (before !== undefined) process.umask(before)
  })
}

function answers(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address)
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => end(true))
    socket.once('error', ({ code }: NodeJS.ErrnoException) => end(code !== 'ECONNREFUSED'))
  })
}

function refused(address: string, cause: unknown): Error {
  const { message } = cause as Error
  return new Error(
    `The hub can't listen at ${address} (${message}). Give it a path in a folder that is there and ` +
      'that this user may write to.',
    { cause },
  )
}
