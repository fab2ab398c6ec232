/** The keys of the labelling studio, in one place so that they can become editable. Those of CVAT and Label Studio where they agree with them. */
import type { CommandName, ToolName } from '@/canvas/editor'

export type KeyGroup = 'tools' | 'drawing' | 'objects' | 'predictions' | 'items' | 'view'
export type ActionId =
  | `tool-${ToolName}` | CommandName | 'undo' | 'redo' | 'toggle-lock' | 'toggle-hide' | 'previous-item' | 'next-item' | 'done-next' | 'skip-next' | 'keys'
  | 'select-next' | 'select-previous' | 'accept-all' | `class-${number}`

export interface KeyAction {
  id: ActionId
  keys: readonly string[]
}

/** What the studio does at a key. A key is written as in `Ctrl+Shift+Z`; letters are capitals, whether Shift is held or not. */
export const KEY_MAP: readonly KeyAction[] = [
  { id: 'tool-select', keys: ['S'] },
  { id: 'tool-box', keys: ['R'] },
  { id: 'tool-polygon', keys: ['P'] },
  { id: 'tool-polyline', keys: ['Shift+L'] },
  { id: 'tool-points', keys: ['.'] },
  { id: 'tool-ellipse', keys: ['I'] },
  { id: 'tool-rotated-box', keys: ['Shift+R'] },
  { id: 'tool-keypoints', keys: ['Shift+K'] },
  { id: 'tool-brush', keys: ['B'] },
  { id: 'tool-eraser', keys: ['E'] },
  { id: 'finish', keys: ['N', 'Enter'] },
  { id: 'cancel', keys: ['Escape'] },
  { id: 'remove-last-point', keys: ['Backspace'] },
  { id: 'undo', keys: ['Ctrl+Z'] },
  { id: 'redo', keys: ['Ctrl+Shift+Z', 'Ctrl+Y'] },
  { id: 'delete', keys: ['Delete'] },
  { id: 'accept-all', keys: ['Shift+Enter'] },
  { id: 'select-next', keys: ['Tab'] },
  { id: 'select-previous', keys: ['Shift+Tab'] },
  { id: 'select-all', keys: ['Ctrl+A'] },
  { id: 'copy', keys: ['Ctrl+C'] },
  { id: 'cut', keys: ['Ctrl+X'] },
  { id: 'paste', keys: ['Ctrl+V'] },
  { id: 'duplicate', keys: ['Ctrl+D'] },
  { id: 'nudge-left', keys: ['ArrowLeft'] },
  { id: 'nudge-right', keys: ['ArrowRight'] },
  { id: 'nudge-up', keys: ['ArrowUp'] },
  { id: 'nudge-down', keys: ['ArrowDown'] },
  { id: 'nudge-left-10', keys: ['Shift+ArrowLeft'] },
  { id: 'nudge-right-10', keys: ['Shift+ArrowRight'] },
  { id: 'nudge-up-10', keys: ['Shift+ArrowUp'] },
  { id: 'nudge-down-10', keys: ['Shift+ArrowDown'] },
  { id: 'join', keys: ['J'] },
  { id: 'slice', keys: ['Alt+J'] },
  { id: 'subtract', keys: ['Shift+J'] },
  { id: 'brush-smaller', keys: ['['] },
  { id: 'brush-larger', keys: [']'] },
  { id: 'bring-forward', keys: ['+'] },
  { id: 'send-backward', keys: ['-'] },
  { id: 'toggle-lock', keys: ['L'] },
  { id: 'toggle-hide', keys: ['H'] },
  ...Array.from({ length: 9 }, (_, index): KeyAction => ({ id: `class-${index + 1}`, keys: [String(index + 1)] })),
  { id: 'previous-item', keys: ['D'] },
  { id: 'next-item', keys: ['F'] },
  { id: 'done-next', keys: ['Ctrl+Enter'] },
  { id: 'skip-next', keys: ['Ctrl+Space'] },
  { id: 'zoom-in', keys: ['Z'] },
  { id: 'zoom-out', keys: ['Shift+Z'] },
  { id: 'fit', keys: ['0'] },
  { id: 'keys', keys: ['F1', '?'] },
]

