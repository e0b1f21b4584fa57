import type { AnyRequest } from '../src/index.js'
import { CrossSiteError } from '../src/index.js'

/** What middleware that changes something takes against other sites' pages. */
export interface CrossSiteOptions {
  /**
   * Other origins whose pages may send requests with cookies, such as `https://app.example`;
   * CORS headers for them are the application's. Default: none but the server's own.
   */
  origins?: string[]
}

/**
 * Refuses a request that carries cookies and was made by a page of another origin: the browser
 * would act on behalf of its user without the user's knowledge. A request without cookies has
 * proven who it is by itself.
 *
 * Browsers tell by `Sec-Fetch-Site` (Fetch Metadata) and `Origin` (RFC 6454); who sends neither
 * is no browser.
 *
 * @throws CrossSiteError
 */
export function checkSite(request: AnyRequest, { origins = [] }: CrossSiteOptions): void {
  const { cookie, origin, host, 'sec-fetch-site': site } = request.headers
  if (cookie === undefined) return
  if (origin !== undefined && origins.includes(origin)) return
  const sameSite = site === undefined || site === 'same-origin' || site === 'none'
  const authority = request.headers[':authority'] ?? host
  const sameOrigin =
    origin === undefined || (URL.canParse(origin) && new URL(origin).host === authority)
  // Behind a proxy that changes Host, what the browser itself says of the site is to be believed.
  if (site === undefined ? !sameOrigin : !sameSite) throw new CrossSiteError()
}
