import { CrossSiteError } from '../errors.js'
import type { OptionCheck } from '../option-checks.js'
import type { AnyRequest } from './request.js'

/** Options against requests that other sites' pages make. */
export interface CrossSiteOptions {
  /**
   * Other origins whose pages may send requests with cookies, such as `https://app.example`; one,
   * or a list. Each is compared as a whole. The application sets the CORS headers for them.
   * Default: only the server's own origin.
   */
  origins?: string | readonly string[] | undefined
}

/** What the option `origins` takes. */
export const originsCheck: OptionCheck = [
  (value) => [value].flat().length > 0 && [value].flat().every(isOrigin),
  'one origin, or a list, each as a browser sends it, such as "https://app.example" (no path, no star)',
  { given: true },
]

/**
 * Refuses a request that carries cookies and that a page of another origin made: the user may know
 * nothing of it (cross-site request forgery). A request without cookies is let through: a page must
 * add a token to it by itself, and another site's page has none.
 *
 * Browsers name the page's origin in `Origin` (RFC 6454) and `Sec-Fetch-Site` (Fetch Metadata). A
 * request with neither is the own page's, or comes from another kind of program.
 *
 * @param host The host that the browser asked for, as the framework's proxy settings say.
 * @throws CrossSiteError
 */
export function checkSite(
  request: AnyRequest,
  { origins = [], host }: CrossSiteOptions & { host?: string | undefined },
): void {
  const { cookie, origin, 'sec-fetch-site': site } = request.headers
  if (cookie === undefined) return
  if (origin !== undefined && [origins].flat().includes(origin)) return
  // `Sec-Fetch-Site` counts first: a proxy may have changed Host, with which Origin is compared.
  if (site !== undefined) {
    if (site === 'same-origin' || site === 'none') return
    throw new CrossSiteError()
  }
  const asked = host ?? request.headers[':authority'] ?? request.headers.host
  if (origin !== undefined && !isOwn(origin, String(asked))) throw new CrossSiteError()
}

/** Whether a page of this origin asked its own host. A port that a proxy has dropped does not count. */
function isOwn(origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false
  const page = new URL(origin)
  const address = `${page.protocol}//${host}`
  if (page.host === '' || !URL.canParse(address)) return false
  const asked = new URL(address)
  return asked.host === page.host || (!/:\d+$/.test(host) && asked.hostname === page.hostname)
}

function isOrigin(value: unknown): boolean {
  if (typeof value !== 'string' || !/^[a-z][a-z\d+.-]*:\/\/[^/?#@\s*]+$/.test(value)) return false
  return !/^https?:/.test(value) || (URL.canParse(value) && new URL(value).origin === value)
}
