import { describe, expect, it } from 'vitest'
import { isInRing } from '@/canvas/editor/geometry/hit'
import { simplify } from '@/canvas/editor/geometry/simplify'
import type { ToolName } from '@/canvas/editor/types'
import type { Point } from '@/canvas/shapes'
import { createRandom } from './random'
import { createObject, Session } from './session'

function start(tool: ToolName): Session {
  const session = new Session()
  session.model.setTool(tool)
  return session
}

const only = (session: Session) => session.geometry(session.ids[0] as string)
const TRIANGLE: Point[] = [[10, 10], [60, 10], [60, 60]]

describe('the polygon tool', () => {
  it.each([
    ['a click on the first point', (session: Session) => session.click(11, 12)],
    ['a double click', (session: Session) => {
      const pointer = session.pointer(60, 60, { isPressed: true, clicks: 2 })
      session.model.pointerDown(pointer)
      session.model.pointerUp(pointer)
    }],
    ['finish', (session: Session) => session.model.command('finish')],
  ])('is closed by %s', (_, close) => {
    const session = start('polygon')
    for (const [x, y] of TRIANGLE) session.click(x, y)
    expect(session.model.tool.hasDraft).toBe(true)
    close(session)
    expect(only(session)).toEqual({ type: 'polygon', parts: [[TRIANGLE]] })
    expect(session.model.tool.hasDraft).toBe(false)
    expect(session.acts).toHaveLength(1)
  })

  it('needs three points', () => {
    const session = start('polygon')
    session.click(10, 10)
    session.click(60, 10)
    session.model.command('finish')
    expect(session.hints.at(-1)).toBe('polygon-needs-3-points')
    session.click(60, 60)
    session.model.command('finish')
    expect(session.ids).toHaveLength(1)
  })

  it('removes the last point and brings it back', () => {
    const session = start('polygon')
    for (const [x, y] of TRIANGLE) session.click(x, y)
    session.click(5, 70)
    session.rightClick(5, 70)
    expect(session.model.command('remove-last-point')).toBe(true)
    expect(session.model.command('restore-last-point')).toBe(true)
    expect(session.model.command('restore-last-point')).toBe(true)
    expect(session.model.command('restore-last-point')).toBe(false)
    session.model.command('remove-last-point')
    session.model.command('finish')
    expect(only(session)).toEqual({ type: 'polygon', parts: [[TRIANGLE]] })
    expect(session.model.command('remove-last-point')).toBe(false)
  })

  it('puts the draft aside and restores it', () => {
    const session = start('polygon')
    for (const [x, y] of TRIANGLE) session.click(x, y)
    session.model.command('cancel')
    expect(session.model.tool.hasDraft).toBe(false)
    expect(session.model.command('restore-draft')).toBe(true)
    session.model.command('finish')
    expect(only(session)).toEqual({ type: 'polygon', parts: [[TRIANGLE]] })
  })

  it('is drawn freehand, and simplified to a pixel of the screen', () => {
    const session = start('polygon')
    const circle = Array.from({ length: 200 }, (_, index): Point => [50 + 30 * Math.cos((index / 200) * 2 * Math.PI), 40 + 30 * Math.sin((index / 200) * 2 * Math.PI)])
    session.drag([...circle, [80, 40]])
    const polygon = only(session)
    expect(polygon?.type).toBe('polygon')
    const ring = polygon?.type === 'polygon' ? (polygon.parts[0]?.[0] as Point[]) : []
    expect(ring.length).toBeGreaterThan(8)
    expect(ring.length).toBeLessThan(40)
    for (const [x, y] of ring) expect(Math.hypot(x - 50, y - 40)).toBeCloseTo(30, 0)
    expect(isInRing(ring, [50, 40])).toBe(true)
  })

  it('continues with clicks after a stroke, which is removed as a whole', () => {
    const session = start('polygon')
    session.click(10, 10)
    session.drag([[60, 10], [60, 30], [70, 45], [60, 60]])
    session.model.command('remove-last-point') // the stroke
    session.click(60, 60)
    session.model.command('finish')
    expect(only(session)).toEqual({ type: 'polygon', parts: [[TRIANGLE]] })
  })

  it('takes back the point of a finger that becomes a pinch', () => {
    const session = start('polygon')
    session.click(10, 10)
    session.model.pointerDown(session.pointer(30, 30, { isPressed: true, isTouch: true }))
    session.model.interrupt()
    session.click(60, 10)
    session.click(60, 60)
    session.model.command('finish')
    expect(only(session)).toEqual({ type: 'polygon', parts: [[TRIANGLE]] })
  })
})

