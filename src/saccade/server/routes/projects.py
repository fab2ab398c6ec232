"""Projects.

All other routes serve the default project; for another project their paths start with
``/api/v1/projects/{project}``.
"""

from __future__ import annotations

from saccade.app.auth import projects
from saccade.server.dependencies.auth import CurrentUser, CurrentWorkspace
from saccade.server.routes.router import ApiRouter
from saccade.server.schemas.members import ProjectCreate, ProjectResponse

router = ApiRouter(tags=["projects"])


@router.get("/projects")
def list_projects(workspace: CurrentWorkspace, principal: CurrentUser) -> list[ProjectResponse]:
    """List the projects of the current user with their role in each; for an API token, only its own project."""
    own_projects = workspace.projects.list_for_user(principal.user.id)
    if principal.csrf_token is None:  # an API token
        own_projects = [project for project in own_projects if project.name == workspace.project]
    return [ProjectResponse.model_validate(project) for project in own_projects]


@router.post("/projects", status_code=201)
def create_project(body: ProjectCreate, workspace: CurrentWorkspace, principal: CurrentUser) -> ProjectResponse:
    """Create a project; the current user becomes its owner. Requires the role of owner in the requested project."""
    return ProjectResponse.model_validate(projects.create_project(workspace, body.name, principal.user.id))
