/** Draws polygons, and with Alt holes in them. Independent of Vue. */
import type { Point } from '../../shapes'
import { subtract, toPolygon } from '../geometry/clipping'
import type { EditorPointer } from '../gestures'
import { PathTool } from './pathTool'
import type { ToolContext } from './tool'

export class PolygonTool extends PathTool {
  /** The object that gets a hole. */
  private holeOf: string | null = null
  private isHole = false

  constructor(context: ToolContext) {
    super(context, {
      name: 'polygon', minPoints: 3, tooFew: 'polygon-needs-3-points', isClosed: true, isFreehand: true, geometryOf: (points) => ({ type: 'polygon', parts: [[points]] }),
    })
  }

  override pointerDown(pointer: EditorPointer): undefined {
    if (!this.hasDraft) {
      this.isHole = pointer.alt
      this.holeOf = pointer.alt ? this.areaBelow([pointer.x, pointer.y]) : null
    }
    super.pointerDown(pointer)
  }

  protected override canBegin(): boolean {
    if (!this.isHole) return super.canBegin()
    if (this.holeOf === null) this.context.hint('choose-polygon')
    return this.holeOf !== null
  }

  /** The object at a point, a selected one first. */
  private areaBelow(point: Point): string | null {
    const { selection, scene } = this.context
    const below = scene.at(point, 0).filter(({ geometry }) => toPolygon(geometry) !== null)
    return (below.find(({ id }) => selection.includes(id)) ?? below[0])?.id ?? null
  }

  protected override apply(points: Point[]): void {
    const { context, holeOf } = this
    this.holeOf = null
    const object = holeOf === null ? undefined : context.scene.get(holeOf)
    const polygon = object && toPolygon(object.geometry)
    if (!object || !polygon) {
      super.apply(points)
      return
    }
    const geometry = context.tryClipping(() => subtract(polygon, [{ type: 'polygon', parts: [[points]] }]))
    if (geometry === undefined) return
    context.commit([geometry ? { kind: 'patch', id: object.id, fields: { geometry } } : { kind: 'delete', id: object.id }], 'add-hole')
    context.select([object.id])
  }
}
