import type { EventFields } from '../wire/encode.js'
import { CONNECTION_EVENT, faultOfEventName } from '../event-names.js'
import type { FormatName } from './options.js'
import type { Part } from './parts.js'
import type { RunEnd } from './ending.js'

/** The name of a run's end, in the default format. */
export const END_EVENT = 'end'

/**
 * After how long an EventSource asks again that has the end, in milliseconds: 7 days, since the most
 * that a timer of Node's takes is 24. It then gets 204, and asks no more.
 */
const AFTER_THE_END = 7 * 24 * 60 * 60 * 1000

type Field = EventFields & { data: string; resumes?: never }

/** How a run's parts and its end are written. */
export interface RunFormat {
  readonly headers: Readonly<Record<string, string>>
  /** Whether a request for a run that is not there gets 204. */
  readonly noneIsEmpty: boolean
  part(part: Part, id: string | undefined): Field
  end(end: RunEnd, id: string): readonly Field[]
}

const plain: RunFormat = {
  headers: {},
  noneIsEmpty: false,
  part: ({ event, text }, id) => ({ id, event, data: text }),
  end: (end, id) => [{ id, retry: AFTER_THE_END, event: END_EVENT, data: endText(end) }],
}

/** The stream protocol of the AI SDK's UI messages, from version 5 on. */
const aiSdk: RunFormat = {
  headers: { 'x-vercel-ai-ui-message-stream': 'v1' },
  noneIsEmpty: true,
  part: ({ text }, id) => ({ id, data: text }),
  end(end, id) {
    const done = { id, retry: AFTER_THE_END, data: '[DONE]' }
    if (end.kind === 'done') return [done]
    const last =
      end.kind === 'stopped' ? { type: 'abort' } : { type: 'error', errorText: end.message }
    return [{ data: JSON.stringify(last) }, done]
  },
}

const FORMATS: Readonly<Record<FormatName, RunFormat>> = { default: plain, 'ai-sdk': aiSdk }

export function formatNamed(name: FormatName): RunFormat {
  return FORMATS[name]
}

/** An end as JSON: `{"kind":"done","data":…}`, `{"kind":"failed","code":…,"message":…}`. */
function endText(end: RunEnd): string {
  if (end.kind !== 'done' || end.data === undefined) return JSON.stringify(end)
  return `{"kind":"done","data":${end.data}}`
}

/** What keeps a text from being the name of a part's event, or undefined. */
export function faultOfPartEvent(name: unknown): string | undefined {
  if (name === 'message') return 'EventSource uses it for parts without a name'
  if (name === END_EVENT) return "a run's end has it"
  if (typeof name === 'string' && name.startsWith(CONNECTION_EVENT)) return 'streams use it'
  return faultOfEventName(name)
}

/** How a run ended, in a few words. */
export function howEnded(end: RunEnd): string {
  return end.kind === 'failed' ? `failed: ${end.code}` : end.kind
}

const ID = /^([a-z0-9]{16})-(0|[1-9]\d{0,14})$/

/** The place of a part: the run, and the part's number in it. */
export function formatPlace(run: string, number: number): string {
  return `${run}-${number}`
}

/** @returns undefined for a text that is no place of a run's. */
export function parsePlace(text: string): { run: string; number: number } | undefined {
  const match = ID.exec(text)
  return match === null ? undefined : { run: match[1]!, number: Number(match[2]) }
}
