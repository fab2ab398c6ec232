"""The workspace: one folder with the catalog, blobs, datasets, models, runs and everything else."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from saccade.core.errors import InvalidValueError, MissingExtraError, WorkspaceError
from saccade.io.atomic import PRIVATE_FILE_MODE, atomic_write, make_private_dir
from saccade.io.disk_space import SpaceReserve
from saccade.runtime.late_import import load
from saccade.store.auth.sso import SsoStore
from saccade.store.auth.users import UserStore
from saccade.store.blobs.blob_store import BlobStore
from saccade.store.catalog.copies import CatalogCopies
from saccade.store.catalog.identity import (
    check_identity,
    lost_catalog_error,
    require_latest_catalog,
    write_identity,
)
from saccade.store.catalog.projects import Projects
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import DEFAULT_PROJECT
from saccade.store.datasets.datasets import Datasets
from saccade.store.io.scratch import ScratchDir
from saccade.store.jobs.idempotency import IdempotencyStore
from saccade.store.jobs.jobs import Jobs
from saccade.store.registry.evaluations import Evaluations
from saccade.store.registry.lineage import lineage
from saccade.store.registry.models import Models
from saccade.store.registry.runs import Runs
from saccade.store.webhooks.delivery_queue import DeliveryQueue
from saccade.store.webhooks.webhooks import Webhooks

WORKSPACE_DIR = ".saccade"
WORKSPACE_ENV = "SACCADE_WORKSPACE"
PROJECT_ENV = "SACCADE_PROJECT"
FORMAT_VERSION = 2
"""The format of a workspace whose catalog or blobs are outside of its folder; others have 1, for earlier versions."""
PIPELINE_CACHE_PREFIX = "pipelines"
"""Prefix of the folders with the pipeline caches of the projects."""
CONFIG_FILE = "workspace.json"
CATALOG_FILE = "catalog.db"
COPIES_DIR = "catalog-copies"
_FOLDERS = ("objects", "datasets", "runs", "tmp")


def resolve_folder(location: Path | str) -> Path:
    """Return the workspace folder of a location: its ``.saccade``, or the location itself if it has that name."""
    path = Path(location).expanduser().absolute()
    return path if path.name == WORKSPACE_DIR else path / WORKSPACE_DIR


class Workspace:
    """A workspace, scoped to one of its projects.

    :meth:`create` writes ``workspace.json`` last: a folder with that file is a complete workspace. The catalog is an
    SQLite file in the folder, or a PostgreSQL database.

    A workspace on a disk that cannot be written is read-only: everything can be read, and changes are refused. SQLite
    writes next to its file even to read it, so the catalog is then copied to a temporary folder.

    Attributes:
        location: the workspace folder.
        id: unique id of the workspace.
        project: name of the project.
        blobs: media, weights and other content-addressed files of all projects.
        scratch: temporary files, and the lock against garbage collection.
        jobs_dir: folder with the logs and uploads of jobs.
        pipeline_cache: folder with the pipeline cache of the project.
        pyramid_cache: folder with the pyramids of giant images.
        is_read_only: whether the disk of the workspace cannot be written.
        catalog_copies: the copies of the catalog; None for a catalog in PostgreSQL and for a read-only workspace.
    """

    def __init__(self, folder: Path, catalog: str = "", objects: str = "", *, create: bool = False) -> None:
        self.location = folder
        self.id = ""
        self.scratch = ScratchDir(folder / "tmp")
        self.pyramid_cache = folder / "cache" / "pyramids"
        self.is_read_only = folder.is_dir() and not os.access(folder, os.W_OK)
        self._copy = TemporaryDirectory(prefix="saccade-") if self.is_read_only and not catalog else None
        catalog_folder = folder if self._copy is None else _copy_catalog(folder, Path(self._copy.name))
        if catalog:
            database = parse_catalog_url(catalog)
        else:
            database = URL.create("sqlite", database=str(catalog_folder / CATALOG_FILE))
        self.blobs = BlobStore(objects or str(folder / "objects"), self.scratch)
        self.jobs_dir = folder / "jobs"
        self._is_scoped_copy = False
        self.catalog_copies = None if catalog or self.is_read_only else catalog_copies(folder)
        database_catalog = Catalog(database, read_only=self.is_read_only, must_exist=not create)
        if self.catalog_copies is not None:
            database_catalog.reserve = SpaceReserve(folder / "reserve")
        self._bind(database_catalog, DEFAULT_PROJECT)

    def _bind(self, catalog: Catalog, project: str) -> None:
        self.catalog = catalog
        self.project = project
        # Each project has its own cache: it contains references, which name other versions in another project.
        cache_name = PIPELINE_CACHE_PREFIX if project == DEFAULT_PROJECT else f"{PIPELINE_CACHE_PREFIX}-{project}"
        self.pipeline_cache = self.location / "cache" / cache_name
        self.projects = Projects(catalog)
        self.datasets = Datasets(catalog, self.location / "datasets", self.blobs, self.scratch)
        self.models = Models(catalog, self.blobs)
        self.runs = Runs(catalog, self.location / "runs")
        self.evaluations = Evaluations(catalog, self.blobs)
        self.users = UserStore(catalog)
        self.sso = SsoStore(catalog)
        self.jobs = Jobs(catalog)
        self.idempotency = IdempotencyStore(catalog)
        self.webhooks = Webhooks(catalog)
        self.delivery_queue = DeliveryQueue(catalog)
        self._label_sets: Any = None

    @property
    def label_sets(self) -> Any:
        """The label sets of the project: a :class:`saccade.app.labels.local.LocalLabelSets`."""
        if self._label_sets is None:
            self._label_sets = load("app.labels.local", "LocalLabelSets")(self)
        return self._label_sets

    def scoped_to_project(self, name: str) -> Workspace:
        """Return the same workspace, scoped to another project; it can be used until this one is closed.

        Raises:
            NotFoundError: there is no such project.
        """
        scoped = copy(self)
        scoped._is_scoped_copy = True
        scoped._bind(self.catalog.unscoped.scoped(self.projects.get(name).id), name)
        return scoped

    @classmethod
    def create(cls, location: Path | str, catalog: str = "", objects: str = "") -> Workspace:
        """Create ``location/.saccade``, or open it if it is a workspace.

        Args:
            location: the folder.
            catalog: URL of a PostgreSQL database for this workspace alone; "" for an SQLite file.
            objects: URL for images and other blobs, as ``s3://bucket/folder``, in which the workspace gets its own
                folder; "" for a folder of the workspace.

        Raises:
            InvalidValueError: a URL is not valid, or contains a password.
            WorkspaceError: the folder, database or URL cannot be written.
        """
        folder = resolve_folder(location)
        try:
            if not (folder / CONFIG_FILE).exists():
                folder.parent.mkdir(parents=True, exist_ok=True)
                for name in _FOLDERS:
                    make_private_dir(folder / name)
                if not catalog:  # SQLite gives its log the permissions of the catalog
                    os.close(os.open(folder / CATALOG_FILE, os.O_WRONLY | os.O_CREAT, PRIVATE_FILE_MODE))
                config = build_config(uuid.uuid4().hex, catalog, objects)
                with cls(folder, catalog, str(config.get("objects", "")), create=True) as workspace:
                    workspace.catalog.migrate()
                    write_identity(workspace.catalog, str(config["id"]))
                    if objects:
                        # Fail now rather than at the first import if the URL cannot be written.
                        workspace.blobs.delete(workspace.blobs.put_bytes(b"Saccade\n"))
                atomic_write(folder / CONFIG_FILE, json.dumps(config).encode())
            return cls.open(folder)
        except OSError as error:
            raise WorkspaceError(
                f"No workspace can be created in '{Path(location)}': {error}.",
                hint="Choose a folder that you may write to.",
            ) from error

    @classmethod
    def open(cls, location: Path | str, project: str | None = None) -> Workspace:
        """Open a workspace, and migrate its catalog if that is older.

        Args:
            location: the folder with ``.saccade``, or ``.saccade`` itself.
            project: name of the project, by default that of $SACCADE_PROJECT or the default project.

        Raises:
            WorkspaceError: there is no workspace, it is damaged, its catalog is lost, or a newer Saccade wrote it.
            NotFoundError: there is no such project.
        """
        folder = resolve_folder(location)
        config = load_config(folder)
        catalog = str(config.get("catalog", ""))
        if not catalog and not (folder / CATALOG_FILE).exists():
            raise lost_catalog_error(folder, catalog_copies(folder))
        _make_private(folder)
        workspace = cls(folder, catalog, str(config.get("objects", "")))
        workspace.id = str(config.get("id", ""))
        try:
            if not workspace.catalog.migrate(create=False):
                raise lost_catalog_error(folder, catalog_copies(folder))
            if workspace.catalog.reserve is not None:
                workspace.catalog.reserve.create()
            if not workspace.is_read_only:
                check_identity(workspace.catalog, workspace.id, folder / "datasets")
            name = project or os.environ.get(PROJECT_ENV) or DEFAULT_PROJECT
            workspace._bind(workspace.catalog.scoped(workspace.projects.get(name).id), name)
        except BaseException:  # also an interrupt, or the catalog would stay open
            workspace.close()
            raise
        return workspace

    @classmethod
    def find(cls, explicit: Path | str | None = None, start: Path | None = None) -> Workspace:
        """Find and open a workspace.

        Args:
            explicit: its location, by default $SACCADE_WORKSPACE.
            start: without a location, the nearest workspace upward from this folder; by default the current one.

        Raises:
            WorkspaceError: there is no workspace, it is damaged, or a newer Saccade has written it.
        """
        return cls.open(find_folder(explicit, start))

    def identity_check(self) -> Callable[[], None]:
        """Return a function that checks that the folder is still at its place.

        The open catalog and other files stay usable after the folder was moved or deleted, but new files would go
        to another place. The function raises WorkspaceError if the folder at :attr:`location` is not the one of this
        call, or has no or another ``workspace.json``. It ignores errors that may pass, such as those of a network disk.
        """
        state = self.location.stat()

        def check() -> None:
            try:
                current = self.location.stat()
                config = json.loads((self.location / CONFIG_FILE).read_bytes())
                is_same = (current.st_dev, current.st_ino) == (state.st_dev, state.st_ino)
                is_same = is_same and str(config.get("id", "")) == self.id
            except (FileNotFoundError, NotADirectoryError):
                is_same = False
            except (OSError, ValueError):
                return
            if not is_same:
                raise WorkspaceError(
                    f"The workspace '{self.location}' was moved, replaced or deleted while it was open.",
                    hint="Move it back, or start again with its new place: --workspace DIR",
                )

        return check

    @property
    def open_args(self) -> tuple[str, str]:
        """The arguments with which :meth:`open` opens the same workspace and project in another process."""
        return str(self.location), self.project

    def lineage(self, ref: str) -> dict[str, Any]:
        """Return the lineage tree of a version; see :func:`saccade.store.registry.lineage.lineage`."""
        return lineage(self.catalog, ref)

    def require_latest_catalog(self) -> None:
        """Check that files that the catalog does not refer to may be deleted.

        Raises:
            WorkspaceError: the catalog was restored, or replaced by an older one, and no user has accepted that.
        """
        if self.catalog_copies is not None:
            require_latest_catalog(self.catalog, self.catalog_copies)

    def copy_catalog(self) -> None:
        """Copy the catalog if that is due; see :class:`saccade.store.catalog.copies.CatalogCopies`.

        A copy that fails is tried again later. Doctor reports if the last one is old.
        """
        if self.catalog_copies is not None:
            with suppress(OSError, sqlite3.Error):
                if self.catalog_copies.is_due():
                    self.catalog_copies.add()

    def close(self) -> None:
        if self._is_scoped_copy:
            return
        if self.id and self.catalog.unscoped.has_written:
            self.copy_catalog()
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


def find_folder(explicit: Path | str | None = None, start: Path | None = None) -> Path:
    """Find the folder of a workspace without opening it; see :meth:`Workspace.find`.

    Raises:
        WorkspaceError: there is no workspace.
    """
    location = explicit or os.environ.get(WORKSPACE_ENV)
    if location:
        return resolve_folder(location)
    first = (start or Path.cwd()).absolute()
    for folder in (first, *first.parents):
        if (folder / WORKSPACE_DIR / CONFIG_FILE).is_file():
            return folder / WORKSPACE_DIR
    raise WorkspaceError(
        f"There is no workspace in '{first}' or its parent folders.", hint="Create one: saccade init ."
    )


def build_config(workspace_id: str, catalog: str, objects: str) -> dict[str, Any]:
    """Build the content of ``workspace.json``.

    Args:
        workspace_id: unique id of the workspace.
        catalog: URL of a PostgreSQL database, "" for an SQLite file.
        objects: URL for the blobs of several workspaces, "" for a folder of the workspace.

    Raises:
        InvalidValueError: ``objects`` is not a URL, or contains a password.
    """
    config: dict[str, Any] = {"format": FORMAT_VERSION if catalog or objects else 1, "id": workspace_id}
    if catalog:
        config["catalog"] = catalog
    if objects:
        scheme, separator, rest = objects.partition("://")
        if not (separator and scheme and rest) or "@" in rest.partition("/")[0]:
            raise InvalidValueError(
                "The URL for objects must look like s3://bucket/folder, without a password.",
                hint="Give the credentials in the environment, as for other programs.",
            )
        config["objects"] = f"{objects.rstrip('/')}/{workspace_id}"
    return config


def parse_catalog_url(text: str) -> URL:
    """Parse the URL of a PostgreSQL database.

    Raises:
        InvalidValueError: it is not the URL of a PostgreSQL database, or contains a password, which would end up in a
            file that others can read.
        MissingExtraError: the extra for PostgreSQL is not installed.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        url = None
    if url is None or url.get_backend_name() != "postgresql":
        raise InvalidValueError("The URL of the catalog must look like postgresql://host/database.")
    if url.password:
        raise InvalidValueError(
            "The URL of the catalog may not contain a password.", hint="Use PGPASSWORD or the file ~/.pgpass."
        )
    if find_spec("psycopg") is None:
        raise MissingExtraError("A catalog in PostgreSQL", "postgres")
    return url.set(drivername="postgresql+psycopg")


