/** The objects of the image in the editor: what is where, what is visible, and what lies on top. Independent of Vue. */
import type { Point } from '../shapes'
import { areaOf, boundsOf, type Bounds } from './geometry/bounds'
import { isAt } from './geometry/hit'
import { ObjectGrid } from './objectGrid'
import type { EditorObject, EditorVisibility, ObjectChange } from './types'

/** An object with what is derived from its geometry. A change makes a new one. */
export interface SceneObject extends EditorObject {
  readonly bounds: Bounds
  readonly area: number
}

export const EVERYTHING_VISIBLE: EditorVisibility = { hiddenIds: new Set(), lockedIds: new Set(), hiddenClasses: new Set(), minScore: 0 }

/** The order of drawing: by `order`, then the largest first, so that small objects stay visible on top. */
export const compareForDrawing = (first: SceneObject, second: SceneObject): number =>
  first.order - second.order || second.area - first.area || (first.id < second.id ? -1 : 1)

const createSceneObject = (object: EditorObject): SceneObject => ({ ...object, bounds: boundsOf(object.geometry), area: areaOf(object.geometry) })

export class Scene {
  private objects = new Map<string, SceneObject>()
  private size: [number, number] = [1, 1]
  private visibility = EVERYTHING_VISIBLE
  /** Objects that are drawn above the others, by the layer that follows the pointer. */
  private lifted: ReadonlySet<string> = new Set()
  /** The visible objects. */
  private grid = new ObjectGrid<SceneObject>(this.size)

  get count(): number {
    return this.objects.size
  }

  /** All objects, also hidden ones. */
  all(): SceneObject[] {
    return Array.from(this.objects.values())
  }

  get(id: string): SceneObject | undefined {
    return this.objects.get(id)
  }

  setSize(size: [number, number]): void {
    this.size = size
    this.rebuild()
  }

  setObjects(objects: readonly EditorObject[]): void {
    this.objects = new Map(objects.map((object) => [object.id, createSceneObject(object)]))
    this.rebuild()
  }

  setVisibility(visibility: EditorVisibility): void {
    this.visibility = visibility
    this.rebuild()
  }

  isVisible({ id, class: classId, score, accepted }: EditorObject): boolean {
    const { hiddenIds, hiddenClasses, minScore } = this.visibility
    return !hiddenIds.has(id) && !hiddenClasses.has(classId) && (accepted !== false || score === null || score >= minScore)
  }

  isLocked(id: string): boolean {
    return this.visibility.lockedIds.has(id)
  }

  /** Whether the user may change an object now. */
  isEditable(id: string): boolean {
    const object = this.objects.get(id)
    return object !== undefined && !this.isLocked(id) && this.isVisible(object)
  }

  /**
   * Applies changes. A patch or the removal of an unknown object does nothing.
   *
   * @returns the areas that look different now.
   */
  apply(changes: readonly ObjectChange[]): Bounds[] {
    const areas: Bounds[] = []
    for (const change of changes) {
      const id = change.kind === 'put' ? change.object.id : change.id
      const previous = this.objects.get(id)
      if (!previous && change.kind !== 'put') continue
      if (previous) {
        this.grid.remove(previous)
        areas.push(previous.bounds)
      }
      if (change.kind === 'delete') {
        this.objects.delete(id)
        continue
      }
      const object = createSceneObject(change.kind === 'put' ? change.object : { ...(previous as SceneObject), ...change.fields })
      this.objects.set(id, object)
      if (this.isVisible(object)) this.grid.add(object)
      areas.push(object.bounds)
    }
    return areas
  }

  /**
   * Sets the objects that are drawn above the others.
   *
   * @returns the areas where objects were added to or taken from those below.
   */
  lift(ids: ReadonlySet<string>): Bounds[] {
    const changed = [...this.lifted].filter((id) => !ids.has(id)).concat([...ids].filter((id) => !this.lifted.has(id)))
    this.lifted = ids
    return changed.flatMap((id) => {
      const bounds = this.objects.get(id)?.bounds
      return bounds ? [bounds] : []
    })
  }

  /** The objects below the lifted ones whose bounds meet a rectangle, in the order of drawing. */
  within(left: number, top: number, right: number, bottom: number): SceneObject[] {
    return this.grid.within([left, top, right, bottom]).filter(({ id }) => !this.lifted.has(id)).sort(compareForDrawing)
  }

  /** The visible objects whose bounds meet a rectangle, in no particular order. */
  touching(bounds: Bounds): SceneObject[] {
    return this.grid.within(bounds)
  }

  /** The visible objects. */
  visible(): SceneObject[] {
    return this.grid.within([-Infinity, -Infinity, Infinity, Infinity])
  }

  /**
   * The visible objects at a point that are not locked, the smallest first.
   *
   * @param tolerance - how far lines and points reach, in pixels of the image.
   */
  at(point: Point, tolerance: number): SceneObject[] {
    const [x, y] = point
    return this.grid
      .within([x - tolerance, y - tolerance, x + tolerance, y + tolerance])
      .filter(({ id, geometry }) => !this.isLocked(id) && isAt(geometry, point, tolerance))
      .sort((first, second) => first.area - second.area || compareForDrawing(second, first))
  }

  /** The order of a new object: with those on top. */
  topOrder(): number {
    let order = 0
    for (const object of this.objects.values()) order = Math.max(order, object.order)
    return order
  }

  private rebuild(): void {
    this.grid = new ObjectGrid(this.size)
    for (const object of this.objects.values()) if (this.isVisible(object)) this.grid.add(object)
  }
}
