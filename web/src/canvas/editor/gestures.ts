/**
 * Turns events of mouse, pen and touch into presses, drags and zooming. Independent of Vue.
 *
 * The left button, the pen and one finger are for the tool. The middle button, Space with the left button, and two fingers move the view. While a
 * pen touches, fingers are ignored: the palm lies on the screen.
 */
import type { Point } from '../shapes'

/** A press that moves farther is a drag, in screen pixels. */
const DRAG_DISTANCE = 4
const DOUBLE_CLICK_MS = 400
const WHEEL_LINE = 16

export interface EditorPointer {
  /** The position in the image; it may be outside. */
  readonly x: number
  readonly y: number
  /** The position on the drawing area. */
  readonly screenX: number
  readonly screenY: number
  readonly shift: boolean
  /** Ctrl, or Command. */
  readonly ctrl: boolean
  readonly alt: boolean
  readonly isTouch: boolean
  readonly isPressed: boolean
  /** Whether the pointer has moved over 4 px since it was pressed. */
  readonly isDrag: boolean
  /** 2 for the second of two quick clicks at a place. */
  readonly clicks: number
}

export interface GestureTarget {
  toImage(screen: Point): Point
  /** Returns 'pan' if this press shall move the view. */
  pointerDown(pointer: EditorPointer): 'pan' | undefined
  pointerMove(pointer: EditorPointer): void
  pointerUp(pointer: EditorPointer): void
  /** The right button was clicked. */
  secondary(pointer: EditorPointer): void
  /** The press is taken back, because a second finger makes it a pinch. */
  interrupt(): void
  leave(): void
  pan(dx: number, dy: number): void
  zoom(factor: number, screen: Point): void
  /** The view is, or is no longer, about to be moved. */
  panning(isPanning: boolean): void
}

interface Press {
  id: number
  start: Point
  last: Point
  isDrag: boolean
  isPan: boolean
  clicks: number
}

export class Gestures {
  private press: Press | null = null
  private readonly touches = new Map<number, Point>()
  /** Until all fingers of a pinch are up, none of them draws. */
  private isPinch = false
  private isPenDown = false
  private isSpaceDown = false
  private isInside = false
  private lastClick: { position: Point; time: number; count: number } | null = null
  private readonly abort = new AbortController()

  constructor(private readonly host: HTMLElement, private readonly target: GestureTarget, private readonly options: { wheelPans: boolean }) {
    const { signal } = this.abort
    host.addEventListener('pointerdown', (event) => this.onDown(event), { signal })
    host.addEventListener('pointermove', (event) => this.onMove(event), { signal })
    host.addEventListener('pointerup', (event) => this.onUp(event), { signal })
    host.addEventListener('pointercancel', (event) => this.onCancel(event), { signal })
    host.addEventListener('pointerleave', () => this.onLeave(), { signal })
    host.addEventListener('wheel', (event) => this.onWheel(event), { signal, passive: false })
    host.addEventListener('contextmenu', (event) => event.preventDefault(), { signal })
    window.addEventListener('keydown', (event) => this.onKey(event, true), { signal })
    window.addEventListener('keyup', (event) => this.onKey(event, false), { signal })
    window.addEventListener('blur', () => this.setSpace(false), { signal })
  }

  destroy(): void {
    this.abort.abort()
  }

  private positionOf(event: MouseEvent): Point {
    const { left, top } = this.host.getBoundingClientRect()
    return [event.clientX - left, event.clientY - top]
  }

  private pointerOf(event: PointerEvent, isPressed: boolean): EditorPointer {
    const screen = this.positionOf(event)
    const [x, y] = this.target.toImage(screen)
    return {
      x,
      y,
      screenX: screen[0],
      screenY: screen[1],
      shift: event.shiftKey,
      ctrl: event.ctrlKey || event.metaKey,
      alt: event.altKey,
      isTouch: event.pointerType === 'touch',
      isPressed,
      isDrag: this.press?.isDrag ?? false,
      clicks: this.press?.clicks ?? 0,
    }
  }

  private onDown(event: PointerEvent): void {
    this.isInside = true
    this.host.focus({ preventScroll: true })
    const screen = this.positionOf(event)
    if (event.pointerType === 'pen') this.isPenDown = true
    if (event.pointerType === 'touch') {
      if (this.isPenDown) return
      this.touches.set(event.pointerId, screen)
      if (this.touches.size === 2) this.startPinch()
      if (this.isPinch) return
    }
    if (this.press) return
    if (event.button === 2) {
      this.target.secondary(this.pointerOf(event, false))
      return
    }
    if (event.button > 1) return
    event.preventDefault() // no selection of text, no scrolling by the middle button
    this.host.setPointerCapture(event.pointerId)
    const isPan = event.button === 1 || this.isSpaceDown
    this.press = { id: event.pointerId, start: screen, last: screen, isDrag: false, isPan, clicks: isPan ? 0 : this.countClick(screen, event.timeStamp) }
    if (!isPan) this.press.isPan = this.target.pointerDown(this.pointerOf(event, true)) === 'pan'
    else this.target.panning(true)
  }

