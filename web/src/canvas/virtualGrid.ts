/** Layout of a virtual grid: only the visible rows exist in the page. Independent of Vue. */

/** Browsers limit the height of an element to some 30 million pixels; beyond this, the scroll bar is scaled. */
export const MAX_SCROLL_HEIGHT = 12_000_000

export interface GridLayout {
  count: number
  columns: number
  rowHeight: number
  viewHeight: number
}

export const contentHeight = (grid: GridLayout): number => Math.ceil(grid.count / Math.max(1, grid.columns)) * grid.rowHeight
export const scrollHeight = (grid: GridLayout): number => Math.min(contentHeight(grid), MAX_SCROLL_HEIGHT)

/** The content offset (pixels from the top) that a scroll bar position stands for. */
export function offsetFromScrollTop(grid: GridLayout, scrollTop: number): number {
  const maxOffset = contentHeight(grid) - grid.viewHeight
  const maxScrollTop = scrollHeight(grid) - grid.viewHeight
  return maxScrollTop <= 0 ? 0 : Math.min(maxOffset, (scrollTop / maxScrollTop) * maxOffset)
}

/** The inverse of {@link offsetFromScrollTop}. */
export function scrollTopFromOffset(grid: GridLayout, offset: number): number {
  const maxOffset = contentHeight(grid) - grid.viewHeight
  const maxScrollTop = scrollHeight(grid) - grid.viewHeight
  return maxOffset <= 0 ? 0 : (Math.max(0, Math.min(maxOffset, offset)) / maxOffset) * maxScrollTop
}

/** The visible items as a half-open range of indices, with some rows more on both sides. */
export function visibleRange(grid: GridLayout, offset: number, extraRows = 1): [number, number] {
  const firstRow = Math.max(0, Math.floor(offset / grid.rowHeight) - extraRows)
  const endRow = Math.ceil((offset + grid.viewHeight) / grid.rowHeight) + extraRows
  return [firstRow * grid.columns, Math.min(grid.count, endRow * grid.columns)]
}
