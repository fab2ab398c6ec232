import type { ToolName } from '@/canvas/editor'

/** The tools of the tool bar, in its order. */
export const TOOL_NAMES: readonly ToolName[] = ['select', 'pan', 'box', 'rotated-box', 'polygon', 'polyline', 'points', 'ellipse', 'keypoints', 'brush', 'eraser']
