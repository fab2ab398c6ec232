/** All tools of the editor. Independent of Vue. */
import type { ToolName } from '../types'
import { createBoxTool } from './boxTool'
import { createEllipseTool } from './ellipseTool'
import { KeypointsTool } from './keypointsTool'
import { PanTool } from './panTool'
import { createPointsTool, createPolygonTool, createPolylineTool } from './pathTool'
import { RotatedBoxTool } from './rotatedBoxTool'
import { SelectTool } from './selectTool'
import type { Tool, ToolContext } from './tool'

export function createTools(context: ToolContext): ReadonlyMap<ToolName, Tool> {
  const tools: Tool[] = [
    new SelectTool(context),
    new PanTool(),
    createBoxTool(context),
    new RotatedBoxTool(context),
    createPolygonTool(context),
    createPolylineTool(context),
    createPointsTool(context),
    new KeypointsTool(context),
    createEllipseTool(context),
  ]
  return new Map(tools.map((tool) => [tool.name, tool]))
}
