import { createRouter, createWebHistory } from 'vue-router'
import { currentProject, onSignedOut } from '@/api/client'
import { get, queryClient } from '@/api/queries'
import { projectBasePath } from '@/composables/projectUrls'
import { useSession } from '@/features/auth/useSession'

declare module 'vue-router' {
  interface RouteMeta {
    /** Reachable without signing in. */
    isPublic?: boolean
    requiredRole?: string
  }
}

const managerOnly = { requiredRole: 'manager' }
const ownerOnly = { requiredRole: 'owner' }

export const router = createRouter({
  history: createWebHistory(projectBasePath(currentProject)),
  routes: [
    { path: '/sign-in', name: 'sign-in', component: () => import('@/features/auth/SignInScreen.vue'), meta: { isPublic: true } },
    { path: '/join', name: 'accept-invitation', component: () => import('@/features/auth/AcceptInvitationScreen.vue'), meta: { isPublic: true } },
    { path: '/', name: 'dashboard', component: () => import('@/features/dashboard/DashboardScreen.vue') },
    { path: '/datasets', name: 'datasets', component: () => import('@/features/datasets/DatasetsScreen.vue') },
    {
      path: '/datasets/:ref',
      component: () => import('@/features/datasets/DatasetScreen.vue'),
      children: [
        { path: '', name: 'items', component: () => import('@/features/datasets/items/ItemsScreen.vue') },
        { path: 'classes', name: 'classes', component: () => import('@/features/datasets/classes/ClassesScreen.vue') },
        { path: 'statistics', name: 'statistics', component: () => import('@/features/datasets/statistics/StatisticsScreen.vue') },
        { path: 'panels', name: 'panels', component: () => import('@/features/panels/PanelsScreen.vue') },
        { path: 'versions', name: 'versions', component: () => import('@/features/datasets/versions/VersionsScreen.vue') },
        { path: 'merge', name: 'merge', component: () => import('@/features/datasets/merge/MergeScreen.vue'), meta: managerOnly },
        { path: 'export', name: 'export', component: () => import('@/features/datasets/export/ExportScreen.vue'), meta: managerOnly },
      ],
    },
    { path: '/datasets/:ref/item', name: 'item', component: () => import('@/features/datasets/item/ItemScreen.vue') },
    { path: '/label-sets', name: 'label-sets', component: () => import('@/features/labelling/LabelSetsScreen.vue') },
    { path: '/label-sets/:name', name: 'label-set', component: () => import('@/features/labelling/LabelSetScreen.vue') },
    { path: '/label-sets/:name/label', name: 'label', component: () => import('@/features/labelling/studio/StudioScreen.vue') },
    { path: '/import', name: 'import', component: () => import('@/features/imports/ImportScreen.vue'), meta: managerOnly },
    { path: '/jobs', name: 'jobs', component: () => import('@/features/jobs/JobsScreen.vue') },
    { path: '/jobs/:id', name: 'job', component: () => import('@/features/jobs/JobDetailScreen.vue') },
    { path: '/models', name: 'models', component: () => import('@/features/models/ModelsScreen.vue') },
    { path: '/models/:ref', name: 'model', component: () => import('@/features/models/ModelDetailScreen.vue') },
    { path: '/train', name: 'train', component: () => import('@/features/models/TrainScreen.vue'), meta: managerOnly },
    { path: '/predict', name: 'predict', component: () => import('@/features/models/PredictScreen.vue'), meta: managerOnly },
    { path: '/runs', name: 'runs', component: () => import('@/features/runs/RunsScreen.vue') },
    { path: '/runs/:id', name: 'run', component: () => import('@/features/runs/RunDetailScreen.vue') },
    { path: '/pipelines', name: 'pipelines', component: () => import('@/features/pipelines/PipelinesScreen.vue') },
    { path: '/pipelines/new', name: 'new-pipeline', component: () => import('@/features/pipelines/NewPipelineScreen.vue'), meta: managerOnly },
    { path: '/pipelines/:id', name: 'pipeline-run', component: () => import('@/features/pipelines/PipelineRunScreen.vue') },
    { path: '/members', name: 'members', component: () => import('@/features/members/MembersScreen.vue'), meta: managerOnly },
    { path: '/audit-log', name: 'audit-log', component: () => import('@/features/members/AuditLogScreen.vue'), meta: ownerOnly },
    { path: '/webhooks', name: 'webhooks', component: () => import('@/features/webhooks/WebhooksScreen.vue'), meta: ownerOnly },
    { path: '/webhooks/:id', name: 'webhook', component: () => import('@/features/webhooks/WebhookDetailScreen.vue'), meta: ownerOnly },
    { path: '/account', name: 'account', component: () => import('@/features/auth/AccountScreen.vue') },
    { path: '/no-project', name: 'no-project', component: () => import('@/features/projects/NoProjectScreen.vue') },
    { path: '/:path(.*)*', name: 'not-found', component: () => import('@/features/dashboard/NotFoundScreen.vue') },
  ],
})

router.beforeEach(async (to) => {
  const session = useSession()
  if (to.meta.isPublic) return true
  await session.load()
  if (!session.current) return { name: 'sign-in', query: { next: to.fullPath } }
  if (session.current.role === null) {
    // Not a member of this project: go to the first of the user's own, if there is one.
    const [firstProject] = await queryClient.fetchQuery(get('/api/v1/projects'))
    if (firstProject) {
      location.assign(projectBasePath(firstProject.name))
      return false
    }
    return to.name === 'account' || to.name === 'no-project' ? true : { name: 'no-project' }
  }
  if (to.meta.requiredRole && !session.hasRole(to.meta.requiredRole)) return { name: 'not-found', params: { path: ['403'] } }
  return true
})

onSignedOut(() => {
  const route = router.currentRoute.value
  useSession().setSession(null)
  if (!route.meta.isPublic) void router.push({ name: 'sign-in', query: { next: route.fullPath } })
})
