/** The editor of the labelling screen. Independent of Vue. */
export { Editor } from './editor'
export type * from './types'
export { uuidv7 } from './uuid'
