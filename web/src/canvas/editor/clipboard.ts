/** Copies of objects, within an image and from one image to another. Independent of Vue. */
import type { Geometry } from '../shapes'
import { boundsOf } from './geometry/bounds'
import { cropMask } from './geometry/mask'
import { clampMovement, translate } from './geometry/transform'
import type { EditorObject } from './types'
import { uuidv7 } from './uuid'

/** Of the page, so that objects can be copied from one image to another. */
let copied: readonly EditorObject[] = []

export function copyObjects(objects: readonly EditorObject[]): void {
  copied = objects.map((object) => structuredClone(object))
}

export const copiedObjects = (): readonly EditorObject[] => copied

/** How many positions are tried for a copy. */
const MAX_ATTEMPTS = 50

interface Place {
  /** Of the image. */
  size: [number, number]
  /** The order of the copies, which lie above the others. */
  order: number
  /** The objects that are in the image. */
  existing: readonly EditorObject[]
  /** How far a copy is moved to be beside an equal object, in pixels of the image. */
  offset: number
}

/** Copies of objects for an image: inside it, and not exactly above objects that are equal. */
export function pasteObjects(objects: readonly EditorObject[], { size, order, existing, offset }: Place): EditorObject[] {
  const occupied = new Set(existing.map(({ geometry }) => JSON.stringify(geometry)))
  return objects.flatMap((object) => {
    let geometry = fitInto(object.geometry, size)
    // At a border, there may be no room for another copy.
    for (let attempt = 0; attempt < MAX_ATTEMPTS && occupied.has(JSON.stringify(geometry)); attempt += 1) {
      geometry = fitInto(translate(geometry, offset, offset), size)
    }
    occupied.add(JSON.stringify(geometry))
    if (geometry.type === 'mask' && geometry.counts.length < 2) return [] // all of it is outside
    return [{ ...structuredClone(object), id: uuidv7(), geometry, score: null, track: null, order, source: 'manual' }]
  })
}

/** Moves a geometry into an image, as far as it has room. */
function fitInto(geometry: Geometry, size: [number, number]): Geometry {
  if (geometry.type === 'mask') return cropMask(geometry, ...size)
  const [x1, y1, x2, y2] = boundsOf(geometry)
  const [right, bottom] = [Math.max(0, x2 - size[0]), Math.max(0, y2 - size[1])]
  const [dx, dy] = clampMovement([x1 - right, y1 - bottom, x2 - right, y2 - bottom], Math.max(0, right - x1), Math.max(0, bottom - y1), size)
  return right || bottom || dx || dy ? translate(geometry, dx - right, dy - bottom) : geometry
}
