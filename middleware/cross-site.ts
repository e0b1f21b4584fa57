import type { AnyRequest } from '../src/index.js'
import { CrossSiteError } from '../src/index.js'

/** Options against requests that other sites' pages make. */
export interface CrossSiteOptions {
  /**
   * Other origins whose pages may send requests with cookies, such as `https://app.example`. The
   * application sets the CORS headers for them. Default: only the server's own origin.
   */
  origins?: string[]
}

/**
 * Refuses a request that carries cookies and that a page of another origin made: the user may know
 * nothing of it (cross-site request forgery). A request without cookies is let through: a page must
 * add a token to it by itself, and another site's page has none.
 *
 * Browsers name the page's origin in `Origin` (RFC 6454) and `Sec-Fetch-Site` (Fetch Metadata). A
 * request with neither comes from another kind of program, and is let through.
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
  // `Sec-Fetch-Site` counts first: a proxy may have changed Host, with which Origin is compared.
  if (site === undefined ? !sameOrigin : !sameSite) throw new CrossSiteError()
}
