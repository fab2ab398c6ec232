import { describe, expect, it } from 'vitest'
import { objectAt, type ImageObject } from '@/canvas/shapes'
import { SpatialIndex } from '@/canvas/spatialIndex'

const createObject = (id: number, bounds: ImageObject['bounds']): ImageObject => ({
  id: String(id),
  class: 'ship',
  score: null,
  track: null,
  attributes: {},
  bounds,
  geometry: { type: 'points', points: [] },
})

/** Reproducible numbers between 0 and 1 (a linear congruential generator). */
function createRandom(seed: number): () => number {
  let state = seed
  return () => (state = (state * 1664525 + 1013904223) % 2 ** 32) / 2 ** 32
}

function createObjects(count: number, maxSize: number, random: () => number): ImageObject[] {
  return Array.from({ length: count }, (_, id) => {
    const x = random() * 1000 - 100
    const y = random() * 700 - 100
    return createObject(id, [x, y, x + random() * maxSize, y + random() * maxSize])
  })
}

describe.each([
  ['none', 0, 0],
  ['one', 1, 30],
  ['small ones', 500, 40],
  ['large ones', 200, 2000],
  ['points', 300, 0],
])('an index of objects: %s', (_, count, maxSize) => {
  const random = createRandom(count + maxSize)
  const objects = createObjects(count, maxSize, random)
  const index = new SpatialIndex(objects)

  it('finds the same object at a point as a search of all objects', () => {
    const corners = objects.flatMap(({ bounds: [x1, y1, x2, y2] }) => [[x1, y1], [x2, y2]] as [number, number][])
    const points = Array.from({ length: 500 }, () => [random() * 1400 - 300, random() * 1100 - 300] as [number, number])
    for (const [x, y] of [...corners, ...points]) expect(index.at(x, y)?.id).toBe(objectAt(objects, x, y)?.id)
  })

  it('finds the objects in a rectangle, in their order', () => {
    for (let round = 0; round < 200; round += 1) {
      const [left, top] = [random() * 1400 - 300, random() * 1100 - 300]
      const [right, bottom] = [left + random() * 900, top + random() * 900]
      const expected = objects.filter(({ bounds: [x1, y1, x2, y2] }) => x1 <= right && x2 >= left && y1 <= bottom && y2 >= top)
      expect(index.within(left, top, right, bottom).map(({ id }) => id)).toEqual(expected.map(({ id }) => id))
    }
    expect(index.within(-1e6, -1e6, 1e6, 1e6)).toHaveLength(count)
  })
})

it('indexes objects that all lie at one point', () => {
  const objects = [createObject(0, [5, 5, 5, 5]), createObject(1, [5, 5, 5, 5])]
  expect(new SpatialIndex(objects).at(5, 5)?.id).toBe('0')
  expect(new SpatialIndex(objects).at(5, 6)).toBeNull()
})
