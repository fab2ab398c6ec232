/**
 * The objects over an image, drawn fast enough to pan and zoom with tens of thousands of them. Independent of Vue.
 *
 * A few objects are drawn anew at every change of the view. Many are drawn into a bitmap larger than the screen, in slices of a few milliseconds;
 * meanwhile the last bitmap is moved and scaled. The selected object is drawn on top, so that a selection does not draw the others again. Where an
 * object changes, only that part of the bitmap is drawn again. The bitmap may also contain the image: then one bitmap is moved and not two.
 */
import { drawLabel, drawObject, sortForDrawing, type RenderStyle } from './objectRenderer'
import type { ImageObject } from './shapes'
import { SpatialIndex, type ObjectIndex } from './spatialIndex'
import { screenToImage, type ViewTransform } from './viewport'

/** Up to this many points and boxes are drawn at once: about 5 ms. */
const MAX_DIRECT_WEIGHT = 2000
const BOX_WEIGHT = 5 // a box takes as long as the outline of a polygon with so many points
const SLICE_MS = 7
/** While the user zooms, the bitmap is only scaled; it is drawn again when the zoom has not changed for so long. */
const ZOOM_PAUSE_MS = 120
/** The part of the screen's size that the bitmap has on each side in addition. */
const BITMAP_MARGIN = 0.25
/** Lines and labels reach over the bounds of an object. */
const OVERDRAW = 24
/** Of more labels, only those of objects that are wide enough on the screen are drawn. */
const MAX_LABELS = 400
const MIN_LABEL_WIDTH = 36
/** How far a label may reach to the right of its object. */
const LABEL_REACH = 200
/** Of a bitmap, a part with up to this many objects is drawn again at once, and one with more in slices, with the rest. */
const MAX_REPAIRED_OBJECTS = 1000
/** A mask of a megapixel takes as long as thousands of boxes: of more masks, the bitmap is drawn again in slices. */
const MAX_REPAIRED_MASKS = 3

/** From this zoom on, the pixels of the image are shown as squares. */
export const MIN_SCALE_FOR_PIXELS = 3

type LayerStyle = Omit<RenderStyle, 'selectedId' | 'hiddenClasses'>

interface Bitmap {
  canvas: OffscreenCanvas
  context: OffscreenCanvasRenderingContext2D
  pixelRatio: number
  /** Where image coordinates are in the bitmap, in screen pixels. */
  view: ViewTransform
  /** Whether only wide objects have a label. */
  isDense: boolean
  hasBackground: boolean
}

/** The image below the objects, decoded, and its size in pixels of the image. */
export interface Background {
  picture: HTMLImageElement
  width: number
  height: number
}

function drawingWeight({ geometry }: ImageObject): number {
  if (geometry.type === 'polygon') return geometry.parts.reduce((sum, part) => sum + part.reduce((count, ring) => count + ring.length, 0), 0)
  if (geometry.type === 'mask') return geometry.counts.length
  return 'points' in geometry ? Math.max(BOX_WEIGHT, geometry.points.length) : BOX_WEIGHT
}

function isFewToDraw(objects: readonly ImageObject[]): boolean {
  let weight = 0
  return objects.every((object) => (weight += drawingWeight(object)) <= MAX_DIRECT_WEIGHT)
}

export class ObjectLayer {
  private index: ObjectIndex = new SpatialIndex([])
  private spatialIndex: SpatialIndex | null = null
  private style: LayerStyle = { classes: new Map() }
  private isDirect = true
  private bitmap: Bitmap | null = null
  private isStale = true
  private handle = 0
  private zoomTimer: ReturnType<typeof setTimeout> | undefined
  private lastScale = 0
  private background: Background | null = null

  /**
   * @param onUpdate - called when the objects were drawn into the bitmap, so that the screen must be drawn again.
   */
  constructor(private readonly onUpdate: () => void) {}

  /**
   * Sets the visible objects.
   *
   * @param isImmediate - draw all of them at once, however many: the objects of a video frame must not appear after it.
   */
  setObjects(objects: readonly ImageObject[], isImmediate = false): void {
    this.spatialIndex = new SpatialIndex(sortForDrawing(objects))
    this.index = this.spatialIndex
    this.setIsDirect(isImmediate || isFewToDraw(objects))
    this.isStale = true
  }

  /**
   * Sets an index that its owner changes: `invalidate` then tells where.
   *
   * @param objects - all objects of the index, to see whether they are few.
   */
  setIndex(index: ObjectIndex, objects: readonly ImageObject[]): void {
    this.spatialIndex = null
    this.index = index
    this.hasPredictions = false
    this.notePredictions(objects)
    this.setIsDirect(isFewToDraw(objects))
    this.isStale = true
  }

