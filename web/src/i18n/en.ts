/** Every text of the screens, in English. Another language is another object of this shape. */
import { access } from './en/access'
import { common } from './en/common'
import { datasets } from './en/datasets'
import { integrations } from './en/integrations'
import { labelling } from './en/labelling'
import { models } from './en/models'
import { prelabels } from './en/prelabels'
import { search } from './en/search'
import { work } from './en/work'

export const en = { ...common, ...access, ...datasets, ...search, ...models, ...work, ...integrations, ...labelling, ...prelabels }
