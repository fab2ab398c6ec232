/** Where things stand in a grid of any length. Browsers cannot make an element taller than some thirty million pixels. */

export const TALLEST = 12_000_000

export interface Grid {
  count: number
  columns: number
  rowHeight: number
  viewHeight: number
}

export const rowsOf = (grid: Grid): number => Math.ceil(grid.count / Math.max(1, grid.columns))
export const heightOf = (grid: Grid): number => rowsOf(grid) * grid.rowHeight
export const scrollHeightOf = (grid: Grid): number => Math.min(heightOf(grid), TALLEST)

/** How far the grid itself is moved when the scroll bar stands at a place. */
export function offsetOf(grid: Grid, scrollTop: number): number {
  const [whole, bar] = [heightOf(grid) - grid.viewHeight, scrollHeightOf(grid) - grid.viewHeight]
  return bar <= 0 ? 0 : Math.min(whole, (scrollTop / bar) * whole)
}

/** The other way round. */
export function scrollTopOf(grid: Grid, offset: number): number {
  const [whole, bar] = [heightOf(grid) - grid.viewHeight, scrollHeightOf(grid) - grid.viewHeight]
  return whole <= 0 ? 0 : (Math.max(0, Math.min(whole, offset)) / whole) * bar
}

/** The first and the last item but one that can be seen, with a row to spare on both sides. */
export function visible(grid: Grid, offset: number, spare = 1): [number, number] {
  const first = Math.max(0, Math.floor(offset / grid.rowHeight) - spare)
  const last = Math.ceil((offset + grid.viewHeight) / grid.rowHeight) + spare
  return [first * grid.columns, Math.min(grid.count, last * grid.columns)]
}
