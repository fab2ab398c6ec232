/** Moves the view. Independent of Vue. */
import type { Tool } from './tool'

export class PanTool implements Tool {
  readonly name = 'pan'
  readonly hasDraft = false
  readonly draftSize = null

  pointerDown(): 'pan' {
    return 'pan'
  }

  pointerMove(): void {}

  pointerUp(): void {}

  interrupt(): void {}

  command(): boolean {
    return false
  }

  cancel(): boolean {
    return false
  }

  draw(): void {}

  cursor(): string {
    return 'grab'
  }
}
