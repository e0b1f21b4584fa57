// The older major versions of the frameworks, installed under names of their own.
declare module 'express4' {
  import express from 'express'
  export default express
}
declare module 'koa2' {
  import Koa from 'koa'
  export default Koa
}
// It has no types of its own, and is for Koa what @koa/bodyparser is.
declare module 'koa-bodyparser' {
  import type { Middleware } from 'koa'
  export default function bodyParser(options?: { enableTypes?: string[] }): Middleware
}
// These have no types of their own either.
declare module 'http-compression' {
  import type { RequestHandler } from 'express'
  export default function compression(options?: { threshold?: number }): RequestHandler
}
declare module 'express-cache-controller' {
  import type { RequestHandler } from 'express'
  export default function cacheControl(options?: { noStore?: boolean }): RequestHandler
}