describe('lines and points', () => {
  it('draws a polyline', () => {
    const session = start('polyline')
    for (const [x, y] of TRIANGLE) session.click(x, y)
    session.model.command('finish')
    expect(only(session)).toEqual({ type: 'polyline', points: TRIANGLE })
  })

  it('draws points', () => {
    const session = start('points')
    session.click(10, 10)
    session.click(20, 10)
    session.model.command('finish')
    expect(only(session)).toEqual({ type: 'points', points: [[10, 10], [20, 10]] })
  })
})

describe('the ellipse tool', () => {
  it('draws in the rectangle of a drag, and a circle with Shift', () => {
    const session = start('ellipse')
    session.drag([[10, 10], [50, 30]])
    expect(only(session)).toEqual({ type: 'ellipse', cx: 30, cy: 20, rx: 20, ry: 10, angle: 0 })
    session.drag([[10, 10], [50, 30]], { shift: true })
    expect(session.geometry(session.ids[1] as string)).toEqual({ type: 'ellipse', cx: 30, cy: 30, rx: 20, ry: 20, angle: 0 })
  })
})

describe('the rotated box tool', () => {
  it('draws an edge, then the width on either side', () => {
    const session = start('rotated-box')
    session.drag([[20, 20], [60, 20]])
    session.click(50, 50)
    expect(only(session)).toEqual({ type: 'rotated_box', cx: 40, cy: 35, width: 40, height: 30, angle: 0 })
    session.click(20, 60)
    session.click(20, 20)
    session.click(50, 30)
    expect(session.geometry(session.ids[1] as string)).toEqual({ type: 'rotated_box', cx: 35, cy: 40, width: 40, height: 30, angle: 270 })
  })

  it('snaps the edge to 15 degrees with Shift', () => {
    const session = start('rotated-box')
    session.drag([[20, 20], [60, 21]], { shift: true })
    session.click(50, 50)
    expect(only(session)).toMatchObject({ angle: 0, height: 30 })
  })
})

describe('the keypoints tool', () => {
  const points: Point[] = [[20, 20], [30, 30], [40, 40]]

  it('places the points of the template in order, and ends with the last', () => {
    const session = start('keypoints')
    session.drag([[10, 10], [60, 60]])
    session.click(20, 20)
    session.rightClick(30, 30)
    session.click(40, 40)
    expect(only(session)).toEqual({ type: 'keypoints', points, visibility: [2, 1, 2], box: { x1: 10, y1: 10, x2: 60, y2: 60 } })
  })

  it('needs no box, and leaves points out', () => {
    const session = start('keypoints')
    session.click(20, 20)
    session.model.command('skip-point')
    session.click(33, 33)
    expect(only(session)).toMatchObject({ points: [[20, 20], [0, 0], [33, 33]], visibility: [2, 0, 2], box: null })
  })

  it('asks for a class with keypoints', () => {
    const session = start('keypoints')
    session.model.setClasses([{ id: 'ship', name: 'Ship', color: '#ff0000', keypoints: [], skeleton: [] }])
    session.click(20, 20)
    expect(session.hints.at(-1)).toBe('class-needs-keypoints')
  })

  it('marks a placed point as hidden by the right button', () => {
    const session = new Session([createObject('a', { type: 'keypoints', points: [[20, 20], [30, 30], [60, 60]], visibility: [2, 2, 2], box: null })])
    session.model.select(['a'])
    session.rightClick(30, 30)
    expect(session.geometry('a')).toMatchObject({ visibility: [2, 1, 2] })
    session.rightClick(30, 30)
    expect(session.geometry('a')).toMatchObject({ visibility: [2, 2, 2] })
  })
})

