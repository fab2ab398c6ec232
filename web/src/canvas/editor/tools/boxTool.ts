/** Draws boxes. Independent of Vue. */
import { RectangleTool } from './rectangleTool'
import type { Tool, ToolContext } from './tool'

export const createBoxTool = (context: ToolContext): Tool =>
  new RectangleTool('box', context, ([x1, y1, x2, y2]) => ({ type: 'box', x1, y1, x2, y2 }))
