"""The projects of a workspace. Each has its own datasets, models, runs, jobs and members."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from saccade.core.errors import ConflictError, NotFoundError
from saccade.core.refs import check_name, format_ref
from saccade.core.roles import Role
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import DatasetRow, MemberRow, ProjectRow, VersionRow


@dataclass(frozen=True, slots=True)
class Project:
    """A project; ``role`` is the role of the current user in it, None without a user."""

    id: int
    name: str
    created: datetime
    role: Role | None = None


ProjectList = list[Project]


class Projects:
    """All projects of a workspace."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog.unscoped

    def list(self) -> ProjectList:
        """List all projects by name."""
        with self._catalog.read_tx() as session:
            rows = session.scalars(select(ProjectRow).order_by(ProjectRow.name))
            return [Project(row.id, row.name, row.created) for row in rows]

    def list_for_user(self, user_id: str) -> ProjectList:
        """List the projects that a user is a member of, by name, with the user's role."""
        query = select(ProjectRow, MemberRow.role).join(MemberRow, MemberRow.project_id == ProjectRow.id)
        with self._catalog.read_tx() as session:
            rows = session.execute(query.where(MemberRow.user_id == user_id).order_by(ProjectRow.name)).all()
            return [Project(row.id, row.name, row.created, Role(role)) for row, role in rows]

    def get(self, name: str) -> Project:
        """Return a project by name.

        Raises:
            NotFoundError: there is no such project. The error does not reveal the names of other projects.
        """
        with self._catalog.read_tx() as session:
            row = session.scalar(select(ProjectRow).where(ProjectRow.name == name))
            if row is None:
                raise NotFoundError(f"There is no project '{name[:100]}'.", hint="List them: saccade projects list")
            return Project(row.id, row.name, row.created)

    def get_name(self, project: int) -> str:
        """Return the name of the project with an id."""
        with self._catalog.read_tx() as session:
            return session.get_one(ProjectRow, project).name

    def latest_version(self) -> tuple[str, str] | None:
        """Return the project name and reference of the newest dataset version in any project, None without one."""
        query = (
            select(ProjectRow.name, DatasetRow.name, VersionRow.number)
            .join(DatasetRow, DatasetRow.project_id == ProjectRow.id)
            .join(VersionRow, VersionRow.dataset_id == DatasetRow.id)
            .order_by(VersionRow.id.desc())
        )
        with self._catalog.read_tx() as session:
            row = session.execute(query.limit(1)).first()
        return None if row is None else (row[0], format_ref(row[1], row[2]))

    def add(self, name: str, owner_id: str | None = None) -> Project:
        """Create an empty project.

        Args:
            name: its name.
            owner_id: the user who becomes its owner, None for no members.

        Raises:
            InvalidValueError: the name is not valid.
            ConflictError: a project with this name exists.
        """
        check_name("project", name)
        try:
            with self._catalog.write_tx() as session:
                row = ProjectRow(name=name)
                session.add(row)
                session.flush()
                if owner_id is not None:
                    session.add(MemberRow(project_id=row.id, user_id=owner_id, role=str(Role.OWNER)))
                return Project(row.id, row.name, row.created, None if owner_id is None else Role.OWNER)
        except IntegrityError:
            raise ConflictError(f"There is already a project '{name}'.") from None
