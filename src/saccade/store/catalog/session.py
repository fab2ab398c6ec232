"""Transactions on the catalog, an SQL database: SQLite embedded, or PostgreSQL.

A catalog is scoped to one project, or unscoped. In the session of a project every statement sees only the rows of that
project, whichever code wrote it, and new rows are assigned to the project.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from copy import copy
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, create_engine, event, inspect, text
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from saccade.core.errors import StorageFullError, WorkspaceError
from saccade.io.disk_space import SpaceReserve, is_disk_full
from saccade.store.catalog.migrations import HEAD, knows_revision, upgrade
from saccade.store.catalog.tables import ProjectScoped

_WRITE_OPTION = "saccade_write"
_WRITE_LOCK_ID = 0x5ACCADE
"""Id of the advisory lock that PostgreSQL writers hold."""
_PRAGMAS = ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy begins transactions, not the driver
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _connect_to_existing_file(_dialect: Any, _record: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
    """Connect without creating the file: a catalog that was deleted must not come back as an empty one."""
    return sqlite3.connect(f"file:{quote(str(arguments[0]))}?mode=rw", uri=True, **options)


def _make_read_only(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA query_only=ON")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails if there is another writer; BEGIN IMMEDIATE waits for it.
    writes = connection.get_execution_options().get(_WRITE_OPTION, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    # One writer at a time, as in SQLite. The lock is taken before the first query, which then sees the last commit.
    if connection.get_execution_options().get(_WRITE_OPTION, False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITE_LOCK_ID})")


class _Session(Session):
    """A session scoped to the project whose id is in ``info["project"]``; None for an unscoped session."""


@event.listens_for(_Session, "do_orm_execute")
def _tenant_filter(state: ORMExecuteState) -> None:
    project = state.session.info["project"]
    if project is not None and not (state.is_insert or state.is_column_load or state.is_relationship_load):
        # ``propagate_to_loaders`` stays on and aliases are included: no kind of query may get around the filter.
        criteria = with_loader_criteria(ProjectScoped, lambda row: row.project_id == project, include_aliases=True)
        state.statement = state.statement.options(criteria)


@event.listens_for(_Session, "before_flush")
def _assign_project(session: Session, *_: Any) -> None:
    project = session.info["project"]
    for row in session.new if project is not None else ():
        if isinstance(row, ProjectScoped) and row.project_id is None:
            row.project_id = project


class Catalog:
    """Transactions on the catalog's database.

    Args:
        url: SQLAlchemy URL of the database.
        read_only: refuse all changes.
        must_exist: fail instead of creating the file of an SQLite database.

    Attributes:
        project: id of the project that the catalog is scoped to, None if it is unscoped.
        has_written: whether a write transaction was committed.
        access_state: an object that is replaced after each write transaction of this process that may have changed who
            has access. Of the unscoped catalog only.
        reserve: space on the disk of the database for deleting data; None if it is not on a disk of the workspace.
        unscoped: the same database with all projects.
    """

    def __init__(self, url: str | URL, *, read_only: bool = False, must_exist: bool = False) -> None:
        self.engine = create_engine(url)
        self._reader = self.engine
        if self.engine.dialect.name == "postgresql":
            event.listen(self.engine, "begin", _begin_postgresql)
            # As in SQLite, a read transaction sees one state of the database.
            self._reader = self.engine.execution_options(isolation_level="REPEATABLE READ")
        if self.is_sqlite:
            event.listen(self.engine, "connect", _configure_sqlite)
            if read_only:
                event.listen(self.engine, "connect", _make_read_only)
            event.listen(self.engine, "begin", _begin_sqlite)
            if must_exist:
                event.listen(self.engine, "do_connect", _connect_to_existing_file)
        self._writer = self.engine.execution_options(**{_WRITE_OPTION: True})
        self.project: int | None = None
        self.has_written = False
        self.access_state = object()
        self.reserve: SpaceReserve | None = None
        self.unscoped = self

    def scoped(self, project: int) -> Catalog:
        """Return the same database, scoped to one project."""
        scoped = copy(self.unscoped)
        scoped.project = project
        scoped.unscoped = self.unscoped
        return scoped

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read_tx(self) -> Iterator[Session]:
        """Open a read transaction, which sees one state of the catalog."""
        with self._translate_errors(), self._session(self._reader) as session:
            yield session

    @contextmanager
    def write_tx(self, *, changes_access: bool = True) -> Iterator[Session]:
        """Open a write transaction, which is committed at the end and rolled back on an exception.

        Args:
            changes_access: whether it may change users, members, sessions, tokens or projects. Frequent transactions
                that do not say so, because after each other one callers are authenticated from the database again.
        """
        try:
            with self._translate_errors(), self._session(self._writer) as session, session.begin():
                yield session
        finally:
            # Also after an error: it may have happened after the commit.
            if changes_access:
                self.unscoped.access_state = object()
        self.unscoped.has_written = True

    @contextmanager
    def essential_tx(self) -> Iterator[Session]:
        """Open a write transaction that is possible on a full disk, too: to delete data, or to sign in for that."""
        with nullcontext() if self.reserve is None else self.reserve.released(), self.write_tx() as session:
            yield session

    def _session(self, engine: Any) -> Session:
        return _Session(engine, expire_on_commit=False, info={"project": self.project})

    def migrate(self, *, create: bool = True) -> bool:
        """Create the tables or upgrade them to the current revision.

        Args:
            create: create the tables if the database is empty.

        Returns:
            Whether the database has the tables now: False if it is empty and may not be changed.

        Raises:
            WorkspaceError: the catalog has a newer revision than this code.
        """
        with self._translate_errors():
            with self.engine.connect() as connection:
                current = _revision(connection)
            if current == HEAD:
                return True
            if current is None and not create:
                return False
            if current is not None and not knows_revision(current):
                raise WorkspaceError(
                    f"The workspace was made by a newer Saccade (catalog revision {current}, this code knows {HEAD}).",
                    hint="Upgrade: pip install -U saccade",
                )
            with self._writer.begin() as connection:
                upgrade(connection)
        return True

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            if is_disk_full(error):
                raise StorageFullError from error
            hint = "Check that the disk of the workspace has free space and that you may write to it."
            if not self.is_sqlite:
                hint = f"Check that {self.engine.url.render_as_string()} is running and accepts your credentials."
            raise WorkspaceError(f"The catalog cannot be used: {error.orig}.", hint=hint) from error
        except DatabaseError as error:
            # Subclasses such as IntegrityError are for the caller; the bare class means a damaged SQLite file.
            if type(error) is DatabaseError:
                raise WorkspaceError(f"The catalog is damaged: {error.orig}.", hint="Run: saccade doctor") from error
            raise


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision
