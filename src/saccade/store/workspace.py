"""The workspace: the folder that holds everything."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from copy import copy
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from saccade.core.errors import InvalidValueError, MissingExtraError, WorkspaceError
from saccade.store.auth.sso import Identities
from saccade.store.auth.users import People
from saccade.store.blobs.blob_store import ObjectStore
from saccade.store.catalog.projects import Projects
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import DEFAULT_PROJECT
from saccade.store.datasets.datasets import Datasets
from saccade.store.io.atomic import Scratch, write_whole
from saccade.store.jobs.idempotency import Requests
from saccade.store.jobs.jobs import Jobs
from saccade.store.registry.evaluations import Evaluations
from saccade.store.registry.lineage import lineage
from saccade.store.registry.models import Models
from saccade.store.registry.runs import Runs
from saccade.store.webhooks.delivery_queue import Outbox
from saccade.store.webhooks.webhooks import Webhooks

FOLDER = ".saccade"
ENVIRONMENT, PROJECT = "SACCADE_WORKSPACE", "SACCADE_PROJECT"
FORMAT = 2
"""With a catalog or files that are not in the folder; else 1, which earlier versions know."""
PIPELINES = "pipelines"
"""What the folders of caches of pipelines begin with."""
FACTS = "workspace.json"
CATALOG = "catalog.db"
_FOLDERS = ("objects", "datasets", "runs", "tmp")


def folder_of(location: Path | str) -> Path:
    """The folder of the workspace at a place: ``.saccade`` in it, or itself."""
    path = Path(location).expanduser().absolute()
    return path if path.name == FOLDER else path / FOLDER


class Workspace:
    """Datasets, objects, models, runs and evaluations in one folder.

    ``workspace.json`` is the last thing that :meth:`create` writes: a folder with it is a whole workspace. ``id`` is a
    name for it that no other has.

    The catalog is a file of SQLite in the folder, or a database of PostgreSQL of its own.

    On a disk that cannot be written, everything can be read, from a copy of the catalog: SQLite writes beside its file
    even to read it. Whatever would change something is refused.
    """

    def __init__(self, folder: Path, catalog: str = "", objects: str = "") -> None:
        self.location = folder
        self.id = ""
        self.scratch = Scratch(folder / "tmp")
        self.pyramids = folder / "cache" / "pyramids"
        self.is_read_only = folder.is_dir() and not os.access(folder, os.W_OK)
        self._copy = TemporaryDirectory(prefix="saccade-") if self.is_read_only and not catalog else None
        place = folder if self._copy is None else _copied_catalog(folder, Path(self._copy.name))
        database = catalog_url(catalog) if catalog else URL.create("sqlite", database=str(place / CATALOG))
        self.objects = ObjectStore(objects or str(folder / "objects"), self.scratch)
        self.left = folder / "jobs"
        self._is_part = False
        self._see(Catalog(database, read_only=self.is_read_only), DEFAULT_PROJECT)

    def _see(self, catalog: Catalog, project: str) -> None:
        self.catalog, self.project = catalog, project
        # A cache names versions, which in another project are others.
        self.pipelines = (
            self.location / "cache" / (PIPELINES if project == DEFAULT_PROJECT else f"{PIPELINES}-{project}")
        )
        self.projects = Projects(catalog)
        self.datasets = Datasets(catalog, self.location / "datasets", self.objects, self.scratch)
        self.models = Models(catalog, self.objects)
        self.runs = Runs(catalog, self.location / "runs")
        self.evaluations = Evaluations(catalog, self.objects)
        self.people = People(catalog)
        self.identities = Identities(catalog)
        self.jobs = Jobs(catalog)
        self.requests = Requests(catalog)
        self.webhooks = Webhooks(catalog)
        self.outbox = Outbox(catalog)

    def in_project(self, name: str) -> Workspace:
        """The same workspace, where only what is of one project is seen; NotFoundError where there is none.

        It is open for as long as this one is.
        """
        made = copy(self)
        made._is_part = True
        made._see(self.catalog.whole.of(self.projects.get(name).id), name)
        return made

    @classmethod
    def create(cls, location: Path | str, catalog: str = "", objects: str = "") -> Workspace:
        """Make ``location/.saccade``; opens it where it is there already. WorkspaceError where it cannot be made.

        Args:
            catalog: the URL of a database of PostgreSQL, which is this workspace's alone; a file where it is left out.
            objects: the URL of a place for images and other files, as ``s3://bucket/folder``, in which the workspace
                has a folder of its own; a folder of the workspace where it is left out.
        """
        folder = folder_of(location)
        try:
            if not (folder / FACTS).exists():
                for name in _FOLDERS:
                    (folder / name).mkdir(parents=True, exist_ok=True)
                facts = facts_of(uuid.uuid4().hex, catalog, objects)
                with cls(folder, catalog, str(facts.get("objects", ""))) as workspace:
                    workspace.catalog.prepare()
                    if objects:
                        # Tells at once where nothing can be kept there.
                        workspace.objects.remove(workspace.objects.put_bytes(b"Saccade\n"))
                write_whole(folder / FACTS, json.dumps(facts).encode())
            return cls.open(folder)
        except OSError as error:
            raise WorkspaceError(
                f"No workspace can be made in '{Path(location)}': {error}.", hint="Choose a folder that you may write."
            ) from error

    @classmethod
    def open(cls, location: Path | str, project: str | None = None) -> Workspace:
        """Open the workspace of ``location`` (the folder with ``.saccade``, or that itself), and bring it up to date.

        WorkspaceError where there is none, where it is damaged, and where it was made by newer code.

        Args:
            project: the one that is seen; else that of $SACCADE_PROJECT, else the one that every workspace has.
        """
        folder = folder_of(location)
        facts = read_facts(folder)
        workspace = cls(folder, str(facts.get("catalog", "")), str(facts.get("objects", "")))
        workspace.id = str(facts.get("id", ""))
        try:
            workspace.catalog.prepare()
            name = project or os.environ.get(PROJECT) or DEFAULT_PROJECT
            workspace._see(workspace.catalog.of(workspace.projects.get(name).id), name)
        except BaseException:
            workspace.close()
            raise
        return workspace

    @classmethod
    def find(cls, explicit: Path | str | None = None, start: Path | None = None) -> Workspace:
        """The workspace that is named, else that of $SACCADE_WORKSPACE, else the nearest upward from ``start``."""
        named = explicit or os.environ.get(ENVIRONMENT)
        if named:
            return cls.open(named)
        beginning = (start or Path.cwd()).absolute()
        for folder in (beginning, *beginning.parents):
            if (folder / FOLDER / FACTS).is_file():
                return cls.open(folder)
        raise WorkspaceError(f"There is no workspace in '{beginning}' or above.", hint="Make one: saccade init .")

    @property
    def reference(self) -> tuple[str, str]:
        """What :meth:`open` takes to see the same in another process."""
        return str(self.location), self.project

    def lineage(self, ref: str) -> dict[str, Any]:
        """Everything that a model or dataset version came from; see :func:`saccade.store.registry.lineage.lineage`."""
        return lineage(self.catalog, ref)

    def close(self) -> None:
        if self._is_part:
            return
        self.catalog.close()
        if self._copy is not None:
            self._copy.cleanup()
            return
        self.scratch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def facts_of(workspace: str, catalog: str, objects: str) -> dict[str, Any]:
    """What ``workspace.json`` says of a workspace; InvalidValueError where files cannot be kept at such a place."""
    facts: dict[str, Any] = {"format": FORMAT if catalog or objects else 1, "id": workspace}
    if catalog:
        facts["catalog"] = catalog
    if objects:
        scheme, there, rest = objects.partition("://")
        if not (there and scheme and rest) or "@" in rest.partition("/")[0]:
            raise InvalidValueError(
                "Files are kept in a folder, or at an address as s3://bucket/folder without a password.",
                hint="Credentials come from the environment, as for other programs.",
            )
        facts["objects"] = f"{objects.rstrip('/')}/{workspace}"
    return facts


def catalog_url(text: str) -> URL:
    """The URL of a database of PostgreSQL.

    Raises:
        InvalidValueError: it is none, or has a password in it, which would be kept in a file that many can read.
        MissingExtraError: the part of Saccade for it is not installed.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        url = None
    if url is None or url.get_backend_name() != "postgresql":
        raise InvalidValueError("A catalog is a file, or at an address as postgresql://host/database.")
    if url.password:
        raise InvalidValueError(
            "The address of a catalog has no password in it.", hint="Give it by PGPASSWORD or the file ~/.pgpass."
        )
    if find_spec("psycopg") is None:
        raise MissingExtraError("A catalog in PostgreSQL", "postgres")
    return url.set(drivername="postgresql+psycopg")


def _copied_catalog(folder: Path, place: Path) -> Path:
    """Copy the catalog with what it has not yet taken in from its log."""
    for name in (CATALOG, f"{CATALOG}-wal"):
        if (folder / name).exists():
            shutil.copyfile(folder / name, place / name)
    return place


def read_facts(folder: Path) -> dict[str, Any]:
    """What ``workspace.json`` says; WorkspaceError where there is none, or nothing to be read."""
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS).read_bytes())
        found = int(facts["format"])
    except (FileNotFoundError, NotADirectoryError):
        raise WorkspaceError(
            f"There is no workspace in '{folder.parent}'.", hint=f"Make one: saccade init {folder.parent}"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkspaceError(f"'{folder / FACTS}' cannot be read: {error}.", hint="Run: saccade doctor") from error
    if found > FORMAT:
        raise WorkspaceError(
            f"The workspace '{folder}' has format {found}, and this Saccade knows {FORMAT}.",
            hint="Upgrade: pip install -U saccade",
        )
    return facts