  /** Draws parts of the bitmap again, because objects of the index have changed there. Areas are in pixels of the image. */
  invalidate(areas: readonly ImageObject['bounds'][], objects: readonly ImageObject[]): void {
    this.notePredictions(objects)
    this.setIsDirect(isFewToDraw(objects))
    if (this.isDirect) return
    // What is being drawn in slices may already have passed these areas.
    if (this.handle || !this.bitmap) this.isStale = true
    if (this.bitmap) for (const area of areas) this.repair(this.bitmap, area)
  }

  /** Whether predictions, which always have labels, have been drawn. */
  private hasPredictions = false

  private setIsDirect(isDirect: boolean): void {
    this.isDirect = isDirect
    if (isDirect) this.clear()
  }

  private notePredictions(objects: readonly ImageObject[]): void {
    this.hasPredictions ||= objects.some(({ accepted }) => accepted === false)
  }

  private repair(bitmap: Bitmap, [x1, y1, x2, y2]: ImageObject['bounds']): void {
    const { canvas, context, pixelRatio, view } = bitmap
    const reach = this.style.hasLabels || this.hasPredictions ? LABEL_REACH : 0
    const left = Math.max(0, Math.floor((view.x + x1 * view.scale - OVERDRAW) * pixelRatio))
    const top = Math.max(0, Math.floor((view.y + y1 * view.scale - OVERDRAW) * pixelRatio))
    const right = Math.min(canvas.width, Math.ceil((view.x + x2 * view.scale + OVERDRAW + reach) * pixelRatio))
    const bottom = Math.min(canvas.height, Math.ceil((view.y + y2 * view.scale + OVERDRAW) * pixelRatio))
    if (left >= right || top >= bottom) return
    const [imageLeft, imageTop] = screenToImage(view, left / pixelRatio - OVERDRAW - reach, top / pixelRatio - OVERDRAW)
    const [imageRight, imageBottom] = screenToImage(view, right / pixelRatio + OVERDRAW, bottom / pixelRatio + OVERDRAW)
    const objects = this.index.within(imageLeft, imageTop, imageRight, imageBottom)
    const masks = objects.filter(({ geometry }) => geometry.type === 'mask')
    if (objects.length > MAX_REPAIRED_OBJECTS || masks.length > MAX_REPAIRED_MASKS) {
      this.isStale = true
      return
    }
    context.save()
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.beginPath()
    context.rect(left, top, right - left, bottom - top)
    context.clip()
    context.clearRect(left, top, right - left, bottom - top)
    context.scale(pixelRatio, pixelRatio)
    if (bitmap.hasBackground) this.drawBackground(context, view)
    for (const object of objects) drawObject(context, object, view, this.style)
    for (const object of this.labelled(objects, view, bitmap.isDense)) drawLabel(context, object, view, this.style)
    context.restore()
  }

  /** Forgets what was drawn: the objects belong to another image. */
  clear(): void {
    cancelAnimationFrame(this.handle)
    clearTimeout(this.zoomTimer)
    this.handle = 0
    this.bitmap = null
    this.isStale = true
  }

  setStyle(style: LayerStyle): void {
    this.style = style
    this.isStale = true
  }

  /** Sets the image that is drawn below the objects where these are in a bitmap; null if it is shown in another way. */
  setBackground(background: Background | null): void {
    if (background === this.background) return
    this.background = background
    this.isStale = true
  }

  /** The object at a point of the image; of several, the smallest. */
  at(x: number, y: number): ImageObject | null {
    return this.spatialIndex?.at(x, y) ?? null
  }

  /** Draws on a context whose unit is a screen pixel. */
  draw(context: CanvasRenderingContext2D, view: ViewTransform, size: [number, number], pixelRatio: number, selected: ImageObject | null): void {
    context.clearRect(0, 0, ...size)
    if (this.isDirect) {
      const objects = this.visible(view, size, 0)
      for (const object of objects) drawObject(context, object, view, this.style)
      this.drawLabels(context, objects, view)
    } else {
      if (this.bitmap) {
        const { canvas, view: bitmapView } = this.bitmap
        const zoom = view.scale / bitmapView.scale
        const left = view.x - bitmapView.x * zoom
        const top = view.y - bitmapView.y * zoom
        context.imageSmoothingEnabled = zoom === 1 // smooth scaling takes longer than a frame
        context.drawImage(canvas, left, top, (canvas.width / pixelRatio) * zoom, (canvas.height / pixelRatio) * zoom)
      }
      if (this.isStale || (!this.covers(view, size) && !this.isZooming(view))) this.startDrawing(view, size, pixelRatio)
    }
    if (selected) {
      const style = { ...this.style, selectedId: selected.id }
      drawObject(context, selected, view, style)
      if (style.hasLabels) drawLabel(context, selected, view, style)
    }
  }

