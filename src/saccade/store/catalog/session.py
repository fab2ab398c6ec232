"""The catalog: a SQL database that says what there is. SQLite embedded, or PostgreSQL.

A catalog is that of one project, or of all. In a session of a project every statement sees the rows of that project
only, whichever code wrote it, and new rows become the project's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

from sqlalchemy import URL, Connection, create_engine, event, inspect, text
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from saccade.core.errors import WorkspaceError
from saccade.store.catalog.migrations import HEAD, knows_revision, upgrade
from saccade.store.catalog.tables import InProject

_WRITE = "saccade_write"
_LOCK = 0x5ACCADE
"""Names the lock of PostgreSQL that whoever writes holds."""
_PRAGMAS = ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy begins transactions, not the driver
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _forbid_writing(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA query_only=ON")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later cannot wait for another writer; one that says so at once can.
    writes = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    # One writer at a time, as in SQLite; the first statement that looks comes after the lock and sees the last commit.
    if connection.get_execution_options().get(_WRITE, False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


class _Session(Session):
    """A session in which only one project is there; ``info`` has its id under "project", None for all."""


@event.listens_for(_Session, "do_orm_execute")
def _see_one_project(state: ORMExecuteState) -> None:
    project = state.session.info["project"]
    if project is not None and not (state.is_insert or state.is_column_load or state.is_relationship_load):
        # ``propagate_to_loaders`` is left on, and aliases are meant too: no way of asking goes past this.
        criteria = with_loader_criteria(InProject, lambda row: row.project_id == project, include_aliases=True)
        state.statement = state.statement.options(criteria)


@event.listens_for(_Session, "before_flush")
def _make_it_the_projects(session: Session, *_: Any) -> None:
    project = session.info["project"]
    for row in session.new if project is not None else ():
        if isinstance(row, InProject) and row.project_id is None:
            row.project_id = project


class Catalog:
    """Transactions on the catalog's database.

    Args:
        url: SQLAlchemy's URL of the database.
        read_only: refuse to change anything.

    Attributes:
        project: the id of the project that is seen; None for all of them.
        whole: the same database with all projects.
    """

    def __init__(self, url: str | URL, *, read_only: bool = False) -> None:
        self.engine = create_engine(url)
        self._reader = self.engine
        if self.engine.dialect.name == "postgresql":
            event.listen(self.engine, "begin", _begin_postgresql)
            self._reader = self.engine.execution_options(isolation_level="REPEATABLE READ")
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            if read_only:
                event.listen(self.engine, "connect", _forbid_writing)
            event.listen(self.engine, "begin", _begin_sqlite)
        self._writer = self.engine.execution_options(**{_WRITE: True})
        self.project: int | None = None
        self.whole = self

    def of(self, project: int) -> Catalog:
        """The same database, where only one project is seen."""
        made = copy(self.whole)
        made.project, made.whole = project, self.whole
        return made

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the catalog and changes nothing."""
        with self._readable_errors(), self._session(self._reader) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session whose changes are committed together at the end, or not at all after an exception."""
        with self._readable_errors(), self._session(self._writer) as session, session.begin():
            yield session

    def _session(self, engine: Any) -> Session:
        return _Session(engine, expire_on_commit=False, info={"project": self.project})

    def prepare(self) -> None:
        """Bring the tables to what this code expects; WorkspaceError where they come from newer code."""
        with self._readable_errors():
            with self.engine.connect() as connection:
                current = _revision(connection)
            if current == HEAD:
                return
            if current is not None and not knows_revision(current):
                raise WorkspaceError(
                    f"The workspace was made by a newer Saccade (catalog revision {current}, this code knows {HEAD}).",
                    hint="Upgrade: pip install -U saccade",
                )
            with self._writer.begin() as connection:
                upgrade(connection)

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _readable_errors(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            what = "Check that the workspace is on a disk with free space and may be written by you."
            if not self.is_sqlite:
                what = f"Check that {self.engine.url.render_as_string()} runs and lets you in."
            raise WorkspaceError(f"The catalog cannot be used: {error.orig}.", hint=what) from error
        except DatabaseError as error:
            if type(error) is DatabaseError:
                raise WorkspaceError(f"The catalog is damaged: {error.orig}.", hint="Run: saccade doctor") from error
            raise


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
