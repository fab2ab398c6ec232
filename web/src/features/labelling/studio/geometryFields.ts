/** The coordinates of a geometry as numbers that can be edited one by one. */
import type { Geometry, Point } from '@/canvas/shapes'

export interface GeometryField {
  label: string
  value: number
  /** The geometry with another value. */
  set: (value: number) => Geometry
}

function pointFields(points: readonly Point[], prefix: string, replace: (points: Point[]) => Geometry): GeometryField[] {
  return points.flatMap(([x, y], index) => {
    const withPoint = (point: Point): Geometry => replace(points.map((other, position) => (position === index ? point : other)))
    return [
      { label: `X ${prefix}${index + 1}`, value: x, set: (value: number) => withPoint([value, y]) },
      { label: `Y ${prefix}${index + 1}`, value: y, set: (value: number) => withPoint([x, value]) },
    ]
  })
}

export function geometryFields(geometry: Geometry): GeometryField[] {
  switch (geometry.type) {
    case 'box': {
      const { x1, y1, x2, y2 } = geometry
      return [
        { label: 'X', value: x1, set: (value) => ({ ...geometry, x1: value, x2: value + x2 - x1 }) },
        { label: 'Y', value: y1, set: (value) => ({ ...geometry, y1: value, y2: value + y2 - y1 }) },
        { label: 'Width', value: x2 - x1, set: (value) => ({ ...geometry, x2: x1 + Math.max(0, value) }) },
        { label: 'Height', value: y2 - y1, set: (value) => ({ ...geometry, y2: y1 + Math.max(0, value) }) },
      ]
    }
    case 'rotated_box':
    case 'ellipse': {
      const sizes = geometry.type === 'ellipse' ? (['rx', 'ry'] as const) : (['width', 'height'] as const)
      const labels = geometry.type === 'ellipse' ? ['Radius X', 'Radius Y'] : ['Width', 'Height']
      const values = geometry as unknown as Record<string, number>
      const field = (label: string, name: string, min = -Infinity): GeometryField => ({
        label, value: values[name] ?? 0, set: (value) => ({ ...geometry, [name]: Math.max(min, value) }),
      })
      return [field('Center X', 'cx'), field('Center Y', 'cy'), ...sizes.map((name, index) => field(labels[index] ?? name, name, 0)), field('Angle', 'angle')]
    }
    case 'polyline':
    case 'points':
    case 'keypoints':
      return pointFields(geometry.points, '', (points) => ({ ...geometry, points }))
    case 'polygon': {
      const rings = geometry.parts.flatMap((part, partIndex) => part.map((ring, ringIndex) => ({ ring, partIndex, ringIndex })))
      return rings.flatMap(({ ring, partIndex, ringIndex }, index) =>
        pointFields(ring, rings.length > 1 ? `${index + 1}.` : '', (points) => ({
          ...geometry,
          parts: geometry.parts.map((part, position) => (position === partIndex ? part.map((other, inner) => (inner === ringIndex ? points : other)) : part)),
        })),
      )
    }
    case 'mask':
      return []
  }
}
