import { refusal } from '../../brokers/redis/errors.js'
import { isFinal } from '../../brokers/redis/replies.js'
import { EntryIdError } from './number.js'

/** Whether a stream can't be read, and another try will not change that. */
export function endsStream(error: unknown): boolean {
  return error instanceof EntryIdError || isFinal(error)
}

/** What a stream is called in errors. */
export function streamNamed(name: string): string {
  return `stream ${JSON.stringify(name)}`
}

/** The error to end a stream with, after one that {@link endsStream}. */
export function streamRefusal(name: string, where: string, error: Error): Error {
  return error instanceof EntryIdError ? error : refusal(streamNamed(name), where, error)
}
