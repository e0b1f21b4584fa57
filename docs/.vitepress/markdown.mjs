// What the Markdown of this repo needs to be a page: it is read on code hosts as well.
import { posix } from 'node:path'

const SOURCE = 'https://github.com/unifrost/unifrost/blob/main/'

/** Links that lead out of `docs/` go to the source. */
function linked(href, page) {
  if (/^([a-z]+:|#|\/)/.test(href)) return href
  const [path, anchor] = href.split('#')
  const target = posix.join('docs', posix.dirname(page), path)
  const isPage = target.startsWith('docs/') && target.endsWith('.md')
  // Their addresses on the site are those of the folders.
  if (isPage) return href.replace(/README\.md(?=#|$)/, 'index.md')
  const isAsset = target.startsWith('docs/') && /\.(svg|png)$/.test(target)
  return isAsset ? href : SOURCE + target + (anchor === undefined ? '' : `#${anchor}`)
}

/** Anchors as code hosts make them, so that one link serves both. */
export function slugify(text) {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-')
}

export function configure(md) {
  md.core.ruler.before('normalize', 'plain', (state) => {
    const { relativePath = '', frontmatter = {} } = state.env
    // Only pages that say so have HTML of their own. Elsewhere `<id>` is text.
    state.md.options.html = frontmatter.html === true || relativePath === 'index.md'
    if (!state.md.options.html) state.src = withoutMarks(state.src)
  })
  md.core.ruler.push('source-links', (state) => {
    const page = state.env.relativePath ?? ''
    const inside = (tokens) => {
      for (const token of tokens) {
        if (token.type === 'link_open') token.attrSet('href', linked(token.attrGet('href'), page))
        if (token.children) inside(token.children)
      }
    }
    inside(state.tokens)
  })
  // Two braces are no template.
  const { text } = md.renderer.rules
  md.renderer.rules.text = (...all) => text(...all).replaceAll('{{', '&#123;&#123;')
}

/** Comments above blocks are for the tests. */
function withoutMarks(source) {
  let inside = false
  return source
    .split('\n')
    .map((line) => {
      if (/^\s*(`{3,}|~{3,})/.test(line)) inside = !inside
      return !inside && /^\s*<!--.*-->\s*$/.test(line) ? '' : line
    })
    .join('\n')
}
