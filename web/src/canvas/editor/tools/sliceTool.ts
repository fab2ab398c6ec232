/** Cuts the selected polygon along a line. Independent of Vue. */
import type { Point } from '../../shapes'
import { slice, toPolygon, type Polygon } from '../geometry/clipping'
import { uuidv7 } from '../uuid'
import { PathTool } from './pathTool'
import type { ToolContext } from './tool'

export class SliceTool extends PathTool {
  constructor(context: ToolContext) {
    super(context, {
      name: 'slice', minPoints: 2, tooFew: 'too-few-points', isClosed: false, isFreehand: true, geometryOf: (points) => ({ type: 'polyline', points }),
    })
  }

  protected override canBegin(): boolean {
    if (this.pieceable()) return true
    this.context.hint('choose-polygon')
    return false
  }

  /** Ends with the point that makes it a cut. */
  protected override isComplete(points: Point[]): boolean {
    const object = this.pieceable()
    if (!object || points.length < 2 || this.isInside(points[0] as Point) || this.isInside(points.at(-1) as Point)) return false
    return (this.context.tryClipping(() => slice(object.polygon, points))?.length ?? 0) > 1
  }

  protected override apply(points: Point[]): void {
    const { context } = this
    const source = this.pieceable()
    const object = source && context.scene.get(source.id)
    if (!source || !object) return
    const [first, ...others] = context.tryClipping(() => slice(source.polygon, points)) ?? []
    if (!first || !others.length) {
      context.hint('slice-misses')
      return
    }
    const { class: classId, attributes, score, track, order } = object
    const pieces = others.map((geometry) => ({ id: uuidv7(), class: classId, geometry, attributes: { ...attributes }, score, track, order, source: 'manual' }))
    context.commit([{ kind: 'patch', id: object.id, fields: { geometry: first } }, ...pieces.map((piece) => ({ kind: 'put' as const, object: piece }))], 'slice')
    context.select([object.id, ...pieces.map(({ id }) => id)])
    context.setTool('select')
  }

  /** The selected object, if it has an outline. */
  private pieceable(): { id: string; polygon: Polygon } | null {
    const [object] = this.context.selection.length === 1 ? this.context.editable() : []
    const polygon = object && toPolygon(object.geometry)
    return object && polygon ? { id: object.id, polygon } : null
  }

  private isInside(point: Point): boolean {
    const object = this.pieceable()
    return object !== null && this.context.scene.at(point, 0).some(({ id }) => id === object.id)
  }
}
