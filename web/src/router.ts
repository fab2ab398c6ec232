import { createRouter, createWebHistory } from 'vue-router'
import { project, whenSignedOut } from '@/api/client'
import { baseOf } from '@/state/place'
import { useSession } from '@/state/session'

declare module 'vue-router' {
  interface RouteMeta {
    isOpen?: boolean
    needs?: string
  }
}

export const router = createRouter({
  history: createWebHistory(baseOf(project)),
  routes: [
    { path: '/sign-in', name: 'sign-in', component: () => import('@/screens/SignIn.vue'), meta: { isOpen: true } },
    { path: '/join', name: 'join', component: () => import('@/screens/Join.vue'), meta: { isOpen: true } },
    { path: '/', name: 'home', component: () => import('@/screens/Home.vue') },
    { path: '/datasets', name: 'datasets', component: () => import('@/screens/Datasets.vue') },
    {
      path: '/datasets/:ref',
      component: () => import('@/screens/Dataset.vue'),
      children: [
        { path: '', name: 'items', component: () => import('@/screens/Items.vue') },
        { path: 'classes', name: 'classes', component: () => import('@/screens/Classes.vue') },
        { path: 'statistics', name: 'statistics', component: () => import('@/screens/Statistics.vue') },
        { path: 'panels', name: 'panels', component: () => import('@/screens/Panels.vue') },
        { path: 'versions', name: 'versions', component: () => import('@/screens/Versions.vue') },
        { path: 'merge', name: 'merge', component: () => import('@/screens/Merge.vue'), meta: { needs: 'manager' } },
        { path: 'export', name: 'export', component: () => import('@/screens/Export.vue'), meta: { needs: 'manager' } },
      ],
    },
    { path: '/datasets/:ref/item', name: 'item', component: () => import('@/screens/Item.vue') },
    { path: '/import', name: 'import', component: () => import('@/screens/Import.vue'), meta: { needs: 'manager' } },
    { path: '/jobs', name: 'jobs', component: () => import('@/screens/Jobs.vue') },
    { path: '/jobs/:id', name: 'job', component: () => import('@/screens/JobPage.vue') },
    { path: '/models', name: 'models', component: () => import('@/screens/Models.vue') },
    { path: '/models/:ref', name: 'model', component: () => import('@/screens/ModelPage.vue') },
    { path: '/runs', name: 'runs', component: () => import('@/screens/Runs.vue') },
    { path: '/runs/:id', name: 'run', component: () => import('@/screens/RunPage.vue') },
    { path: '/pipelines', name: 'pipelines', component: () => import('@/screens/Pipelines.vue') },
    { path: '/pipelines/new', name: 'new-pipeline', component: () => import('@/screens/NewPipeline.vue'), meta: { needs: 'manager' } },
    { path: '/pipelines/:id', name: 'pipeline', component: () => import('@/screens/PipelineRun.vue') },
    { path: '/train', name: 'train', component: () => import('@/screens/Train.vue'), meta: { needs: 'manager' } },
    { path: '/apply', name: 'apply', component: () => import('@/screens/Apply.vue'), meta: { needs: 'manager' } },
    { path: '/people', name: 'people', component: () => import('@/screens/People.vue'), meta: { needs: 'manager' } },
    { path: '/webhooks', name: 'webhooks', component: () => import('@/screens/Webhooks.vue'), meta: { needs: 'owner' } },
    { path: '/webhooks/:id', name: 'webhook', component: () => import('@/screens/WebhookPage.vue'), meta: { needs: 'owner' } },
    { path: '/audit', name: 'audit', component: () => import('@/screens/Audit.vue'), meta: { needs: 'owner' } },
    { path: '/account', name: 'account', component: () => import('@/screens/Account.vue') },
    { path: '/:rest(.*)*', name: 'missing', component: () => import('@/screens/Missing.vue') },
  ],
})

router.beforeEach(async (to) => {
  const session = useSession()
  if (to.meta.isOpen) return true
  await session.look()
  if (!session.current) return { name: 'sign-in', query: { next: to.fullPath } }
  if (session.current.role === null) {
    const [first] = await session.lookAtProjects()
    if (first) location.assign(baseOf(first.name))
    else if (to.name !== 'account' && to.name !== 'missing') return { name: 'missing', params: { rest: ['none'] } }
    return !first
  }
  if (to.meta.needs && !session.may(to.meta.needs)) return { name: 'missing', params: { rest: ['403'] } }
  return true
})

whenSignedOut(() => {
  const now = router.currentRoute.value
  useSession().take(null)
  if (!now.meta.isOpen) void router.push({ name: 'sign-in', query: { next: now.fullPath } })
})
