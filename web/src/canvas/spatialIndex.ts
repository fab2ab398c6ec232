/** A uniform grid over the bounds of objects, for hit tests and for drawing what is visible. Independent of Vue. */
import type { ImageObject } from './shapes'

const MAX_CELLS_PER_SIDE = 128
/** An object that covers more cells is in a list of its own, so that many large objects do not fill the memory. */
const MAX_CELLS_PER_OBJECT = 64

/** Finds objects by where they are. */
export interface ObjectIndex {
  /** The objects whose bounds meet a rectangle, in the order of drawing. */
  within(left: number, top: number, right: number, bottom: number): readonly ImageObject[]
}

export class SpatialIndex implements ObjectIndex {
  private readonly left: number = 0
  private readonly top: number = 0
  private readonly right: number = 0
  private readonly bottom: number = 0
  private readonly columns: number = 1
  private readonly rows: number = 1
  private readonly cellWidth: number = 1
  private readonly cellHeight: number = 1
  /** The objects of cell `n` are `entries` from `starts[n]` to `starts[n + 1]`, as indices in ascending order. */
  private readonly starts: Uint32Array
  private readonly entries: Uint32Array
  private readonly large: number[] = []

  constructor(readonly objects: readonly ImageObject[]) {
    if (objects.length) {
      this.left = this.top = Infinity
      this.right = this.bottom = -Infinity
      for (const { bounds: [x1, y1, x2, y2] } of objects) {
        if (x1 < this.left) this.left = x1
        if (y1 < this.top) this.top = y1
        if (x2 > this.right) this.right = x2
        if (y2 > this.bottom) this.bottom = y2
      }
      this.columns = this.rows = Math.max(1, Math.min(MAX_CELLS_PER_SIDE, Math.ceil(Math.sqrt(objects.length))))
      this.cellWidth = (this.right - this.left) / this.columns || 1
      this.cellHeight = (this.bottom - this.top) / this.rows || 1
    }
    const counts = new Uint32Array(this.columns * this.rows + 1)
    objects.forEach((object, index) => {
      if (!this.forEachCell(object.bounds, (cell) => (counts[cell + 1] = (counts[cell + 1] as number) + 1))) this.large.push(index)
    })
    for (let cell = 0; cell < counts.length - 1; cell += 1) counts[cell + 1] = (counts[cell + 1] as number) + (counts[cell] as number)
    this.starts = counts
    this.entries = new Uint32Array(counts.at(-1) as number)
    const next = counts.slice()
    objects.forEach((object, index) => {
      this.forEachCell(object.bounds, (cell) => {
        this.entries[next[cell] as number] = index
        next[cell] = (next[cell] as number) + 1
      })
    })
  }

  /** The object whose bounds contain a point. Of several, the smallest: a large one would hide those inside it. */
  at(x: number, y: number): ImageObject | null {
    let smallest: ImageObject | null = null
    let smallestArea = Infinity
    const check = (index: number): void => {
      const object = this.objects[index] as ImageObject
      const [x1, y1, x2, y2] = object.bounds
      const area = (x2 - x1) * (y2 - y1)
      if (x >= x1 && x <= x2 && y >= y1 && y <= y2 && area < smallestArea) {
        smallest = object
        smallestArea = area
      }
    }
    this.large.forEach(check)
    if (x >= this.left && x <= this.right && y >= this.top && y <= this.bottom) {
      const cell = this.row(y) * this.columns + this.column(x)
      for (let entry = this.starts[cell] as number; entry < (this.starts[cell + 1] as number); entry += 1) check(this.entries[entry] as number)
    }
    return smallest
  }

  /** The objects whose bounds meet a rectangle, in the order of `objects`. */
  within(left: number, top: number, right: number, bottom: number): readonly ImageObject[] {
    if (left <= this.left && top <= this.top && right >= this.right && bottom >= this.bottom) return this.objects
    const isHit = (index: number): boolean => {
      const [x1, y1, x2, y2] = (this.objects[index] as ImageObject).bounds
      return x1 <= right && x2 >= left && y1 <= bottom && y2 >= top
    }
    const hits = new Set<number>(this.large.filter(isHit))
    if (right >= this.left && left <= this.right && bottom >= this.top && top <= this.bottom) {
      for (let row = this.row(top); row <= this.row(bottom); row += 1) {
        const end = this.starts[row * this.columns + this.column(right) + 1] as number
        for (let entry = this.starts[row * this.columns + this.column(left)] as number; entry < end; entry += 1) {
          const index = this.entries[entry] as number
          if (isHit(index)) hits.add(index)
        }
      }
    }
    return Array.from(Uint32Array.from(hits).sort(), (index) => this.objects[index] as ImageObject)
  }

  private column(x: number): number {
    return Math.max(0, Math.min(this.columns - 1, Math.floor((x - this.left) / this.cellWidth)))
  }

  private row(y: number): number {
    return Math.max(0, Math.min(this.rows - 1, Math.floor((y - this.top) / this.cellHeight)))
  }

  /** Calls a function with each cell that bounds cover; does nothing and returns false if there are too many. */
  private forEachCell([x1, y1, x2, y2]: ImageObject['bounds'], visit: (cell: number) => void): boolean {
    const [firstColumn, lastColumn] = [this.column(x1), this.column(x2)]
    const [firstRow, lastRow] = [this.row(y1), this.row(y2)]
    if ((lastColumn - firstColumn + 1) * (lastRow - firstRow + 1) > MAX_CELLS_PER_OBJECT) return false
    for (let row = firstRow; row <= lastRow; row += 1) {
      for (let column = firstColumn; column <= lastColumn; column += 1) visit(row * this.columns + column)
    }
    return true
  }
}
