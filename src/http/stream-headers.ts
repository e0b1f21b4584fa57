/**
 * The headers of a stream. `no-transform` keeps middleware and proxies from compressing it, which
 * would buffer it. `X-Accel-Buffering` keeps nginx from buffering it.
 */
export const STREAM_HEADERS: Readonly<Record<string, string>> = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
}