  private countClick(position: Point, time: number): number {
    const { lastClick } = this
    const isRepeated = lastClick !== null && time - lastClick.time < DOUBLE_CLICK_MS && isNear(lastClick.position, position)
    const count = isRepeated ? lastClick.count + 1 : 1
    this.lastClick = { position, time, count }
    return count
  }

  private onMove(event: PointerEvent): void {
    this.isInside = true
    const screen = this.positionOf(event)
    if (this.touches.has(event.pointerId)) {
      if (this.isPinch) {
        this.pinch(event.pointerId, screen)
        return
      }
      this.touches.set(event.pointerId, screen)
    } else if (event.pointerType === 'touch') return
    const { press } = this
    if (!press) {
      this.target.pointerMove(this.pointerOf(event, false))
      return
    }
    if (press.id !== event.pointerId) return
    if (!press.isDrag && !isNear(press.start, screen)) {
      press.isDrag = true
      this.lastClick = null
    }
    if (press.isPan) {
      if (!press.isDrag) return
      this.target.panning(true)
      this.target.pan(screen[0] - press.last[0], screen[1] - press.last[1])
      press.last = screen
      return
    }
    // A browser sends one event a frame; between these, a pen and a fast mouse have more positions.
    const events = event.getCoalescedEvents?.() ?? []
    for (const part of events.length ? events : [event]) this.target.pointerMove(this.pointerOf(part, true))
  }

  private onUp(event: PointerEvent): void {
    if (event.pointerType === 'pen') this.isPenDown = false
    this.touches.delete(event.pointerId)
    if (!this.touches.size) this.isPinch = false
    const { press } = this
    if (press?.id !== event.pointerId) return
    const pointer = this.pointerOf(event, false)
    this.press = null
    if (press.isPan) this.target.panning(this.isSpaceDown)
    // A click on nothing is also for the tool, although a drag there moves the view.
    if (!press.isPan || (!press.isDrag && event.button === 0 && !this.isSpaceDown)) this.target.pointerUp(pointer)
  }

  private onCancel(event: PointerEvent): void {
    if (event.pointerType === 'pen') this.isPenDown = false
    this.touches.delete(event.pointerId)
    if (!this.touches.size) this.isPinch = false
    if (this.press?.id !== event.pointerId) return
    this.press = null
    this.target.panning(false)
    this.target.interrupt()
  }

  private onLeave(): void {
    if (this.press) return
    this.isInside = false
    this.target.leave()
  }

  private startPinch(): void {
    this.isPinch = true
    if (!this.press) return
    this.press = null
    this.target.interrupt()
  }

  private pinch(id: number, position: Point): void {
    const other = Array.from(this.touches).find(([otherId]) => otherId !== id)?.[1]
    const previous = this.touches.get(id)
    this.touches.set(id, position)
    if (!other || !previous || this.touches.size !== 2) return
    const centreOf = ([x, y]: Point): Point => [(x + other[0]) / 2, (y + other[1]) / 2]
    const [before, after] = [centreOf(previous), centreOf(position)]
    this.target.pan(after[0] - before[0], after[1] - before[1])
    const distanceTo = ([x, y]: Point): number => Math.hypot(x - other[0], y - other[1]) || 1
    this.target.zoom(distanceTo(position) / distanceTo(previous), after)
  }

  private onWheel(event: WheelEvent): void {
    event.preventDefault()
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? WHEEL_LINE : 1
    if (this.options.wheelPans && !event.ctrlKey) {
      this.target.pan(-event.deltaX * unit, -event.deltaY * unit)
      return
    }
    const speed = event.ctrlKey ? 0.01 : 0.0022 // browsers send a pinch gesture as a wheel with Ctrl, in small steps
    this.target.zoom(Math.exp(-event.deltaY * unit * speed), this.positionOf(event))
  }

  private onKey(event: KeyboardEvent, isDown: boolean): void {
    if (event.code !== 'Space') return
    if (!isDown) {
      this.setSpace(false)
      return
    }
    // In a field, Space is text; on a button outside, it is a click.
    const hasFocus = document.activeElement === this.host || (this.isInside && document.activeElement === document.body)
    if (!hasFocus || event.ctrlKey || event.altKey || event.metaKey) return
    event.preventDefault()
    this.setSpace(true)
  }

  private setSpace(isDown: boolean): void {
    if (this.isSpaceDown === isDown) return
    this.isSpaceDown = isDown
    if (!this.press) this.target.panning(isDown)
  }
}

const isNear = ([x1, y1]: Point, [x2, y2]: Point): boolean => Math.hypot(x2 - x1, y2 - y1) <= DRAG_DISTANCE
