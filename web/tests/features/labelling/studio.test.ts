import { describe, expect, it } from 'vitest'
import type { Geometry } from '@/canvas/shapes'
import { classKeys, newClass, splitNames } from '@/features/labelling/classes/labelClasses'
import { geometryFields } from '@/features/labelling/studio/geometryFields'
import { KEY_MAP, KEY_SHEET, keyName } from '@/features/labelling/studio/keyMap'
import { othersAt } from '@/features/labelling/sync/people'
import { t } from '@/i18n'

const event = (key: string, code: string, modifiers: Partial<KeyboardEvent> = {}) =>
  ({ key, code, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...modifiers })

describe('keys', () => {
  it('are named alike on every keyboard', () => {
    expect(keyName(event('r', 'KeyR'))).toBe('R')
    expect(keyName(event('R', 'KeyR', { shiftKey: true }))).toBe('Shift+R')
    expect(keyName(event('к', 'KeyR'))).toBe('R') // Cyrillic
    expect(keyName(event('z', 'KeyZ', { metaKey: true, shiftKey: true }))).toBe('Ctrl+Shift+Z')
    expect(keyName(event('&', 'Digit1'))).toBe('1') // French
    expect(keyName(event('+', 'Equal', { shiftKey: true }))).toBe('+')
    expect(keyName(event(' ', 'Space', { ctrlKey: true }))).toBe('Ctrl+Space')
    expect(keyName(event('ArrowLeft', 'ArrowLeft', { shiftKey: true }))).toBe('Shift+ArrowLeft')
  })

  it('stand for one action each, and every action has a title', () => {
    const keys = KEY_MAP.flatMap((action) => action.keys)
    expect(new Set(keys).size).toBe(keys.length)
    for (const { rows } of KEY_SHEET) {
      for (const { action, keys: shown } of rows) {
        expect(t.studio.actions[action], action).toBeTruthy()
        expect(shown.length, action).toBeGreaterThan(0)
      }
    }
  })
})

describe('coordinates', () => {
  const geometries: Geometry[] = [
    { type: 'box', x1: 1, y1: 2, x2: 11, y2: 22 },
    { type: 'rotated_box', cx: 5, cy: 6, width: 7, height: 8, angle: 30 },
    { type: 'ellipse', cx: 5, cy: 6, rx: 7, ry: 8, angle: 30 },
    { type: 'polyline', points: [[1, 2], [3, 4]] },
    { type: 'polygon', parts: [[[[0, 0], [9, 0], [0, 9]], [[1, 1], [2, 1], [1, 2]]], [[[20, 20], [30, 20], [20, 30]]]] },
    { type: 'keypoints', points: [[1, 2], [3, 4]], visibility: [2, 1], box: null },
  ]
  it.each(geometries)('of a $type change one by one', (geometry) => {
    const fields = geometryFields(geometry)
    expect(fields.length).toBeGreaterThan(3)
    for (const [index, field] of fields.entries()) {
      expect(field.set(field.value)).toEqual(geometry)
      const changed = geometryFields(field.set(field.value + 3))
      expect(changed.map(({ value }) => value)).toEqual(fields.map(({ value }, other) => (other === index ? value + 3 : value)))
    }
  })

  it('keep the size of a box that is moved', () => {
    expect(geometryFields({ type: 'box', x1: 1, y1: 2, x2: 11, y2: 22 })[0]?.set(5)).toEqual({ type: 'box', x1: 5, y1: 2, x2: 15, y2: 22 })
  })
})

describe('classes', () => {
  it('have only their own keys; a new class suggests a free one', () => {
    const classes = [
      { ...newClass([], 'a'), id: 'a', hotkey: null }, { ...newClass([], 'b'), id: 'b', hotkey: '1' }, { ...newClass([], 'c'), id: 'c', deleted: true }, { ...newClass([], 'd'), id: 'd', hotkey: '1' },
    ]
    expect([...classKeys(classes)]).toEqual([['b', '1']])
    expect(newClass(classes).hotkey).toBe('2')
  })

  it('get a colour that no other class has', () => {
    const classes = Array.from({ length: 10 }).reduce<ReturnType<typeof newClass>[]>((all) => [...all, newClass(all)], [])
    expect(new Set(classes.map(({ color }) => color)).size).toBe(10)
  })
})

describe('the names of keypoints', () => {
  it('are split at commas, semicolons and line breaks', () => {
    expect(splitNames(['nose, left eye ,right eye'])).toEqual(['nose', 'left eye', 'right eye'])
    expect(splitNames(['tail', 'nose\nleft eye\r\nright eye;;', ' '])).toEqual(['tail', 'nose', 'left eye', 'right eye'])
    expect(splitNames(['nose', 'nose,tail'])).toEqual(['nose', 'tail'])
  })
})

describe('the people at an item', () => {
  it('are those of other accounts, not other tabs of the user', () => {
    const person = (author: string, client: string, item: string | null) => ({ author, author_id: author, client, item, object: 'o' })
    const people = [person('me', 'old', 'a'), person('anna', '1', 'a'), person('ben', '2', 'b'), person('eva', '3', null)]
    expect(othersAt(people, 'me', 'a').map(({ author }) => author)).toEqual(['anna'])
    expect(othersAt(people, 'me', null)).toEqual([])
  })
})
