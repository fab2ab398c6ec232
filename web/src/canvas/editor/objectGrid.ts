/** A uniform grid over the bounds of objects that are added, removed and found at any time. Independent of Vue. */
import type { Bounds } from './geometry/bounds'

const CELLS_PER_SIDE = 64
/** An object that covers more cells is in a list of its own. */
const MAX_CELLS_PER_OBJECT = 64

export class ObjectGrid<T extends { readonly bounds: Bounds }> {
  private readonly cells = new Map<number, Set<T>>()
  private readonly large = new Set<T>()
  private readonly items = new Set<T>()

  /** @param size - the area where most objects are; those outside are in the cells at the border. */
  constructor(private readonly size: [number, number]) {}

  get count(): number {
    return this.items.size
  }

  add(item: T): void {
    this.items.add(item)
    const cells = this.cellsOf(item.bounds, MAX_CELLS_PER_OBJECT)
    if (!cells) this.large.add(item)
    else {
      for (const cell of cells) {
        const items = this.cells.get(cell)
        if (items) items.add(item)
        else this.cells.set(cell, new Set([item]))
      }
    }
  }

  remove(item: T): void {
    if (!this.items.delete(item) || this.large.delete(item)) return
    for (const cell of this.cellsOf(item.bounds) ?? []) this.cells.get(cell)?.delete(item)
  }

  /** The objects whose bounds meet a rectangle, in no particular order. */
  within([left, top, right, bottom]: Bounds): T[] {
    const isHit = ({ bounds: [x1, y1, x2, y2] }: T): boolean => x1 <= right && x2 >= left && y1 <= bottom && y2 >= top
    const columns = this.column(right) - this.column(left) + 1
    const rows = this.row(bottom) - this.row(top) + 1
    if (columns * rows > (CELLS_PER_SIDE * CELLS_PER_SIDE) / 2) return Array.from(this.items).filter(isHit)
    const hits = new Set<T>()
    for (const item of this.large) if (isHit(item)) hits.add(item)
    for (const cell of this.cellsOf([left, top, right, bottom]) ?? []) {
      for (const item of this.cells.get(cell) ?? []) if (isHit(item)) hits.add(item)
    }
    return Array.from(hits)
  }

  private column(x: number): number {
    return Math.max(0, Math.min(CELLS_PER_SIDE - 1, Math.floor((x / this.size[0]) * CELLS_PER_SIDE)))
  }

  private row(y: number): number {
    return Math.max(0, Math.min(CELLS_PER_SIDE - 1, Math.floor((y / this.size[1]) * CELLS_PER_SIDE)))
  }

  /** The cells that bounds cover; null if there are more than allowed. */
  private cellsOf([x1, y1, x2, y2]: Bounds, maxCount = Infinity): number[] | null {
    const [firstColumn, lastColumn, firstRow, lastRow] = [this.column(x1), this.column(x2), this.row(y1), this.row(y2)]
    if ((lastColumn - firstColumn + 1) * (lastRow - firstRow + 1) > maxCount) return null
    const cells: number[] = []
    for (let row = firstRow; row <= lastRow; row += 1) {
      for (let column = firstColumn; column <= lastColumn; column += 1) cells.push(row * CELLS_PER_SIDE + column)
    }
    return cells
  }
}
