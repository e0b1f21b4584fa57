import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { defineConfig } from 'vitepress'
import { configure, slugify } from './markdown.mjs'
import { aboutPage, sidebar } from './pages.mjs'

const SITE = process.env.DOCS_SITE ?? 'https://unifrost.github.io/unifrost/'
const base = process.env.DOCS_BASE ?? '/'
const description =
  'Topics of your message broker to browsers over Server-Sent Events: exactly once, in order, across reconnects.'

export default defineConfig({
  title: 'unifrost',
  description,
  lang: 'en',
  base,
  cacheDir: '../.cache/vitepress',
  outDir: '../.cache/site',
  rewrites: { 'drivers/README.md': 'drivers/index.md' },
  // The tests hold every link inside the repo; what leads out of docs/ goes to the source.
  ignoreDeadLinks: [/^https?:\/\/localhost/, /\/reference\//],
  head: [
    ['link', { rel: 'icon', type: 'image/svg+xml', href: `${base}logo.svg` }],
    ['meta', { name: 'theme-color', content: '#2b6cb0' }],
    ['meta', { property: 'og:title', content: 'unifrost' }],
    ['meta', { property: 'og:description', content: description }],
    ['meta', { property: 'og:image', content: `${SITE}card.png` }],
    ['meta', { name: 'twitter:card', content: 'summary_large_image' }],
  ],
  markdown: {
    config: configure,
    anchor: { slugify },
    image: { lazyLoading: true },
    // The usual themes have grey text of too little contrast.
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
  },
  transformPageData(page) {
    const path = page.filePath.replace(/\.md$/, '')
    if (page.description === '') page.description = aboutPage(path).description.slice(0, 200)
  },
  themeConfig: {
    logo: '/logo.svg',
    nav: [
      { text: 'Start', link: '/start' },
      { text: 'How it works', link: '/how-it-works' },
      { text: 'Drivers', link: '/drivers/' },
      { text: 'Reference', link: `/reference/`, target: '_self' },
      { text: 'Changelog', link: 'https://github.com/unifrost/unifrost/blob/main/CHANGELOG.md' },
    ],
    sidebar: [
      ...sidebar.map(({ text, items }) => ({
        text,
        items: [
          ...items.map(({ text: title, link }) => ({ text: title, link })),
          ...(text === 'Reference'
            ? [
                { text: 'API', link: '/reference/', target: '_self' },
                {
                  text: 'Security',
                  link: 'https://github.com/unifrost/unifrost/blob/main/SECURITY.md',
                },
              ]
            : []),
        ],
      })),
    ],
    search: { provider: 'local' },
    outline: { level: [2, 3] },
    socialLinks: [{ icon: 'github', link: 'https://github.com/unifrost/unifrost' }],
    footer: { message: 'Apache License 2.0' },
  },
  buildEnd({ outDir, srcDir }) {
    const lines = ['# unifrost', '', `> ${description}`]
    for (const { text, items } of sidebar) {
      lines.push('', `## ${text}`, '')
      for (const { path } of items) {
        const { title, description: about } = aboutPage(path)
        lines.push(`- [${title}](${path}.md)${about === '' ? '' : `: ${about}`}`)
        mkdirSync(dirname(join(outDir, path)), { recursive: true })
        cpSync(join(srcDir, `${path}.md`), join(outDir, `${path}.md`))
      }
    }
    writeFileSync(join(outDir, 'llms.txt'), lines.join('\n') + '\n')
  },
})