describe('editing the points of a polygon', () => {
  const edited = (): Session => {
    const session = new Session([createObject('a', { type: 'polygon', parts: [[[[10, 10], [70, 10], [70, 70], [10, 70]], [[30, 30], [50, 30], [50, 50]]]] })])
    session.model.select(['a'])
    return session
  }
  const rings = (session: Session): Point[][] => {
    const geometry = session.geometry('a')
    return geometry?.type === 'polygon' ? geometry.parts.flat() : []
  }

  it('drags a point, and one of a hole', () => {
    const session = edited()
    session.drag([[71, 10], [81, 5]])
    session.drag([[50, 50], [45, 55]])
    expect(rings(session)).toEqual([[[10, 10], [80, 5], [70, 70], [10, 70]], [[30, 30], [50, 30], [45, 55]]])
    expect(session.acts.map(({ label }) => label)).toEqual(['move-point', 'move-point'])
  })

  it('adds a point between two', () => {
    const session = edited()
    session.drag([[10, 40], [5, 40]])
    expect(rings(session)[0]).toEqual([[10, 10], [70, 10], [70, 70], [10, 70], [5, 40]])
  })

  it('deletes points with Alt, but not the last three', () => {
    const session = edited()
    session.click(70, 70, { alt: true })
    expect(rings(session)[0]).toEqual([[10, 10], [70, 10], [10, 70]])
    session.click(70, 10, { alt: true })
    expect(rings(session)).toHaveLength(2)
    expect(session.hints.at(-1)).toBe('too-few-points')
    session.click(50, 30, { alt: true })
    expect(rings(session)).toHaveLength(1) // the hole is gone
  })
})

describe('rotating', () => {
  it('turns a rotated box by its handle, and snaps with Shift', () => {
    const session = new Session([createObject('a', { type: 'rotated_box', cx: 50, cy: 50, width: 30, height: 30, angle: 10 })])
    session.model.select(['a'])
    const radians = (10 * Math.PI) / 180
    const handle: Point = [50 + 39 * Math.sin(radians), 50 - 39 * Math.cos(radians)]
    session.drag([handle, [89, 50]])
    expect(session.geometry('a')).toMatchObject({ cx: 50, cy: 50, angle: 90 })
    session.drag([[89, 50], [88, 57]], { shift: true })
    expect(session.geometry('a')).toMatchObject({ angle: 105 })
  })
})

describe('simplifying a line', () => {
  it('keeps all of it within the tolerance', () => {
    const random = createRandom(11)
    for (let round = 0; round < 40; round += 1) {
      const points = Array.from({ length: 60 }, (): Point => [random() * 50, random() * 50])
      const simple = simplify(points, 5)
      expect(simple[0]).toEqual(points[0])
      expect(simple.at(-1)).toEqual(points.at(-1))
      for (const point of points) {
        const lengths = simple.slice(1).map((end, index) => {
          const start = simple[index] as Point
          const [dx, dy] = [end[0] - start[0], end[1] - start[1]]
          const position = Math.min(1, Math.max(0, ((point[0] - start[0]) * dx + (point[1] - start[1]) * dy) / (dx * dx + dy * dy)))
          return Math.hypot(start[0] + position * dx - point[0], start[1] + position * dy - point[1])
        })
        expect(Math.min(...lengths)).toBeLessThanOrEqual(5 + 1e-9)
      }
    }
  })

  it('does nothing to a line of two points', () => {
    expect(simplify([[0, 0], [1, 1]], 9)).toEqual([[0, 0], [1, 1]])
  })
})

describe('the borders of neighbours', () => {
  const neighbour = () => createObject('n', { type: 'polygon', parts: [[[[10, 10], [50, 10], [50, 60], [10, 60]]]] })

  it('attract points with Ctrl: a vertex first, then an edge', () => {
    const session = new Session([neighbour()])
    session.model.setTool('polygon')
    session.click(53, 13, { ctrl: true })
    session.click(55, 40, { ctrl: true })
    session.click(90, 40, { ctrl: true })
    session.model.command('finish')
    expect(session.geometry(session.ids[1] as string)).toEqual({ type: 'polygon', parts: [[[[50, 10], [50, 40], [90, 40]]]] })
  })

  it('do not attract without it', () => {
    const session = new Session([neighbour()])
    session.model.setTool('polyline')
    session.click(53, 13)
    session.click(90, 40)
    session.model.command('finish')
    expect(session.geometry(session.ids[1] as string)).toMatchObject({ points: [[53, 13], [90, 40]] })
  })

  it('attract a point that is dragged, but not to its own outline', () => {
    const session = new Session([neighbour(), createObject('a', { type: 'polyline', points: [[60, 20], [90, 20], [90, 70]] })])
    session.model.select(['a'])
    session.model.pointerDown(session.pointer(60, 20, { isPressed: true }))
    session.model.pointerMove(session.pointer(54, 30, { isPressed: true, isDrag: true, ctrl: true }))
    session.model.pointerUp(session.pointer(54, 30, { isDrag: true, ctrl: true }))
    expect(session.geometry('a')).toMatchObject({ points: [[50, 30], [90, 20], [90, 70]] })
  })
})
