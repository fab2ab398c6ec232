"""The projects of a workspace: each has datasets, models, runs, jobs and people of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from saccade.core.errors import ConflictError, NotFoundError
from saccade.core.roles import Role
from saccade.store.catalog.names import check_name, exact
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import DatasetRow, MemberRow, ProjectRow, VersionRow


@dataclass(frozen=True, slots=True)
class Project:
    """A project; ``role`` is what the one who asks is in it, None where nobody in particular asks."""

    id: int
    name: str
    created: datetime
    role: Role | None = None


ProjectList = list[Project]


class Projects:
    """All projects of a workspace."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog.whole

    def list(self) -> ProjectList:
        """All of them, by name."""
        with self._catalog.reading() as session:
            rows = session.scalars(select(ProjectRow).order_by(ProjectRow.name))
            return [Project(row.id, row.name, row.created) for row in rows]

    def of_person(self, person: str) -> ProjectList:
        """Those that somebody is in."""
        wanted = select(ProjectRow, MemberRow.role).join(MemberRow, MemberRow.project_id == ProjectRow.id)
        with self._catalog.reading() as session:
            rows = session.execute(wanted.where(MemberRow.person_id == person).order_by(ProjectRow.name)).all()
            return [Project(row.id, row.name, row.created, Role(role)) for row, role in rows]

    def get(self, name: str) -> Project:
        """A project; NotFoundError where there is none of that name, which tells no other names."""
        with self._catalog.reading() as session:
            row = session.scalar(select(ProjectRow).where(ProjectRow.name == name))
            if row is None:
                raise NotFoundError(f"There is no project '{name[:100]}'.", hint="'saccade projects list' shows them.")
            return Project(row.id, row.name, row.created)

    def named(self, project: int) -> str:
        """The name of a project."""
        with self._catalog.reading() as session:
            return session.get_one(ProjectRow, project).name

    def last_version(self) -> tuple[str, str] | None:
        """The project and reference of the dataset version that was made last, of all projects."""
        wanted = (
            select(ProjectRow.name, DatasetRow.name, VersionRow.number)
            .join(DatasetRow, DatasetRow.project_id == ProjectRow.id)
            .join(VersionRow, VersionRow.dataset_id == DatasetRow.id)
            .order_by(VersionRow.id.desc())
        )
        with self._catalog.reading() as session:
            found = session.execute(wanted.limit(1)).first()
        return None if found is None else (found[0], exact(found[1], found[2]))

    def add(self, name: str, owner: str | None = None) -> Project:
        """A new project, empty; ConflictError where there is one of that name.

        Args:
            owner: the id of whose it is.
        """
        check_name("project", name)
        try:
            with self._catalog.writing() as session:
                row = ProjectRow(name=name)
                session.add(row)
                session.flush()
                if owner is not None:
                    session.add(MemberRow(project_id=row.id, person_id=owner, role=str(Role.OWNER)))
                return Project(row.id, row.name, row.created, None if owner is None else Role.OWNER)
        except IntegrityError:
            raise ConflictError(f"There is a project '{name}' already.") from None
