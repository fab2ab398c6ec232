/** All tools of the editor. Independent of Vue. */
import type { ToolName } from '../types'
import { createBoxTool } from './boxTool'
import { BrushTool, type BrushSize } from './brushTool'
import { createEllipseTool } from './ellipseTool'
import { KeypointsTool } from './keypointsTool'
import { PanTool } from './panTool'
import { createPointsTool, createPolylineTool } from './pathTool'
import { PolygonTool } from './polygonTool'
import { RotatedBoxTool } from './rotatedBoxTool'
import { SelectTool } from './selectTool'
import { SliceTool } from './sliceTool'
import type { Tool, ToolContext } from './tool'

export function createTools(context: ToolContext, brushSize: BrushSize): ReadonlyMap<ToolName, Tool> {
  const tools: Tool[] = [
    new SelectTool(context),
    new PanTool(),
    createBoxTool(context),
    new RotatedBoxTool(context),
    new PolygonTool(context),
    createPolylineTool(context),
    createPointsTool(context),
    new KeypointsTool(context),
    createEllipseTool(context),
    new BrushTool('brush', context, brushSize),
    new BrushTool('eraser', context, brushSize),
    new SliceTool(context),
  ]
  return new Map(tools.map((tool) => [tool.name, tool]))
}
