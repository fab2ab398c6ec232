/** What lies on top: commands that change the order of objects. Independent of Vue. */
import { compareForDrawing, type Scene, type SceneObject } from './scene'
import type { ObjectChange } from './types'

export type StackingCommand = 'bring-forward' | 'send-backward' | 'bring-to-front' | 'send-to-back'

/** The changes that move objects above or below others. One step is over the next object that they overlap. */
export function stackingChanges(scene: Scene, objects: readonly SceneObject[], command: StackingCommand): ObjectChange[] {
  const ids = new Set(objects.map(({ id }) => id))
  const isUp = command === 'bring-forward' || command === 'bring-to-front'
  const sign = isUp ? 1 : -1
  return objects.flatMap((object) => {
    const candidates = command === 'bring-forward' || command === 'send-backward' ? scene.touching(object.bounds) : scene.visible()
    const others = candidates.filter((other) => !ids.has(other.id) && compareForDrawing(other, object) * sign > 0)
    others.sort((first, second) => sign * compareForDrawing(first, second))
    const passed = command === 'bring-forward' || command === 'send-backward' ? others[0] : others.at(-1)
    return passed ? [{ kind: 'patch', id: object.id, fields: { order: passed.order + sign } }] : []
  })
}