  /** Whether the bitmap shows all of the image that is in the view, so that the image needs not be shown below. */
  hidesImage(view: ViewTransform, [width, height]: [number, number]): boolean {
    if (this.isDirect || !this.background || !this.bitmap?.hasBackground) return false
    const { canvas, pixelRatio, view: drawn } = this.bitmap
    const zoom = view.scale / drawn.scale
    const left = view.x - drawn.x * zoom
    const top = view.y - drawn.y * zoom
    return (
      left <= Math.max(0, view.x) &&
      top <= Math.max(0, view.y) &&
      left + (canvas.width / pixelRatio) * zoom >= Math.min(width, view.x + this.background.width * view.scale) &&
      top + (canvas.height / pixelRatio) * zoom >= Math.min(height, view.y + this.background.height * view.scale)
    )
  }

  private drawBackground(context: OffscreenCanvasRenderingContext2D, { scale, x, y }: ViewTransform): void {
    if (!this.background) return
    const { picture, width, height } = this.background
    context.imageSmoothingEnabled = scale <= MIN_SCALE_FOR_PIXELS
    context.imageSmoothingQuality = 'medium' // as browsers show pictures
    context.drawImage(picture, x, y, width * scale, height * scale)
  }

  private visible(view: ViewTransform, [width, height]: [number, number], margin: number): readonly ImageObject[] {
    const [left, top] = screenToImage(view, -margin - OVERDRAW, -margin - OVERDRAW)
    const [right, bottom] = screenToImage(view, width + margin + OVERDRAW, height + margin + OVERDRAW)
    return this.index.within(left, top, right, bottom)
  }

  /** Whether the bitmap shows a view as sharp as it would be drawn, and all of it. */
  private covers(view: ViewTransform, [width, height]: [number, number]): boolean {
    const drawn = this.bitmap?.view
    if (!this.bitmap || !drawn || drawn.scale !== view.scale) return false
    const left = view.x - drawn.x
    const top = view.y - drawn.y
    const marginX = width * BITMAP_MARGIN
    const marginY = height * BITMAP_MARGIN
    // Drawn again when half of the margin is used, so that panning does not reach its end.
    return Math.abs(left + marginX) <= marginX / 2 && Math.abs(top + marginY) <= marginY / 2
  }

  /** Whether the zoom has just changed. */
  private isZooming({ scale }: ViewTransform): boolean {
    if (scale === this.bitmap?.view.scale || scale === this.lastScale) return false
    clearTimeout(this.zoomTimer)
    this.zoomTimer = setTimeout(() => {
      this.lastScale = scale
      this.onUpdate()
    }, ZOOM_PAUSE_MS)
    return true
  }

  private drawLabels(context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D, objects: readonly ImageObject[], view: ViewTransform): void {
    for (const object of this.labelled(objects, view, objects.length > MAX_LABELS)) drawLabel(context, object, view, this.style)
  }

  private labelled(objects: readonly ImageObject[], view: ViewTransform, isDense: boolean): readonly ImageObject[] {
    // The score of a prediction is what its reader decides by.
    const labelled = this.style.hasLabels ? objects : objects.filter(({ accepted }) => accepted === false)
    if (!isDense) return labelled
    return labelled.filter(({ bounds: [x1, , x2] }) => (x2 - x1) * view.scale >= MIN_LABEL_WIDTH)
  }

  /** Draws a bitmap for a view, unless one is being drawn: then the next one begins when that is finished. */
  private startDrawing(view: ViewTransform, size: [number, number], pixelRatio: number): void {
    if (this.handle && !this.isStale) return
    cancelAnimationFrame(this.handle)
    this.isStale = false
    const margin: [number, number] = [Math.round(size[0] * BITMAP_MARGIN), Math.round(size[1] * BITMAP_MARGIN)]
    const canvas = new OffscreenCanvas(
      Math.max(1, Math.round((size[0] + 2 * margin[0]) * pixelRatio)),
      Math.max(1, Math.round((size[1] + 2 * margin[1]) * pixelRatio)),
    )
    const context = canvas.getContext('2d')
    if (!context) return
    context.scale(pixelRatio, pixelRatio)
    const bitmapView = { scale: view.scale, x: view.x + margin[0], y: view.y + margin[1] }
    const hasBackground = this.background !== null
    this.drawBackground(context, bitmapView)
    const objects = this.visible(view, size, Math.max(...margin))
    const isDense = objects.length > MAX_LABELS
    const labelled = this.labelled(objects, bitmapView, isDense)
    let count = 0
    const drawSlice = (): void => {
      const end = performance.now() + SLICE_MS
      while (count < objects.length + labelled.length) {
        const isMask = objects[count]?.geometry.type === 'mask'
        if (count < objects.length) drawObject(context, objects[count] as ImageObject, bitmapView, this.style)
        else drawLabel(context, labelled[count - objects.length] as ImageObject, bitmapView, this.style)
        count += 1
        if ((isMask || count % 32 === 0) && performance.now() > end) {
          this.handle = requestAnimationFrame(drawSlice)
          return
        }
      }
      this.handle = 0
      this.bitmap = { canvas, context, pixelRatio, view: bitmapView, isDense, hasBackground }
      this.onUpdate()
    }
    drawSlice()
  }
}
