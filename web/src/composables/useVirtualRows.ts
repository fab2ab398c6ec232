import { computed, onBeforeUnmount, onMounted, ref, type ComputedRef, type Ref } from 'vue'
import { visibleRange } from '@/canvas/virtualGrid'

interface VirtualRows<T> {
  /** The rows that exist in the page. */
  rows: ComputedRef<{ index: number; row: T }[]>
  /** Heights in pixels that stand for the rows before and after these. */
  heightBefore: ComputedRef<number>
  heightAfter: ComputedRef<number>
}

/** Shorter tables are rendered as a whole. */
const MIN_VIRTUAL_ROWS = 100
/** Rows beyond the window on both sides, so that the Tab key reaches the next ones. */
const EXTRA_ROWS = 12

/** The element that scrolls a table. The wrapper of a Vuetify table scrolls only sideways, although its style has both directions. */
function scrollParentOf(body: HTMLElement): HTMLElement {
  for (let parent = (body.closest('.v-table') ?? body).parentElement; parent; parent = parent.parentElement) {
    if (/auto|scroll/.test(getComputedStyle(parent).overflowY)) return parent
  }
  return document.documentElement
}

/**
 * The visible rows of a long table that scrolls with its page.
 *
 * @param body - the element that contains the rows.
 * @param rowHeight - the height of every row in pixels.
 */
export function useVirtualRows<T>(body: Readonly<Ref<HTMLElement | null>>, all: () => readonly T[], rowHeight: number): VirtualRows<T> {
  const offset = ref(0)
  const viewHeight = ref(window.innerHeight)
  let parent: HTMLElement | null = null
  let resizeObserver: ResizeObserver | null = null

  function measure(): void {
    if (!parent || !body.value) return
    offset.value = parent.getBoundingClientRect().top - body.value.getBoundingClientRect().top
    viewHeight.value = parent.clientHeight
  }
  onMounted(() => {
    if (!body.value) return
    parent = scrollParentOf(body.value)
    parent.addEventListener('scroll', measure, { passive: true })
    resizeObserver = new ResizeObserver(measure)
    resizeObserver.observe(parent)
    resizeObserver.observe(body.value)
    measure()
  })
  onBeforeUnmount(() => {
    parent?.removeEventListener('scroll', measure)
    resizeObserver?.disconnect()
  })
  const range = computed<[number, number]>(() => {
    const count = all().length
    if (count <= MIN_VIRTUAL_ROWS) return [0, count]
    const maxOffset = Math.max(0, count * rowHeight - viewHeight.value)
    const grid = { count, columns: 1, rowHeight, viewHeight: viewHeight.value }
    return visibleRange(grid, Math.max(0, Math.min(maxOffset, offset.value)), EXTRA_ROWS)
  })
  return {
    rows: computed(() => all().slice(...range.value).map((row, index) => ({ index: range.value[0] + index, row }))),
    heightBefore: computed(() => range.value[0] * rowHeight),
    heightAfter: computed(() => (all().length - range.value[1]) * rowHeight),
  }
}
