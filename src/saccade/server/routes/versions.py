"""Versions of datasets: their names, what changed between them, and what makes new ones."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from saccade.app.bulk import change_items
from saccade.app.classes import change_classes, classes_of
from saccade.core.errors import InvalidValueError
from saccade.server.answers import (
    ClassAnswer,
    ClassesAnswer,
    ClassesChange,
    DatasetNames,
    ItemsChange,
    NewBranch,
    NewTag,
    NewView,
    OldVersion,
    VersionMade,
    ViewAnswer,
    plain,
)
from saccade.server.gate import Served, SignedIn
from saccade.server.opened import opened_of, version_asked
from saccade.server.permissions import API
from saccade.store.version import DatasetVersion

router = APIRouter(prefix=API, tags=["datasets"])


def _made(version: DatasetVersion) -> VersionMade:
    return VersionMade(ref=version.ref, number=version.number, items=len(version))


def _refuse_old(ref: str) -> None:
    if "@" in ref:
        raise InvalidValueError("Only the latest version can be followed by a new one.", hint="Name it without '@'.")


@router.get("/datasets/{ref}/names")
def names(ref: str, served: Served) -> DatasetNames:
    """The branches, tags and aliases of a dataset, with the numbers of the versions that they name."""
    name = ref.partition("@")[0]
    tags = served.datasets.tags(name)
    aliases = {alias: number for alias, number in served.datasets.aliases(name).items() if alias not in tags}
    return DatasetNames(branches=served.datasets.branches(name), tags=tags, aliases=aliases)


@router.get("/datasets/{ref}/diff")
def diff(
    ref: str,
    served: Served,
    against: Annotated[str, Query(max_length=200)],
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """What changed from a version to this one: counts, columns and classes, and the first items of each sort."""
    found = served.datasets.diff(against, ref)
    changed = [
        {"key": one.key, "columns": one.columns, "objects": plain(one.objects)}
        for one in islice(found.changed.values(), limit)
    ]
    answer: dict[str, Any] = {
        "before": found.before, "after": found.after, "counts": found.counts, "schema": plain(found.schema),
        "added": found.added[:limit], "removed": found.removed[:limit], "changed": changed,
    }  # fmt: skip
    return answer


@router.post("/datasets/{ref}/restore", status_code=201)
def restore(ref: str, given: OldVersion, served: Served, caller: SignedIn) -> VersionMade:
    """Make a new version that equals an old one."""
    return _made(served.datasets.restore(ref, given.number, author=caller.person.name))


@router.post("/datasets/{ref}/tags", status_code=201)
def tag(ref: str, given: NewTag, served: Served, caller: SignedIn) -> DatasetNames:
    """Give a version a name for good."""
    served.datasets.alias(ref, given.name, given.number, fixed=True, author=caller.person.name)
    return names(ref, served)


@router.delete("/datasets/{ref}/tags/{tag}", status_code=204)
def untag(ref: str, tag: str, served: Served, caller: SignedIn) -> None:
    """Take a name away."""
    served.datasets.unalias(ref, tag, author=caller.person.name)


@router.post("/datasets/{ref}/branches", status_code=201)
def branch(ref: str, given: NewBranch, served: Served) -> DatasetNames:
    """Begin a branch at a version."""
    served.datasets.branch(ref, given.name, str(given.number))
    return names(ref, served)


@router.get("/datasets/{ref}/views")
def views(ref: str, served: Served) -> list[ViewAnswer]:
    """The views of a dataset that were kept."""
    return [ViewAnswer.model_validate(one) for one in served.datasets.views(ref)]


@router.put("/datasets/{ref}/views/{name}", status_code=204)
def keep_view(ref: str, name: str, given: NewView, served: Served, caller: SignedIn) -> None:
    """Keep a view under a name, in the place of one that has it."""
    served.datasets.keep_view(ref, name, given.filters, author=caller.person.name)


@router.delete("/datasets/{ref}/views/{name}", status_code=204)
def forget_view(ref: str, name: str, served: Served) -> None:
    """Let a view go."""
    served.datasets.forget_view(ref, name)


@router.post("/datasets/{ref}/change", status_code=201)
def change(ref: str, given: ItemsChange, request: Request, served: Served, caller: SignedIn) -> VersionMade:
    """Remove items, put them into a split, or add or take away a tag; as the next version."""
    _refuse_old(ref)
    keys = given.keys
    if keys is None:
        opened = opened_of(request)
        version = opened.version(ref)
        keys = version.where(given.where) if given.where is not None else version.keys()
    return _made(change_items(served, ref, keys, given.act, given.value, author=caller.person.name))


@router.get("/datasets/{ref}/classes")
def classes(ref: str, request: Request) -> ClassesAnswer:
    """The classes of a version with their colours and counts."""
    version = version_asked(request, ref)
    found = [ClassAnswer.model_validate(one) for one in classes_of(version)]
    return ClassesAnswer(ref=version.ref, number=version.number, classes=found)


@router.post("/datasets/{ref}/classes", status_code=201)
def new_classes(ref: str, given: ClassesChange, served: Served, caller: SignedIn) -> VersionMade:
    """Add, rename, recolor, merge and remove classes, as the next version; all acts or none.

    Refused where somebody else has made a version since the one that was looked at.
    """
    _refuse_old(ref)
    acts = [one.on() for one in given.acts]
    author = caller.person.name
    return _made(change_classes(served, ref, acts, after=given.after, message=given.message, author=author))


@router.delete("/datasets/{ref}", status_code=204)
def remove(ref: str, served: Served) -> None:
    """Remove a dataset with all its versions, where nothing was made from it."""
    served.datasets.remove(ref)
