"""Projects. All other routes are those of the project that is always there; of another one they begin with
``/api/v1/projects/{project}``."""

from __future__ import annotations

from fastapi import APIRouter

from saccade.server.dependencies.auth import Served, SignedIn
from saccade.server.permissions import API
from saccade.server.schemas.members import NewProject, ProjectAnswer

router = APIRouter(prefix=API, tags=["projects"])


@router.get("/projects")
def projects(served: Served, caller: SignedIn) -> list[ProjectAnswer]:
    """The projects that one is in, and what one is there; with a token the one that it is for."""
    found = served.projects.of_person(caller.person.id)
    if caller.guard is None:
        found = [one for one in found if one.name == served.project]
    return [ProjectAnswer.model_validate(one) for one in found]


@router.post("/projects", status_code=201)
def new_project(given: NewProject, served: Served, caller: SignedIn) -> ProjectAnswer:
    """Begin a project, and be its owner; owners of a project may."""
    return ProjectAnswer.model_validate(served.projects.add(given.name, caller.person.id))
