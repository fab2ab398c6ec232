/** Which part of the image is shown, and how large. Independent of Vue. */
import type { Point } from '../shapes'
import { fit, pan, screenToImage, zoomAt, type ViewportSizes, type ViewTransform } from '../viewport'
import type { Bounds } from './geometry/bounds'

const MAX_SCALE = 40
const SELECTION_MARGIN = 80 // screen pixels

export class View {
  /** Until the user zooms or pans, the image follows the size of the window. */
  private isFitted = true
  private current: ViewTransform = { scale: 1, x: 0, y: 0 }
  private image: [number, number] = [1, 1]
  private area: [number, number] = [0, 0]

  /** @param onChange - called when another part of the image is shown. */
  constructor(private readonly onChange: () => void) {}

  get transform(): ViewTransform {
    return this.current
  }

  set transform(transform: ViewTransform) {
    this.current = transform
    this.onChange()
  }

  get sizes(): ViewportSizes {
    return { image: this.image, view: this.area }
  }

  setImageSize(size: [number, number]): void {
    this.image = size
    this.fit()
  }

  setViewSize(size: [number, number]): void {
    this.area = size
    if (this.isFitted) this.fit()
    else this.onChange()
  }

  fit(): void {
    this.isFitted = true
    if (this.area[0] && this.area[1]) this.transform = fit(this.sizes)
  }

  zoom(factor: number, [x, y]: Point): void {
    this.isFitted = false
    const minScale = Math.min(fit(this.sizes).scale, 1) / 2
    this.transform = zoomAt(this.current, factor, x, y, minScale)
  }

  pan(dx: number, dy: number): void {
    this.isFitted = false
    this.transform = pan(this.current, dx, dy, this.sizes)
  }

  /** Shows bounds as large as possible, with a margin. */
  zoomTo([x1, y1, x2, y2]: Bounds): void {
    const [width, height] = this.area
    const scale = Math.min((width - 2 * SELECTION_MARGIN) / Math.max(1, x2 - x1), (height - 2 * SELECTION_MARGIN) / Math.max(1, y2 - y1), MAX_SCALE)
    this.showCentre([(x1 + x2) / 2, (y1 + y2) / 2], Math.max(scale, fit(this.sizes).scale))
  }

  /** Moves to bounds that are outside of the view. */
  reveal([x1, y1, x2, y2]: Bounds): void {
    const [left, top] = this.toImage([0, 0])
    const [right, bottom] = this.toImage(this.area)
    if (x1 < right && x2 > left && y1 < bottom && y2 > top) return
    this.showCentre([(x1 + x2) / 2, (y1 + y2) / 2], this.current.scale)
  }

  toImage([x, y]: Point): Point {
    return screenToImage(this.current, x, y)
  }

  private showCentre([x, y]: Point, scale: number): void {
    this.isFitted = false
    this.transform = { scale, x: this.area[0] / 2 - x * scale, y: this.area[1] / 2 - y * scale }
  }
}
