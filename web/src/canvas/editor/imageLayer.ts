/** The image below the objects: one picture, and for a large image also the visible tiles of its pyramid. Independent of Vue. */
import { MIN_SCALE_FOR_PIXELS, type Background } from '../objectLayer'
import { visibleTiles, type ImageTile, type ViewTransform, type ViewportSizes } from '../viewport'
import type { EditorDisplay, EditorImage } from './types'

const TILE_SIZE = 512
const SVG = 'http://www.w3.org/2000/svg'

let filterCount = 0

export class ImageLayer {
  readonly element = document.createElement('div')
  private readonly tiles = new Map<string, HTMLImageElement>()
  private readonly gammaFilter: SVGElement
  private readonly filterId: string
  private picture: HTMLImageElement | null = null
  private image: EditorImage | null = null
  private decoded: Background | null = null
  private isFiltered = false

  /**
   * @param onFail - called when the image cannot be loaded or decoded.
   * @param onDecode - called when the image has been decoded.
   */
  constructor(private readonly onFail: () => void, private readonly onDecode: () => void) {
    this.element.style.cssText = 'position:absolute;inset:0;overflow:hidden;pointer-events:none'
    filterCount += 1
    this.filterId = `editor-gamma-${filterCount}`
    this.gammaFilter = document.createElementNS(SVG, 'svg')
    this.gammaFilter.setAttribute('style', 'position:absolute;width:0;height:0')
    this.gammaFilter.setAttribute('aria-hidden', 'true')
    this.element.append(this.gammaFilter)
  }

  /** Resolves when the image is shown, or cannot be. */
  async setImage(image: EditorImage | null): Promise<void> {
    this.image = image
    this.picture?.remove()
    this.picture = null
    this.decoded = null
    for (const tile of this.tiles.values()) tile.remove()
    this.tiles.clear()
    if (!image?.url) return
    const picture = createPicture(image.url)
    this.picture = picture
    this.element.append(picture)
    await new Promise((resolve) => {
      picture.addEventListener('load', resolve)
      picture.addEventListener('error', resolve)
    })
    if (await this.decode(picture, image)) return
    if (picture === this.picture) this.onFail()
  }

  /** The image, if the layer of objects may draw it: filters and tiles are only for elements. */
  get background(): Background | null {
    return this.isFiltered || this.image?.tileUrl ? null : this.decoded
  }

  private async decode(picture: HTMLImageElement, { width, height }: EditorImage): Promise<boolean> {
    try {
      await picture.decode() // beforehand, so that drawing does not wait for it
    } catch {
      return false
    }
    if (picture !== this.picture) return true
    this.decoded = { picture, width, height }
    this.onDecode()
    return true
  }

  setDisplay({ brightness, contrast, gamma }: EditorDisplay): void {
    const filters: string[] = []
    if (gamma !== 1) {
      this.gammaFilter.replaceChildren(createGammaFilter(this.filterId, gamma))
      filters.push(`url(#${this.filterId})`)
    }
    if (brightness !== 1) filters.push(`brightness(${brightness})`)
    if (contrast !== 1) filters.push(`contrast(${contrast})`)
    this.element.style.filter = filters.join(' ')
    this.isFiltered = filters.length > 0
  }

  /** @param isHidden - whether something else shows all of the image. */
  update(view: ViewTransform, sizes: ViewportSizes, isHidden: boolean): void {
    this.element.style.visibility = isHidden ? 'hidden' : ''
    if (!this.image || isHidden) return
    const { width, height, tileUrl } = this.image
    if (this.picture) {
      this.picture.style.imageRendering = view.scale > MIN_SCALE_FOR_PIXELS && !tileUrl ? 'pixelated' : 'auto'
      place(this.picture, view, 0, 0, width, height)
    }
    if (!tileUrl) return
    const needed = new Set<string>()
    for (const tile of visibleTiles(view, sizes, TILE_SIZE, window.devicePixelRatio || 1)) {
      const key = `${tile.level}/${tile.x}/${tile.y}`
      needed.add(key)
      let picture = this.tiles.get(key)
      if (!picture) {
        picture = createPicture(tileUrl(tile.level, tile.x, tile.y))
        // A missing tile must not cover the small version with a broken-image icon.
        picture.addEventListener('error', (event) => ((event.target as HTMLElement).style.visibility = 'hidden'))
        this.tiles.set(key, picture)
        this.element.append(picture)
      }
      placeTile(picture, view, tile, width, height)
    }
    for (const [key, tile] of this.tiles) {
      if (needed.has(key)) continue
      tile.remove()
      this.tiles.delete(key)
    }
  }
}

function createPicture(url: string): HTMLImageElement {
  const picture = document.createElement('img')
  picture.alt = ''
  picture.draggable = false
  picture.style.cssText = 'position:absolute;top:0;left:0;max-width:none;transform-origin:0 0;user-select:none'
  picture.src = url
  return picture
}

function place(element: HTMLElement, view: ViewTransform, left: number, top: number, width: number, height: number): void {
  element.style.transform = `translate(${view.x + left * view.scale}px, ${view.y + top * view.scale}px)`
  element.style.width = `${width * view.scale}px`
  element.style.height = `${height * view.scale}px`
}

function placeTile(element: HTMLElement, view: ViewTransform, { left, top, size }: ImageTile, width: number, height: number): void {
  place(element, view, left, top, Math.min(size, width - left), Math.min(size, height - top))
}

function createGammaFilter(id: string, gamma: number): SVGElement {
  const filter = document.createElementNS(SVG, 'filter')
  filter.setAttribute('id', id)
  filter.setAttribute('color-interpolation-filters', 'sRGB')
  const transfer = document.createElementNS(SVG, 'feComponentTransfer')
  for (const channel of ['R', 'G', 'B']) {
    const element = document.createElementNS(SVG, `feFunc${channel}`)
    element.setAttribute('type', 'gamma')
    element.setAttribute('exponent', String(1 / gamma))
    transfer.append(element)
  }
  filter.append(transfer)
  return filter
}
