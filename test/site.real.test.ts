/** @needs Chromium */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, extname, join, posix, relative } from 'node:path'
import { promisify } from 'node:util'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { chromium } from 'playwright-core'
import { requireCommand } from './brokers/apt.js'

jest.setTimeout(300_000)

const run = promisify(execFile)
const root = join(__dirname, '..')
const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
}

let folder: string
let server: Server
let browser: Browser
let origin: string
let pages: string[]

/** Opens a page, and notes everything that a reader would call broken. */
async function opened<T>(
  options: BrowserContextOptions,
  use: (page: Page, problems: string[]) => Promise<T>,
): Promise<T> {
  const context = await browser.newContext(options)
  const problems: string[] = []
  try {
    const page = await context.newPage()
    page.on('pageerror', (error) => problems.push(String(error)))
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) problems.push(message.text())
    })
    page.on('request', (request) => {
      const url = request.url()
      if (!url.startsWith(origin) && !url.startsWith('data:')) problems.push(`asks for ${url}`)
    })
    return await use(page, problems)
  } finally {
    await context.close()
  }
}

describe('the site', () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'unifrost-site-'))
    const site = join(folder, 'site')
    await run(process.execPath, [join(root, 'scripts/docs.mjs')], {
      cwd: root,
      env: { ...process.env, DOCS_OUT: site },
      maxBuffer: 16 * 1024 * 1024,
    })
    folder = site
    server = createServer((request, response) => {
      const path = decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname)
      const file = join(site, path.endsWith('/') ? `${path}index.html` : path)
      readFile(file).then(
        (body) => {
          const type = types[extname(file)]
          response.writeHead(200, type === undefined ? {} : { 'Content-Type': type }).end(body)
        },
        () => response.writeHead(404).end(),
      )
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const executablePath =
      process.env.UNIFROST_TEST_CHROMIUM ??
      (await requireCommand('chromium', 'chromium', 'name one in UNIFROST_TEST_CHROMIUM'))
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
    const files = await readdir(site, { recursive: true })
    pages = files.filter((path) => path.endsWith('.html') && !path.startsWith('reference/'))
  })

  afterAll(async () => {
    await browser?.close()
    server?.closeAllConnections()
    await new Promise((resolve) => server?.close(resolve))
    await rm(dirname(folder), { recursive: true, force: true })
  })

  test('each page opens with an empty console, asks nobody else, and fits a narrow screen', async () => {
    expect(pages.length).toBeGreaterThan(20)
    await opened({ viewport: { width: 390, height: 800 } }, async (page, problems) => {
      for (const path of pages.filter((one) => one !== '404.html')) {
        await page.goto(`${origin}/${path}`)
        const { tooWide, title } = await page.evaluate<{ tooWide: boolean; title: string }>(`({
        tooWide: document.documentElement.scrollWidth > innerWidth,
        title: document.querySelector('h1')?.textContent ?? '',
      })`)
        if (tooWide) problems.push(`${path} is wider than the screen`)
        if (title.trim() === '') problems.push(`${path} has no heading`)
      }
      expect(problems).toEqual([])
    })
  })

  test('every link inside the site leads to a page', async () => {
    const broken: string[] = []
    for (const path of pages) {
      const html = await readFile(join(folder, path), 'utf8')
      for (const [, href] of html.matchAll(/<a\b[^>]*?\shref="([^"]+)"/g)) {
        const [target = ''] = href!.split('#')
        if (target === '' || /^[a-z]+:/.test(target)) continue
        const aim = target.startsWith('/')
          ? target.slice(1)
          : posix.join(posix.dirname(path), target)
        const names = [aim, `${aim}.html`, posix.join(aim, 'index.html')]
        if (!names.some((name) => extname(name) !== '' && existsSync(join(folder, name)))) {
          broken.push(`${path}: ${href}`)
        }
      }
    }
    expect([...new Set(broken)]).toEqual([])
  })

  test('it can be read without JavaScript', async () => {
    await opened({ javaScriptEnabled: false }, async (page) => {
      await page.goto(`${origin}/how-it-works.html`)
      expect(await page.locator('main').innerText()).toContain('A page that drops')
      await page.locator('main a', { hasText: 'Several servers' }).first().click()
      expect(await page.locator('h1').innerText()).toContain('More than one server')
    })
  })

  test('the search finds a word, and the simulation tells a loss', async () => {
    await opened({ viewport: { width: 1280, height: 900 } }, async (page, problems) => {
      await page.goto(`${origin}/how-it-works.html`)
      await page.getByRole('button', { name: 'Drop Ann' }).click()
      for (let i = 0; i < 14; i++) await page.getByRole('button', { name: 'Publish one' }).click()
      await page.getByRole('button', { name: 'Reconnect Ann' }).click()
      await page.locator('.simulation strong').waitFor()
      await page
        .getByRole('button', { name: /search/i })
        .first()
        .click()
      await page.locator('#localsearch-input').fill('proxy_buffering')
      await page.locator('#localsearch-list a').first().waitFor({ timeout: 30_000 })
      expect(problems).toEqual([])
    })
  })

  test.each(['light', 'dark'] as const)(
    'axe finds nothing on five pages, %s',
    async (colorScheme) => {
      const axe = await readFile(join(root, 'node_modules/axe-core/axe.min.js'), 'utf8')
      const paths = ['index', 'start', 'how-it-works', 'guides/deploying', 'operations']
      await opened({ colorScheme, viewport: { width: 1280, height: 900 } }, async (page) => {
        for (const path of paths) {
          await page.goto(`${origin}/${path}.html`)
          await page.evaluate(axe)
          const found = await page.evaluate<string[]>(
            `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa'] }).then(({ violations }) =>
          violations.map(({ id, nodes }) => id + ': ' + nodes.map((node) => node.target).join(' | ')))`,
          )
          expect([path, found]).toEqual([path, []])
        }
      })
    },
  )

  test('llms.txt lists every page, each as Markdown', async () => {
    const text = await readFile(join(folder, 'llms.txt'), 'utf8')
    const listed = [...text.matchAll(/\]\(([^)]+\.md)\)/g)].map(([, path]) => path!)
    expect(listed.length).toBeGreaterThan(20)
    expect(listed.filter((path) => !existsSync(join(folder, path)))).toEqual([])
    const html = pages.filter((path) => !['404.html', 'index.html'].includes(path))
    const missing = html.filter(
      (path) =>
        !listed
          .map((one) => one.replace(/README\.md$|\.md$/, (end) => (end === '.md' ? '' : 'index')))
          .includes(path.replace(/\.html$/, '')),
    )
    expect(missing).toEqual([])
  })

  test('the reference has the classes and functions of the entry points', async () => {
    const files = await readdir(join(folder, 'reference'), { recursive: true })
    const names = files.map((path) => relative('.', path))
    expect(names.some((path) => /^classes\/.*Streamer\.html$/.test(path))).toBe(true)
    expect(names.some((path) => /^functions\/.*metrics\.html$/.test(path))).toBe(true)
  })
})
