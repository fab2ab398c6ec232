"""Cache of open dataset versions and query results, and conditional requests (ETag, If-None-Match, If-Match).

Versions are immutable, so cached versions and query results never become stale.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache
from fastapi import Depends, Header, Request

from saccade import __version__
from saccade.core.errors import NotFoundError, SaccadeError, StaleVersionError
from saccade.server.schemas.encoding import item_to_jsonable
from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace

Rows = npt.NDArray[np.int64]
_MAX_VERSIONS = 16
_MAX_QUERIES = 64
_WARM_UP_MAX_ITEMS = 2_000_000
_WARM_UP_PAGE = 100
"""Size of the page that is read in advance, from a version of at most ``_WARM_UP_MAX_ITEMS`` items: under 0.1 s."""


class VersionCache:
    """LRU caches of the open versions of a project and of the rows that queries select in them. Thread-safe."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._versions: LRUCache[tuple[str, str], DatasetVersion] = LRUCache(_MAX_VERSIONS)
        self._query_rows: LRUCache[tuple[str, str, str | None, str | None, bool], Rows] = LRUCache(_MAX_QUERIES)

    def get(self, ref: str) -> DatasetVersion:
        """Open a version; the same object for the same version."""
        version = self._workspace.datasets.open(ref)
        key = version.ref, version.snapshot.table_id + version.snapshot.version
        with self._lock:
            return self._versions.setdefault(key, version)

    def select_rows(
        self,
        version: DatasetVersion,
        where: str | None,
        order: str | None,
        descending: bool,
        start: int,
        limit: int,
    ) -> tuple[Rows, int]:
        """Select a page of the rows that match a query.

        Args:
            version: The version to query.
            where: The query; all rows if None.
            order: Expression to sort by; the order of the version if None.
            descending: Reverse the order.
            start: Index of the first row of the page among the matching rows.
            limit: Maximum number of rows of the page.

        Returns:
            The row positions of the page, and the total number of matching rows.
        """
        if where is None and order is None:
            total = len(version)
            positions = np.arange(min(start, total), min(start + limit, total))
            return (total - 1 - positions if descending else positions), total
        rows = self._select_all(version, where, order, descending)
        return rows[start : start + limit], len(rows)

    def _select_all(self, version: DatasetVersion, where: str | None, order: str | None, descending: bool) -> Rows:
        key = version.snapshot.table_id, version.snapshot.version, where, order, descending
        with self._lock:
            rows = self._query_rows.get(key)
        if rows is None:
            rows = version.positions_where(where, order, descending=descending)
            with self._lock:
                self._query_rows[key] = rows
        return rows


class OpenProject(NamedTuple):
    """A workspace scoped to one project, with its cache of open versions."""

    workspace: Workspace
    versions: VersionCache


class ProjectRegistry:
    """The projects that were requested so far."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._lock = threading.Lock()
        self._projects: dict[str, OpenProject] = {}

    def get(self, name: str) -> OpenProject | None:
        """Return a project, or None if it does not exist."""
        with self._lock:
            if name not in self._projects:
                try:
                    workspace = self.workspace.scoped_to_project(name)
                except NotFoundError:
                    return None
                self._projects[name] = OpenProject(workspace, VersionCache(workspace))
            return self._projects[name]

    def get_open(self, name: str) -> OpenProject | None:
        """Return a project that was requested before, without reading anything; None for others."""
        return self._projects.get(name)

    def warm_up(self) -> None:
        """Read the first page of the most recent version, which users usually open first. Errors are ignored."""
        with suppress(SaccadeError, OSError):
            if (latest := self.workspace.projects.latest_version()) is None or (project := self.get(latest[0])) is None:
                return
            version = project.versions.get(latest[1])
            if len(version) <= _WARM_UP_MAX_ITEMS:
                for item in version.items_at(np.arange(min(_WARM_UP_PAGE, len(version)))):
                    item_to_jsonable(item)


class NotModifiedError(Exception):
    """The client has the current response already (304)."""


def version_cache(request: Request) -> VersionCache:
    """Return the version cache of the requested project."""
    versions: VersionCache = request.state.versions
    return versions


def get_version_conditional(request: Request, ref: str) -> DatasetVersion:
    """Open the version of a request whose response depends on the version and the URL alone, and set its ETag.

    Raises:
        NotModifiedError: ``If-None-Match`` contains the ETag.
    """
    version = version_cache(request).get(ref)
    request.state.etag = etag_of(version)
    client_tags = (tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(","))
    if request.state.etag in client_tags:
        raise NotModifiedError
    return version


def etag_of(version: DatasetVersion) -> str:
    """Return the entity tag of responses on a version: its content, its number and the version of Saccade."""
    return f'"{version.snapshot.table_id}.{version.snapshot.version}.{version.number}.{__version__}"'


def check_if_match(request: Request, name: str, branch: str, if_match: str | None) -> int | None:
    """Check the ``If-Match`` header of a write to a branch.

    Returns:
        The number of the branch's head, which the write must follow; None if the client accepts any head.

    Raises:
        StaleVersionError: The header names none of the tags of the branch's head.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    head = version_cache(request).get(f"{name}@{branch}")
    if etag_of(head) not in (tag.strip() for tag in if_match.split(",")):
        raise StaleVersionError(
            f"'{name}@{branch}' has changed: its head is now version {head.number}.",
            hint="Nothing was written. Reload, then try again.",
        )
    return head.number


@dataclass(frozen=True, slots=True)
class BranchTarget:
    """The branch that a write goes to, and the version that its head must be (None for any)."""

    name: str
    branch: str
    expected_version: int | None

    @property
    def ref(self) -> str:
        return f"{self.name}@{self.branch}"


IfMatch = Annotated[
    str | None,
    Header(max_length=1000, description="ETag of the version that the write is based on; 412 if there is a newer one."),
]


def _branch_target(ref: str, request: Request, if_match: IfMatch = None) -> BranchTarget:
    workspace: Workspace = request.state.workspace
    name, branch = workspace.datasets.resolve_branch(ref)
    return BranchTarget(name, branch, check_if_match(request, name, branch, if_match))


BranchTargetDep = Annotated[BranchTarget, Depends(_branch_target)]
