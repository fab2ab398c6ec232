import { describe, expect, it } from 'vitest'
import { maskFromRuns } from '@/canvas/editor/geometry/mask'
import type { CommandName, EditorObject, ToolName } from '@/canvas/editor/types'
import type { Geometry, Point } from '@/canvas/shapes'
import { createRandom } from './random'
import { box, createObject, Session } from './session'

const TOOLS: ToolName[] = ['select', 'box', 'rotated-box', 'polygon', 'polyline', 'points', 'keypoints', 'ellipse', 'brush', 'eraser', 'pan']
const COMMANDS: CommandName[] = [
  'delete', 'finish', 'cancel', 'remove-last-point', 'restore-last-point', 'restore-draft', 'skip-point', 'nudge-left', 'nudge-down-10', 'copy', 'cut', 'paste',
  'duplicate', 'select-all', 'select-next', 'select-previous', 'bring-forward', 'send-backward', 'bring-to-front', 'send-to-back', 'join', 'slice', 'subtract',
  'to-mask', 'cursor-left', 'cursor-down', 'cursor-click', 'zoom-in', 'zoom-out', 'fit',
]

const MAX_OBJECTS = 40

const stored = (session: Session): EditorObject[] =>
  session.model.scene.all().map(({ id, class: classId, geometry, attributes, score, track, order, source }) => ({
    id, class: classId, geometry, attributes, score, track, order, source,
  })).sort((first, second) => (first.id < second.id ? -1 : 1))

const isFinite = (value: unknown): boolean =>
  typeof value === 'number' ? Number.isFinite(value) : value === null || typeof value !== 'object' || Object.values(value).every(isFinite)

/** Whether the server would accept a geometry. */
function isValid(geometry: Geometry): boolean {
  if (!isFinite(geometry)) return false
  switch (geometry.type) {
    case 'box':
      return geometry.x1 <= geometry.x2 && geometry.y1 <= geometry.y2
    case 'rotated_box':
      return geometry.width >= 0 && geometry.height >= 0
    case 'ellipse':
      return geometry.rx >= 0 && geometry.ry >= 0
    case 'polygon':
      return geometry.parts.length > 0 && geometry.parts.every((part) => part.length > 0 && part.every((ring) => ring.length >= 3))
    case 'polyline':
      return geometry.points.length >= 2
    case 'points':
      return geometry.points.length >= 1
    case 'keypoints':
      return geometry.points.length === geometry.visibility.length && geometry.visibility.every((value) => [0, 1, 2].includes(value))
    case 'mask':
      return geometry.counts.reduce((sum, count) => sum + count, 0) === geometry.width * geometry.height && geometry.counts.every((count) => count >= 0)
  }
}

function act(session: Session, random: () => number): void {
  const point = (): Point => [random() * 130 - 15, random() * 110 - 15]
  const keys = { shift: random() < 0.2, ctrl: random() < 0.2, alt: random() < 0.2, isTouch: random() < 0.1 }
  const choice = random()
  if (choice < 0.15) session.model.setTool(TOOLS[Math.floor(random() * TOOLS.length)] as ToolName)
  else if (choice < 0.45) session.model.command(COMMANDS[Math.floor(random() * COMMANDS.length)] as CommandName)
  else if (choice < 0.65) session.click(...point(), keys)
  else if (choice < 0.7) session.rightClick(...point())
  else if (choice < 0.75) session.hover(...point())
  else if (choice < 0.8) {
    session.model.pointerDown(session.pointer(...point(), { isPressed: true, isTouch: true }))
    session.model.interrupt()
  } else session.drag(Array.from({ length: 2 + Math.floor(random() * 6) }, point), keys)
}

describe('any sequence of acts', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])('makes changes that give the same objects elsewhere, all of them valid (%i)', (seed) => {
    const random = createRandom(seed * 7919)
    const objects = [
      createObject('box', box(10, 10, 40, 40)),
      createObject('polygon', { type: 'polygon', parts: [[[[50, 10], [90, 20], [80, 60]], [[70, 20], [80, 25], [75, 30]]]] }),
      createObject('mask', maskFromRuns(100, 80, [[20, 50, 70], [21, 45, 75]])),
      createObject('keypoints', { type: 'keypoints', points: [[20, 60], [50, 70], [80, 60]], visibility: [2, 1, 2], box: { x1: 10, y1: 50, x2: 90, y2: 75 } }),
    ]
    const session = new Session(objects)
    const mirror = new Session(objects)
    for (let count = 0; count < 400; count += 1) {
      const acts = session.acts.length
      if (session.ids.length > MAX_OBJECTS) {
        // Copies of all objects would double their number again and again.
        session.model.setTool('select')
        session.model.command('select-all')
        session.model.command('delete')
      } else act(session, random)
      for (const { changes } of session.acts.slice(acts)) {
        expect(changes.length).toBeGreaterThan(0)
        for (const change of changes) {
          const geometry = change.kind === 'put' ? change.object.geometry : change.kind === 'patch' ? change.fields.geometry : undefined
          if (geometry) expect(isValid(geometry), JSON.stringify(geometry)).toBe(true)
        }
        mirror.model.apply(structuredClone(changes))
      }
      expect(session.model.selection.every((id) => session.model.scene.get(id))).toBe(true)
    }
    expect(stored(mirror)).toEqual(stored(session))
    expect(session.acts.length).toBeGreaterThan(30)
  })
})