const ACTIONS = new Map(KEY_MAP.flatMap(({ id, keys }) => keys.map((key) => [key, id] as const)))
const SHOWN: Record<string, string> = {
  ArrowLeft: '←', ArrowRight: '→', ArrowUp: '↑', ArrowDown: '↓', Escape: 'Esc', Delete: 'Del', Backspace: '⌫',
}

/** The key of an event, as it is written in the key map. */
export function keyName(event: Pick<KeyboardEvent, 'key' | 'code' | 'ctrlKey' | 'metaKey' | 'altKey' | 'shiftKey'>): string {
  let key = event.key === ' ' ? 'Space' : event.key
  // The position of the key decides on keyboards whose letters are not Latin, and on those whose digits need Shift.
  if (/^Key[A-Z]$/.test(event.code) && !/^[a-z]$/i.test(key)) key = event.code.slice(3)
  if (/^(Digit|Numpad)[0-9]$/.test(event.code) && !event.shiftKey) key = event.code.slice(-1)
  const isLetter = /^[a-z]$/i.test(key)
  if (isLetter) key = key.toUpperCase()
  const hasShift = event.shiftKey && (isLetter || key.length > 1)
  return [event.ctrlKey || event.metaKey ? 'Ctrl' : '', event.altKey ? 'Alt' : '', hasShift ? 'Shift' : '', key].filter(Boolean).join('+')
}

export const actionOf = (event: KeyboardEvent): ActionId | null => ACTIONS.get(keyName(event)) ?? null

/** The keys of an action, as they are shown. */
export function keysOf(id: ActionId): string[] {
  const keys = KEY_MAP.find((action) => action.id === id)?.keys ?? []
  return keys.map((key) => key.split('+').map((part) => SHOWN[part] ?? part).join('+') || key)
}

/** The list of keys for the user, by group. */
export const KEY_SHEET: readonly { group: KeyGroup; rows: readonly { action: string; keys: readonly string[] }[] }[] = [
  { group: 'tools', rows: (['tool-select', 'tool-box', 'tool-rotated-box', 'tool-polygon', 'tool-polyline', 'tool-points', 'tool-ellipse', 'tool-keypoints', 'tool-brush', 'tool-eraser'] as ActionId[]).map(row) },
  { group: 'drawing', rows: [...(['finish', 'cancel', 'remove-last-point', 'undo', 'redo', 'brush-smaller', 'brush-larger'] as ActionId[]).map(row), { action: 'class', keys: ['1 – 9'] }] },
  {
    group: 'objects',
    rows: [
      ...(['delete', 'select-next', 'select-previous', 'select-all', 'copy', 'cut', 'paste', 'duplicate'] as ActionId[]).map(row),
      { action: 'nudge', keys: ['← ↑ → ↓'] }, { action: 'nudge-10', keys: ['Shift+← ↑ → ↓'] },
      ...(['bring-forward', 'send-backward', 'join', 'slice', 'subtract', 'toggle-lock', 'toggle-hide'] as ActionId[]).map(row),
    ],
  },
  {
    group: 'predictions',
    rows: [
      { action: 'accept', keys: ['Enter'] }, { action: 'reject', keys: keysOf('delete') }, row('accept-all'),
      { action: 'next-prediction', keys: keysOf('select-next') }, { action: 'previous-prediction', keys: keysOf('select-previous') },
    ],
  },
  { group: 'items', rows: (['previous-item', 'next-item', 'done-next', 'skip-next'] as ActionId[]).map(row) },
  { group: 'view', rows: (['zoom-in', 'zoom-out', 'fit', 'keys'] as ActionId[]).map(row) },
]

function row(id: ActionId): { action: string; keys: string[] } {
  return { action: id, keys: keysOf(id) }
}
