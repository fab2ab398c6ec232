/** The classes of a label set. */
import { uuidv7 } from '@/canvas/editor/uuid'
import type { LabelClass } from '@/features/labelling/sync/types'

/** Colours that people with any colour vision can tell apart (Okabe and Ito), and some more for long lists. */
export const PALETTE = [
  '#e69f00', '#56b4e9', '#009e73', '#f0e442', '#0072b2', '#d55e00', '#cc79a7', '#8c6bd1', '#4bc6b9', '#b5651d', '#ff6f91', '#7aa300', '#c2c2c2', '#a14b2c', '#3f8efc',
]
export const HOTKEYS = ['1', '2', '3', '4', '5', '6', '7', '8', '9']

export const activeClasses = (classes: readonly LabelClass[]): LabelClass[] => classes.filter(({ deleted }) => !deleted)

/** The key of each class that has one. */
export function classKeys(classes: readonly LabelClass[]): Map<string, string> {
  const keys = new Map<string, string>()
  const taken = new Set<string>()
  for (const { id, hotkey } of activeClasses(classes)) {
    if (!hotkey || taken.has(hotkey)) continue
    keys.set(id, hotkey)
    taken.add(hotkey)
  }
  return keys
}

/** The names in entries that may list several, with commas or line breaks between them; each name once. */
export function splitNames(entries: readonly string[]): string[] {
  return [...new Set(entries.flatMap((entry) => entry.split(/[,;\r\n]/)).map((name) => name.trim()).filter(Boolean))]
}

/** The first digit that no class has; null if all are used. */
function freeHotkey(classes: readonly LabelClass[]): string | null {
  const taken = new Set(activeClasses(classes).map(({ hotkey }) => hotkey))
  return HOTKEYS.find((key) => !taken.has(key)) ?? null
}

/** A new class to edit: it suggests an unused colour and key. */
export function newClass(classes: readonly LabelClass[], name = ''): LabelClass {
  const used = new Set(classes.map(({ color }) => color.toLowerCase()))
  const color = PALETTE.find((each) => !used.has(each)) ?? PALETTE[classes.length % PALETTE.length] ?? '#3f8efc'
  return {
    id: uuidv7().replaceAll('-', '').slice(-12), name, color, hotkey: freeHotkey(classes), parent: null, attributes: [], keypoints: [], skeleton: [], deleted: false,
  }
}
