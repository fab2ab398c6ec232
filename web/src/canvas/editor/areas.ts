/** Commands that combine the areas of objects. Independent of Vue. */
import type { Geometry } from '../shapes'
import { join, subtract, toPolygon, type Polygon } from './geometry/clipping'
import { MaskColumns } from './geometry/maskColumns'
import type { SceneObject } from './scene'
import type { ObjectChange } from './types'

const hasArea = ({ geometry }: SceneObject): boolean => geometry.type === 'mask' || toPolygon(geometry) !== null

/** Pixels, if one of the geometries is a mask. */
function paint(columns: MaskColumns, geometry: Geometry, isAdded: boolean): void {
  if (geometry.type === 'mask') columns.paintMask(geometry, isAdded)
  else columns.paintPolygon(toPolygon(geometry) as Polygon, isAdded)
}

const hasMask = (objects: readonly SceneObject[]): boolean => objects.some(({ geometry }) => geometry.type === 'mask')

/** Joins objects to the first of them: a polygon, or a mask if one of them is a mask. Null if they have no areas. */
export function joinChanges(objects: readonly SceneObject[], [width, height]: [number, number]): ObjectChange[] | null {
  const [first, ...others] = objects
  if (!first || !others.length || !objects.every(hasArea)) return null
  let geometry: Geometry | null
  if (hasMask(objects)) {
    const columns = new MaskColumns(width, height)
    for (const object of objects) paint(columns, object.geometry, true)
    geometry = columns.toMask()
  } else geometry = join(objects.map((object) => toPolygon(object.geometry) as Polygon))
  return geometry && [{ kind: 'patch', id: first.id, fields: { geometry } }, ...others.map(({ id }): ObjectChange => ({ kind: 'delete', id }))]
}

/** Takes the areas of the other objects from the first, which is deleted if nothing is left of it. */
export function subtractChanges(objects: readonly SceneObject[], [width, height]: [number, number]): ObjectChange[] | null {
  const [first, ...others] = objects
  if (!first || !others.length || !objects.every(hasArea)) return null
  let geometry: Geometry | null
  if (hasMask(objects)) {
    const columns = new MaskColumns(width, height)
    paint(columns, first.geometry, true)
    for (const object of others) paint(columns, object.geometry, false)
    geometry = columns.isEmpty ? null : columns.toMask()
  } else geometry = subtract(toPolygon(first.geometry) as Polygon, others.map((object) => toPolygon(object.geometry) as Polygon))
  return [geometry ? { kind: 'patch', id: first.id, fields: { geometry } } : { kind: 'delete', id: first.id }]
}

/** Makes masks of polygons and other areas. */
export function maskChanges(objects: readonly SceneObject[], [width, height]: [number, number]): ObjectChange[] {
  return objects.filter((object) => hasArea(object) && object.geometry.type !== 'mask').flatMap(({ id, geometry }) => {
    const columns = new MaskColumns(width, height)
    paint(columns, geometry, true)
    return columns.isEmpty ? [] : [{ kind: 'patch', id, fields: { geometry: columns.toMask() } }]
  })
}
