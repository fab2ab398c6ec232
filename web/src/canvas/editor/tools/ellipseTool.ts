/** Draws ellipses, in the rectangle around them. Independent of Vue. */
import { RectangleTool } from './rectangleTool'
import type { Tool, ToolContext } from './tool'

export const createEllipseTool = (context: ToolContext): Tool =>
  new RectangleTool('ellipse', context, ([x1, y1, x2, y2]) => ({
    type: 'ellipse', cx: (x1 + x2) / 2, cy: (y1 + y2) / 2, rx: (x2 - x1) / 2, ry: (y2 - y1) / 2, angle: 0,
  }))
