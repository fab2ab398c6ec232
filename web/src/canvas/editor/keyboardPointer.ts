/** A pointer that is moved by keys, so that every tool can be used without a mouse. Independent of Vue. */
import type { Point } from '../shapes'
import type { EditorPointer } from './gestures'

const STEP = 10 // screen pixels
/** The view moves when the pointer comes nearer to its border, in screen pixels. */
const MARGIN = 24

const DIRECTIONS: Record<string, Point> = { left: [-1, 0], right: [1, 0], up: [0, -1], down: [0, 1] }

/** The movement of a command in screen pixels, or null if it is another command. */
export function cursorMovement(command: string): Point | null {
  const match = /^cursor-(left|right|up|down)(-1)?$/.exec(command)
  const direction = match && DIRECTIONS[match[1] as string]
  if (!match || !direction) return null
  const step = match[2] ? 1 : STEP
  return [direction[0] * step, direction[1] * step]
}

/** How far the view must be moved to show a position with a margin around it. */
export function shiftToShow([x, y]: Point, [width, height]: [number, number]): Point {
  const shift = (value: number, length: number): number => {
    if (length < 2 * MARGIN) return 0
    return Math.max(0, MARGIN - value) - Math.max(0, value - (length - MARGIN))
  }
  return [shift(x, width), shift(y, height)]
}

export const pointerAt = ([x, y]: Point, [screenX, screenY]: Point, isPressed = false): EditorPointer => ({
  x, y, screenX, screenY, shift: false, ctrl: false, alt: false, isTouch: false, isPressed, isDrag: false, clicks: 1,
})
