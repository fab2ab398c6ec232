/** Every text of the screens, in English. Another language is another object of this shape. */
import { access } from './en/access'
import { common } from './en/common'
import { datasets } from './en/datasets'
import { integrations } from './en/integrations'
import { models } from './en/models'
import { work } from './en/work'

export const en = { ...common, ...access, ...datasets, ...models, ...work, ...integrations }
