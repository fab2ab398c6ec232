import { describe, expect, it } from 'vitest'
import { isLightColor } from '@/canvas/objectRenderer'
import { boxCorners, maskRuns, objectAt, type ImageObject } from '@/canvas/shapes'

describe('shapes', () => {
  it('decodes the runs of a mask column by column', () => {
    // 3 wide, 4 high: 2 pixels of background, 5 of the object, 5 of background
    const pixels = [...maskRuns(4, [2, 5, 5])].flatMap(([x, start, end]) => Array.from({ length: end - start }, (_, y) => `${x},${start + y}`))
    expect(pixels).toEqual(['0,2', '0,3', '1,0', '1,1', '1,2'])
  })

  it('returns the corners of a rotated box clockwise from its own top left', () => {
    const [topLeft, topRight] = boxCorners(10, 10, 4, 2, 90)
    expect(topLeft?.map(Math.round)).toEqual([11, 8])
    expect(topRight?.map(Math.round)).toEqual([11, 12])
  })

  it('selects the smallest of several objects at a point', () => {
    const createObject = (id: string, bounds: ImageObject['bounds']): ImageObject => ({
      id,
      class: 'ship',
      score: null,
      track: null,
      attributes: {},
      bounds,
      geometry: { type: 'points', points: [] },
    })
    const objects = [createObject('small', [2, 2, 4, 4]), createObject('large', [0, 0, 10, 10])]
    expect(objectAt(objects, 3, 3)?.id).toBe('small')
    expect(objectAt(objects, 8, 8)?.id).toBe('large')
    expect(objectAt(objects, 20, 8)).toBeNull()
  })

  it('uses black text on light colours', () => {
    expect(isLightColor('#f0e442')).toBe(true)
    expect(isLightColor('#0072b2')).toBe(false)
  })
})
