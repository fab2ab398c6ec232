/** All tools of the editor. Independent of Vue. */
import type { ToolName } from '../types'
import { BoxTool } from './boxTool'
import { PanTool } from './panTool'
import { SelectTool } from './selectTool'
import type { Tool, ToolContext } from './tool'

export function createTools(context: ToolContext): ReadonlyMap<ToolName, Tool> {
  const tools: Tool[] = [new SelectTool(context), new BoxTool(context), new PanTool()]
  return new Map(tools.map((tool) => [tool.name, tool]))
}
