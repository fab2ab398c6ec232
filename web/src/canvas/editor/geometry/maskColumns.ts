/** The pixels of a mask as ranges of each column, to paint and to erase. Independent of Vue. */
import { maskRuns, type Point } from '../../shapes'
import type { Polygon } from './clipping'
import { maskFromRuns, type Mask } from './mask'

/** Ascending first and end rows, alternately, that neither overlap nor touch. */
type Ranges = number[]

/** Adds a range to ranges, or removes it. */
function changed(ranges: Ranges, start: number, end: number, isAdded: boolean): Ranges {
  const result: Ranges = []
  let [first, last] = [start, end]
  let isPlaced = !isAdded
  for (let index = 0; index < ranges.length; index += 2) {
    const [from, to] = [ranges[index] as number, ranges[index + 1] as number]
    if (!isAdded) {
      if (from < start) result.push(from, Math.min(to, start))
      if (to > end) result.push(Math.max(from, end), to)
    } else if (to < first) result.push(from, to)
    else if (from > last) {
      if (!isPlaced) result.push(first, last)
      isPlaced = true
      result.push(from, to)
    } else {
      first = Math.min(first, from)
      last = Math.max(last, to)
    }
  }
  if (!isPlaced) result.push(first, last)
  return result
}

export class MaskColumns {
  private readonly columns = new Map<number, Ranges>()

  constructor(private readonly width: number, private readonly height: number) {}

  static fromMask(mask: Mask, width: number, height: number): MaskColumns {
    const columns = new MaskColumns(width, height)
    columns.paintMask(mask, true)
    return columns
  }

  get isEmpty(): boolean {
    for (const ranges of this.columns.values()) if (ranges.length) return false
    return true
  }

  /** Paints or erases the rows from `start` up to `end` of a column, as far as they are inside. */
  paint(x: number, start: number, end: number, isAdded: boolean): void {
    const [first, last] = [Math.max(0, start), Math.min(this.height, end)]
    if (x < 0 || x >= this.width || first >= last) return
    const ranges = this.columns.get(x)
    if (ranges) this.columns.set(x, changed(ranges, first, last, isAdded))
    else if (isAdded) this.columns.set(x, [first, last])
  }

  paintMask(mask: Mask, isAdded: boolean): void {
    for (const [x, start, end] of maskRuns(mask.height, mask.counts)) this.paint(x, start, end, isAdded)
  }

  /** A round brush that moves from a point to another: the pixels whose centres it covers. */
  paintStroke([x1, y1]: Point, [x2, y2]: Point, radius: number, isAdded: boolean): void {
    const [dx, dy] = [x2 - x1, y2 - y1]
    const length = Math.hypot(dx, dy)
    const firstColumn = Math.ceil(Math.min(x1, x2) - radius - 0.5)
    const lastColumn = Math.floor(Math.max(x1, x2) + radius - 0.5)
    for (let column = firstColumn; column <= lastColumn; column += 1) {
      const x = column + 0.5
      let [top, bottom] = [Infinity, -Infinity]
      const cover = (from: number, to: number): void => {
        top = Math.min(top, from)
        bottom = Math.max(bottom, to)
      }
      for (const [cx, cy] of [[x1, y1], [x2, y2]] as const) {
        const squared = radius * radius - (x - cx) ** 2
        if (squared >= 0) cover(cy - Math.sqrt(squared), cy + Math.sqrt(squared))
      }
      // The straight sides: their ends are the points beside both centres.
      if (length) {
        const [nx, ny] = [(-dy / length) * radius, (dx / length) * radius]
        for (const sign of [-1, 1]) {
          const [startX, startY, endX] = [x1 + sign * nx, y1 + sign * ny, x2 + sign * nx]
          if (x < Math.min(startX, endX) || x > Math.max(startX, endX)) continue
          const y = dx ? startY + ((x - startX) / dx) * dy : startY
          cover(y, y)
        }
      }
      this.paint(column, Math.ceil(top - 0.5), Math.floor(bottom - 0.5) + 1, isAdded)
    }
  }

  /** The pixels whose centres a polygon covers. */
  paintPolygon(polygon: Polygon, isAdded: boolean): void {
    const crossings = new Map<number, number[]>()
    for (const ring of polygon.parts.flat()) {
      ring.forEach(([x1, y1], index) => {
        const [x2, y2] = ring[(index + 1) % ring.length] as Point
        const [left, right] = [Math.min(x1, x2), Math.max(x1, x2)]
        const last = Math.min(this.width - 1, Math.ceil(right - 0.5) - 1)
        for (let column = Math.max(0, Math.ceil(left - 0.5)); column <= last; column += 1) {
          const y = y1 + ((column + 0.5 - x1) / (x2 - x1)) * (y2 - y1)
          const ys = crossings.get(column)
          if (ys) ys.push(y)
          else crossings.set(column, [y])
        }
      })
    }
    for (const [column, ys] of crossings) {
      ys.sort((first, second) => first - second)
      for (let index = 0; index + 1 < ys.length; index += 2) {
        this.paint(column, Math.ceil((ys[index] as number) - 0.5), Math.ceil((ys[index + 1] as number) - 0.5), isAdded)
      }
    }
  }

  toMask(): Mask {
    const runs: [number, number, number][] = []
    for (const x of [...this.columns.keys()].sort((first, second) => first - second)) {
      const ranges = this.columns.get(x) as Ranges
      for (let index = 0; index < ranges.length; index += 2) runs.push([x, ranges[index] as number, ranges[index + 1] as number])
    }
    return maskFromRuns(this.width, this.height, runs)
  }
}
