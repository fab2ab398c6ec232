/** The title of each route, for the tab of the browser and for screen readers. */
import type { RouteLocationNormalized } from 'vue-router'
import { t } from '@/i18n'

type Title = string | ((route: RouteLocationNormalized) => string)
const ofDataset = (title: string): Title => (route) => `${title} · ${String(route.params.ref)}`
const withId = (title: string): Title => (route) => `${title} · ${String(route.params.id)}`

const TITLES: Record<string, Title> = {
  'sign-in': t.signIn.title,
  'accept-invitation': t.invitation.createTitle,
  dashboard: t.menu.dashboard,
  datasets: t.datasets.title,
  items: ofDataset(t.dataset.items),
  classes: ofDataset(t.dataset.classes),
  statistics: ofDataset(t.dataset.statistics),
  panels: ofDataset(t.dataset.panels),
  versions: ofDataset(t.dataset.versions),
  merge: ofDataset(t.merge.title),
  export: ofDataset(t.dataset.export),
  item: (route) => `${String(route.query.key ?? '')} · ${String(route.params.ref)}`,
  'label-sets': t.labelling.title,
  'label-set': (route) => String(route.params.name),
  label: (route) => [route.query.item, route.params.name].filter(Boolean).join(' · '),
  import: t.menu.import,
  jobs: t.jobs.title,
  job: withId(t.jobs.job),
  models: t.models.title,
  model: (route) => String(route.params.ref),
  train: t.train.title,
  predict: t.predict.title,
  runs: t.runs.title,
  run: withId(t.runs.title),
  pipelines: t.pipelines.title,
  'new-pipeline': t.pipelines.create,
  'pipeline-run': withId(t.pipelines.title),
  members: t.members.title,
  'audit-log': t.auditLog.title,
  webhooks: t.webhooks.title,
  webhook: withId(t.webhooks.title),
  account: t.menu.account,
  'no-project': t.projects.project,
  'not-found': t.common.notFound,
}

export function pageTitle(route: RouteLocationNormalized): string {
  const title = TITLES[String(route.name)]
  return [typeof title === 'function' ? title(route) : title, t.name].filter(Boolean).join(' · ')
}
