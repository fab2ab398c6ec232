"""Versions that are open, and what queries found in them: both never change, and are kept for the next request."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from fastapi import Depends, Header, Request

from saccade import __version__
from saccade.core.errors import InvalidValueError, MovedError, NotFoundError, SaccadeError
from saccade.server.schemas.encoding import plain_item
from saccade.store.catalog.names import MAIN
from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace

Rows = npt.NDArray[np.int64]
_VERSIONS, _QUERIES = 16, 64
_LOOKED_AT, _PAGE = 2_000_000, 100
"""Of a version of so many items so many are looked at before anybody asks: that takes less than a tenth of a second."""


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

    def look_ahead(self) -> None:
        """Open the version that was made last, which is what somebody looks at first; whatever is wrong can wait."""
        with suppress(SaccadeError, OSError):
            if (last := self.workspace.projects.last_version()) is None or (seen := self.of(last[0])) is None:
                return
            version = seen[1].version(last[1])
            if len(version) <= _LOOKED_AT:
                list(map(plain_item, version.rows(np.arange(min(_PAGE, len(version))))))


class UnchangedError(Exception):
    """What is asked for is what whoever asks has already."""


def version_asked(request: Request, ref: str) -> DatasetVersion:
    """The version that a request is about, for answers that depend on it and on the address alone.

    They get its tag; a request that has an answer with that tag already gets none.
    """
    version = opened_of(request).version(ref)
    request.state.etag = tag_of(version)
    known = (one.strip().removeprefix("W/") for one in request.headers.get("If-None-Match", "").split(","))
    if request.state.etag in known:
        raise UnchangedError
    return version


def tag_of(version: DatasetVersion) -> str:
    """The entity tag of what is answered of a version: of its content, its number, and the program that says it."""
    return f'"{version.snapshot.table_id}.{version.snapshot.version}.{version.number}.{__version__}"'


def to_follow(request: Request, name: str, branch: str, if_match: str | None) -> int | None:
    """The number of the version that a change of a branch is to follow; None where the request asks for none.

    MovedError where the branch ends at none of those whose tags the request names.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    head = opened_of(request).version(f"{name}@{branch}")
    if tag_of(head) not in (one.strip() for one in if_match.split(",")):
        raise MovedError(
            f"'{name}@{branch}' is no longer what you looked at: it is version {head.number} by now.",
            hint="Nothing was changed. Look at what is there now, and then try again.",
        )
    return head.number


@dataclass(frozen=True, slots=True)
class Target:
    """The branch of a dataset that is to be changed, and the version that the change is to follow, None for any."""

    name: str
    branch: str
    follows: int | None


IfMatch = Annotated[
    str | None,
    Header(max_length=1000, description="The ETag of the version that one looked at; 412 where there is a newer one."),
]


def _target(ref: str, request: Request, if_match: IfMatch = None) -> Target:
    name, at, branch = ref.partition("@")
    seen: Workspace = request.state.served
    if at and branch not in seen.datasets.branches(name):
        raise InvalidValueError(
            "Only the latest version of a branch can be followed by a new one.", hint="Name it as NAME or NAME@BRANCH."
        )
    return Target(name, branch or MAIN, to_follow(request, name, branch or MAIN, if_match))


Changed = Annotated[Target, Depends(_target)]


def opened_of(request: Request) -> Opened:
    """The versions that are kept open of the project that is asked."""
    found: Opened = request.state.opened
    return found