def _make_private(folder: Path) -> None:
    """Deny other users access to a workspace folder; version 0.1.0 created it with the permissions of the umask."""
    if os.name != "nt":
        with suppress(OSError):  # a read-only disk, or a folder of another user
            if folder.stat().st_mode & 0o077:
                folder.chmod(0o700)


def catalog_copies(folder: Path) -> CatalogCopies:
    """Return the copies of the SQLite catalog of a workspace folder."""
    return CatalogCopies(folder / CATALOG_FILE, folder / COPIES_DIR)


def _copy_catalog(folder: Path, destination: Path) -> Path:
    """Copy the catalog with its write-ahead log; returns ``destination``."""
    for name in (CATALOG_FILE, f"{CATALOG_FILE}-wal"):
        if (folder / name).exists():
            shutil.copyfile(folder / name, destination / name)
    return destination


def load_config(folder: Path) -> dict[str, Any]:
    """Read ``workspace.json`` of a workspace folder.

    Raises:
        WorkspaceError: the file does not exist or is damaged, or a newer Saccade has written it.
    """
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG_FILE).read_bytes())
        version = int(config["format"])
    except (FileNotFoundError, NotADirectoryError):
        raise WorkspaceError(
            f"There is no workspace in '{folder.parent}'.", hint=f"Create one: saccade init {folder.parent}"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkspaceError(
            f"'{folder / CONFIG_FILE}' cannot be read: {error}.", hint="Run: saccade doctor"
        ) from error
    if version > FORMAT_VERSION:
        raise WorkspaceError(
            f"The workspace '{folder}' has format {version}, and this Saccade supports {FORMAT_VERSION}.",
            hint="Upgrade: pip install -U saccade",
        )
    return config
