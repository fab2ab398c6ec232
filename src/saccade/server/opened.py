"""Versions that are open, and what queries found in them: both never change, and are kept for the next request."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
import numpy.typing as npt
from fastapi import Request

from saccade import __version__
from saccade.core.errors import NotFoundError
from saccade.store.version import DatasetVersion
from saccade.store.workspace import Workspace

Rows = npt.NDArray[np.int64]
_VERSIONS, _QUERIES = 16, 64


class Opened:
    """The versions of a workspace that were asked for lately; used by several threads."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._versions: OrderedDict[tuple[str, str], DatasetVersion] = OrderedDict()
        self._found: OrderedDict[tuple[str, str, str | None, str | None, bool], Rows] = OrderedDict()

    def version(self, ref: str) -> DatasetVersion:
        """A version; the same object for the same version."""
        opened = self._workspace.datasets.open(ref)
        identity = opened.ref, opened.snapshot.table_id + opened.snapshot.version
        with self._lock:
            kept = self._versions.setdefault(identity, opened)
            self._versions.move_to_end(identity)
            while len(self._versions) > _VERSIONS:
                self._versions.popitem(last=False)
        return kept

    def rows(
        self,
        version: DatasetVersion,
        where: str | None,
        order: str | None,
        descending: bool,
        start: int,
        limit: int,
    ) -> tuple[Rows, int]:
        """The places in the version of some of the items for which a query holds, and how many there are in all.

        They are in the order of the version or of an expression, the other way round where ``descending``.
        """
        if where is None and order is None:
            total = len(version)
            places = np.arange(min(start, total), min(start + limit, total))
            return (total - 1 - places if descending else places), total
        found = self._found_in(version, where, order, descending)
        return found[start : start + limit], len(found)

    def _found_in(self, version: DatasetVersion, where: str | None, order: str | None, descending: bool) -> Rows:
        identity = version.snapshot.table_id, version.snapshot.version, where, order, descending
        with self._lock:
            if identity in self._found:
                self._found.move_to_end(identity)
                return self._found[identity]
        rows = version.places_where(where, order, descending=descending)
        with self._lock:
            self._found[identity] = rows
            while len(self._found) > _QUERIES:
                self._found.popitem(last=False)
        return rows


class Sites:
    """The projects of a workspace that were asked for, each with what is open of it."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._lock = threading.Lock()
        self._found: dict[str, tuple[Workspace, Opened]] = {}

    def of(self, project: str) -> tuple[Workspace, Opened] | None:
        """A project, None where there is none of that name."""
        with self._lock:
            if project not in self._found:
                try:
                    seen = self.workspace.in_project(project)
                except NotFoundError:
                    return None
                self._found[project] = seen, Opened(seen)
            return self._found[project]


class UnchangedError(Exception):
    """What is asked for is what whoever asks has already."""


def version_asked(request: Request, ref: str) -> DatasetVersion:
    """The version that a request is about, for answers that depend on it and on the address alone.

    They get its tag; a request that has an answer with that tag already gets none.
    """
    version = opened_of(request).version(ref)
    request.state.etag = f'"{version.snapshot.table_id}.{version.snapshot.version}.{__version__}"'
    known = (one.strip().removeprefix("W/") for one in request.headers.get("If-None-Match", "").split(","))
    if request.state.etag in known:
        raise UnchangedError
    return version


def opened_of(request: Request) -> Opened:
    """The versions that are kept open of the project that is asked."""
    found: Opened = request.state.opened
    return found
