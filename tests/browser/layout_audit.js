// Finds faults of the layout of a page: what is cut off, covered, or makes the page scroll sideways.
// The argument is the root to examine: the open dialog, or the whole document.
(root) => {
  const TOLERANCE = 1.5
  const INTERACTIVE = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [role=button], [role=tab], [role=option], [tabindex="0"]'
  // These may not scroll sideways; all other containers with a scroll bar scroll on purpose.
  const PAGE_CONTAINERS = new Set(['v-main', 'tab-content', 'page', 'v-overlay__content', 'v-card', 'v-card-text'])
  const problems = []
  const describe = (element) => {
    const text = (element.getAttribute('aria-label') || element.innerText || element.name || element.className || '').toString()
    return `<${element.tagName.toLowerCase()}> "${text.trim().replace(/\s+/g, ' ').slice(0, 60)}"`
  }
  const isPageContainer = (element) =>
    element === document.body || element === document.documentElement || [...element.classList].some((name) => PAGE_CONTAINERS.has(name))

  const scroller = document.scrollingElement
  if (scroller.scrollWidth > innerWidth) problems.push(`the page is ${scroller.scrollWidth} pixels wide in a window of ${innerWidth}`)
  for (const element of root.querySelectorAll('*')) {
    if (!isPageContainer(element) || element.scrollWidth <= element.clientWidth + TOLERANCE || element.clientWidth === 0) continue
    problems.push(`${describe(element).slice(0, 40)} .${element.className.split(' ')[0]} scrolls sideways: ${element.scrollWidth} > ${element.clientWidth}`)
  }

  const isVisible = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true, contentVisibilityAuto: true })
  // The part of a rectangle that its ancestors show, and whether one that does not scroll on purpose cuts it off sideways.
  const clip = (element, rect) => {
    const box = { left: rect.left, right: rect.right, top: rect.top, bottom: rect.bottom }
    let isCut = false
    let isScrolled = false
    let position = getComputedStyle(element).position
    for (let parent = element.parentElement; parent; parent = parent.parentElement) {
      const style = getComputedStyle(parent)
      if (style.clipPath === 'inset(50%)') return { box: { left: 0, right: 0, top: 0, bottom: 0 }, isCut: false } // only for screen readers
      if (position === 'fixed') break
      const isSkipped = position === 'absolute' && style.position === 'static'
      if (!isSkipped && (style.overflowX !== 'visible' || style.overflowY !== 'visible') && style.display !== 'inline' && style.display !== 'contents') {
        const frame = parent.getBoundingClientRect()
        const isOutside = rect.left < frame.left - TOLERANCE || rect.right > frame.right + TOLERANCE
        const scrolls = ['auto', 'scroll'].includes(style.overflowX) && !isPageContainer(parent)
        if (scrolls && parent.scrollWidth > parent.clientWidth) isScrolled = true
        else if (isOutside && !isScrolled && style.textOverflow !== 'ellipsis') isCut = true
        else if (isOutside && style.textOverflow === 'ellipsis') isScrolled = true
        box.left = Math.max(box.left, frame.left)
        box.right = Math.min(box.right, frame.right)
        box.top = Math.max(box.top, frame.top)
        box.bottom = Math.min(box.bottom, frame.bottom)
      }
      if (!isSkipped) position = style.position === 'static' ? 'static' : style.position
    }
    if (!isScrolled && (rect.left < -TOLERANCE || rect.right > innerWidth + TOLERANCE)) isCut = true
    return { box, isCut }
  }

  // What floats above the page: what scrolls beneath it is not covered for good.
  const layerOf = (element) => {
    for (let parent = element; parent; parent = parent.parentElement) {
      if (['fixed', 'sticky'].includes(getComputedStyle(parent).position) || parent.role === 'toolbar') return parent
    }
    return null
  }
  const controls = []
  for (const element of root.querySelectorAll(INTERACTIVE)) {
    const rect = element.getBoundingClientRect()
    if (!isVisible(element) || rect.width < 2 || rect.height < 2) continue
    const { box, isCut } = clip(element, rect)
    if (isCut) problems.push(`${describe(element)} is cut off: ${Math.round(rect.left)} to ${Math.round(rect.right)}`)
    if (box.right - box.left > 2 && box.bottom - box.top > 2) controls.push({ element, layer: layerOf(element), ...box })
  }
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT)
  const range = document.createRange()
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement
    if (!node.data.trim() || !parent || parent.closest('svg, textarea, .v-select__selection, [aria-hidden=true]') || !isVisible(parent)) continue
    range.selectNodeContents(node)
    const rect = range.getBoundingClientRect()
    if (rect.width < 3 || rect.height < 3 || parent.closest('.visually-hidden')) continue
    const style = getComputedStyle(parent)
    const hasEllipsis = style.textOverflow === 'ellipsis' && style.overflowX !== 'visible'
    if (!hasEllipsis && clip(parent, rect).isCut) problems.push(`the text "${node.data.trim().slice(0, 50)}" is cut off`)
  }

  for (const [index, first] of controls.entries()) {
    for (const second of controls.slice(index + 1)) {
      const width = Math.min(first.right, second.right) - Math.max(first.left, second.left)
      const height = Math.min(first.bottom, second.bottom) - Math.max(first.top, second.top)
      if (width <= 2 || height <= 2 || first.layer !== second.layer || first.element.contains(second.element) || second.element.contains(first.element)) continue
      const isInside = (inner, outer) =>
        inner.left >= outer.left - 1 && inner.right <= outer.right + 1 && inner.top >= outer.top - 1 && inner.bottom <= outer.bottom + 1
      if (isInside(first, second) || isInside(second, first)) continue // a control on another one: the next check
      problems.push(`${describe(first.element)} and ${describe(second.element)} overlap`)
    }
  }
  for (const { element, layer, left, right, top, bottom } of controls) {
    const x = (left + right) / 2
    const y = (top + bottom) / 2
    if (x < 0 || y < 0 || x >= innerWidth || y >= innerHeight) continue
    const target = document.elementFromPoint(x, y)
    if (!target || !root.contains(target)) {
      if (target) problems.push(`${describe(element)} is covered by ${describe(target)}`)
      continue
    }
    if (layerOf(target) !== layer) continue
    const field = element.closest('.v-input, label')
    if (element.contains(target) || target.contains(element) || field?.contains(target) || controls.some(({ element: other }) => other !== element && other.contains(target) && element.contains(other))) continue
    problems.push(`${describe(element)} is covered by ${describe(target)}`)
  }
  return [...new Set(problems)]
}
