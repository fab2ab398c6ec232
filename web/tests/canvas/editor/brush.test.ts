import { describe, expect, it } from 'vitest'
import { isAt, nearestOnSegment } from '@/canvas/editor/geometry/hit'
import { maskFromRuns, type Mask } from '@/canvas/editor/geometry/mask'
import { MaskColumns } from '@/canvas/editor/geometry/maskColumns'
import { maskRuns, type Point } from '@/canvas/shapes'
import { createRandom } from './random'
import { createObject, Session } from './session'

const [WIDTH, HEIGHT] = [40, 30]

function pixelsOf(mask: Mask): Set<string> {
  const pixels = new Set<string>()
  for (const [x, start, end] of maskRuns(mask.height, mask.counts)) for (let y = start; y < end; y += 1) pixels.add(`${x},${y}`)
  return pixels
}

describe('the pixels of a mask', () => {
  it('are those whose centres the brush covers, painted and erased in any order', () => {
    const random = createRandom(5)
    for (let round = 0; round < 30; round += 1) {
      const columns = new MaskColumns(WIDTH, HEIGHT)
      const expected = new Set<string>()
      for (let stroke = 0; stroke < 6; stroke += 1) {
        const [start, end]: [Point, Point] = [[random() * 50 - 5, random() * 40 - 5], [random() * 50 - 5, random() * 40 - 5]]
        const [radius, isAdded] = [0.4 + random() * 7, random() < 0.7]
        columns.paintStroke(start, end, radius, isAdded)
        for (let x = 0; x < WIDTH; x += 1) {
          for (let y = 0; y < HEIGHT; y += 1) {
            const [nearX, nearY] = nearestOnSegment([x + 0.5, y + 0.5], start, end)
            if (Math.hypot(nearX - x - 0.5, nearY - y - 0.5) > radius) continue
            if (isAdded) expected.add(`${x},${y}`)
            else expected.delete(`${x},${y}`)
          }
        }
      }
      const mask = columns.toMask()
      expect(pixelsOf(mask)).toEqual(expected)
      expect(mask.counts.reduce((sum, count) => sum + count, 0)).toBe(WIDTH * HEIGHT)
      expect(mask.counts.slice(1).every((count) => count > 0)).toBe(true)
      expect(columns.isEmpty).toBe(expected.size === 0)
    }
  })

  it('are those whose centres a polygon covers', () => {
    const random = createRandom(9)
    for (let round = 0; round < 30; round += 1) {
      const createRing = (): Point[] => Array.from({ length: 5 }, (): Point => [random() * 60 - 10, random() * 50 - 10])
      const polygon = { type: 'polygon' as const, parts: [[createRing(), createRing()]] }
      const columns = new MaskColumns(WIDTH, HEIGHT)
      columns.paintPolygon(polygon, true)
      const pixels = pixelsOf(columns.toMask())
      for (let x = 0; x < WIDTH; x += 1) {
        for (let y = 0; y < HEIGHT; y += 1) expect(pixels.has(`${x},${y}`)).toBe(isAt(polygon, [x + 0.5, y + 0.5], 0))
      }
    }
  })
})

function start(): Session {
  const session = new Session()
  session.model.setTool('brush')
  session.model.brushSize.value = 6
  return session
}

describe('the brush', () => {
  it('makes one act of a stroke, and extends the selected mask', () => {
    const session = start()
    session.drag([[20, 20], [30, 20], [40, 25]])
    expect(session.acts).toMatchObject([{ label: 'paint', changes: [{ kind: 'put', object: { geometry: { type: 'mask', width: 100, height: 80 } } }] }])
    session.drag([[40, 25], [60, 60]])
    expect(session.ids).toHaveLength(1)
    expect(session.acts[1]).toMatchObject({ label: 'paint', changes: [{ kind: 'patch' }] })
    expect(isAt(session.geometry(session.ids[0] as string) as Mask, [50, 42], 0)).toBe(true)
  })

  it('begins another object after finish', () => {
    const session = start()
    session.click(20, 20)
    expect(session.model.command('finish')).toBe(true)
    session.click(60, 60)
    expect(session.ids).toHaveLength(2)
  })

  it('erases with Alt, and deletes what is erased completely', () => {
    const session = start()
    session.drag([[20, 20], [60, 20]])
    session.drag([[30, 10], [30, 30]], { alt: true })
    const mask = session.geometry(session.ids[0] as string) as Mask
    expect(isAt(mask, [30, 20], 0)).toBe(false)
    expect(isAt(mask, [50, 20], 0)).toBe(true)
    session.model.command('brush-larger')
    session.drag([[10, 20], [70, 20]], { alt: true })
    expect(session.ids).toEqual([])
    expect(session.acts.map(({ label }) => label)).toEqual(['paint', 'erase', 'erase'])
  })

  it('draws a straight line with Shift', () => {
    const session = start()
    session.click(10, 10)
    session.click(70, 10, { shift: true })
    expect(isAt(session.geometry(session.ids[0] as string) as Mask, [40, 10], 0)).toBe(true)
  })

  it('changes its size within limits', () => {
    const session = start()
    for (let count = 0; count < 60; count += 1) session.model.command('brush-smaller')
    expect(session.model.brushSize.value).toBe(1)
    session.model.command('brush-larger')
    expect(session.model.brushSize.value).toBe(2)
  })

  it('makes no edit by painting what is painted', () => {
    const session = start()
    session.drag([[20, 20], [60, 20]])
    session.drag([[25, 20], [50, 20]])
    expect(session.acts).toHaveLength(1)
  })
})

describe('the eraser', () => {
  it('takes the mask below, and asks for one', () => {
    const session = new Session([createObject('m', maskFromRuns(100, 80, [[20, 10, 30], [21, 10, 30]]))])
    session.model.setTool('eraser')
    session.click(80, 70)
    expect(session.hints.at(-1)).toBe('choose-mask')
    session.model.brushSize.value = 4
    session.click(21, 20)
    expect(isAt(session.geometry('m') as Mask, [20.5, 20.5], 0)).toBe(false)
    expect(isAt(session.geometry('m') as Mask, [20.5, 12.5], 0)).toBe(true)
    expect(session.model.selection).toEqual(['m'])
  })
})
