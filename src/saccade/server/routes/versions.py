"""Versions of datasets: their names, what changed between them, and what makes new ones.

A change that carries the tag of the version that somebody looked at, as If-Match, is refused where there is a newer
one.
"""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from saccade.app.datasets.bulk_edit import change_items
from saccade.app.datasets.classes import change_classes, classes_of
from saccade.app.jobs.edits import ClassesChange, ItemsChange
from saccade.core.merge import Merged
from saccade.server.dependencies.auth import Served, SignedIn
from saccade.server.dependencies.version_cache import Changed, IfMatch, opened_of, tag_of, to_follow, version_asked
from saccade.server.permissions import API
from saccade.server.schemas.classes import ClassAnswer, ClassesAnswer
from saccade.server.schemas.datasets import NewView, ViewAnswer
from saccade.server.schemas.encoding import plain
from saccade.server.schemas.versions import (
    ConflictAnswer,
    DatasetNames,
    MergeAnswer,
    MovedAlias,
    NewBranch,
    NewMerge,
    NewTag,
    Restoring,
    VersionMade,
)
from saccade.store.catalog.names import MAIN
from saccade.store.datasets.version import DatasetVersion

router = APIRouter(prefix=API, tags=["datasets"])


def _made(request: Request, version: DatasetVersion) -> VersionMade:
    request.state.etag = tag_of(version)
    return VersionMade(ref=version.ref, number=version.number, items=len(version))


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
    start: Annotated[int, Query(ge=0, le=1 << 40)] = 0,
) -> dict[str, Any]:
    """What changed from a version to this one: counts, columns and classes, and of each sort some items, from a place
    on; ``counts`` says how many there are."""
    found, end = served.datasets.diff(against, ref), start + limit
    changed = [
        {"key": one.key, "columns": one.columns, "objects": plain(one.objects)}
        for one in islice(found.changed.values(), start, end)
    ]
    answer: dict[str, Any] = {
        "before": found.before,
        "after": found.after,
        "counts": found.counts,
        "schema": plain(found.schema),
        "added": found.added[start:end],
        "removed": found.removed[start:end],
        "changed": changed,
    }
    return answer


@router.post("/datasets/{ref}/restore", status_code=201)
def restore(to: Changed, given: Restoring, request: Request, served: Served, caller: SignedIn) -> VersionMade:
    """Make a new version that equals an old one."""
    made = served.datasets.restore(
        to.name, given.number, given.message, branch=to.branch, author=caller.person.name, follows=to.follows
    )
    return _made(request, made)


@router.post("/datasets/{ref}/merge")
def merge(
    ref: str, given: NewMerge, request: Request, served: Served, caller: SignedIn, if_match: IfMatch = None
) -> MergeAnswer:
    """Merge a branch or version into a branch, or say what that would do; If-Match is about the latter.

    While a conflict is open nothing is done: that is an error, ``merge-conflict``, and a dry run lists them.
    """
    name = ref.partition("@")[0]
    done = served.datasets.merge(
        ref,
        into=given.into,
        choose=given.choose(),
        message=given.message,
        author=caller.person.name,
        dry_run=given.dry_run,
        follows=to_follow(request, name, given.into, if_match),
    )
    return _merged(request, done, given)


def _merged(request: Request, done: Merged[DatasetVersion], given: NewMerge) -> MergeAnswer:
    listed = done.conflicts[given.start : given.start + given.limit]
    shown = done.version or opened_of(request).version(done.ours)
    request.state.etag = tag_of(shown)
    return MergeAnswer(
        version=None if done.version is None else done.version.ref,
        base=done.base,
        ours=done.ours,
        theirs=done.theirs,
        added=done.added,
        removed=done.removed,
        changed=done.changed,
        conflicts=[ConflictAnswer.model_validate(one.to_json()) for one in listed],
        total=len(done.conflicts),
        open=sum(one.taken is None for one in done.conflicts),
    )


@router.post("/datasets/{ref}/tags", status_code=201)
def tag(to: Changed, given: NewTag, served: Served, caller: SignedIn) -> DatasetNames:
    """Give a version a name for good."""
    served.datasets.alias(to.name, given.name, given.number, fixed=True, author=caller.person.name, follows=to.follows)
    return names(to.name, served)


@router.delete("/datasets/{ref}/tags/{tag}", status_code=204)
def untag(to: Changed, tag: str, served: Served, caller: SignedIn) -> None:
    """Take a name away."""
    served.datasets.unalias(to.name, tag, author=caller.person.name, follows=to.follows)


@router.post("/datasets/{ref}/aliases", status_code=201)
def alias(to: Changed, given: MovedAlias, served: Served, caller: SignedIn) -> DatasetNames:
    """Let an alias name a version, until it is moved."""
    served.datasets.alias(to.name, given.name, given.number, author=caller.person.name, follows=to.follows)
    return names(to.name, served)


@router.delete("/datasets/{ref}/aliases/{alias}", status_code=204)
def unalias(to: Changed, alias: str, served: Served, caller: SignedIn) -> None:
    """Take an alias away; the version stays."""
    served.datasets.unalias(to.name, alias, author=caller.person.name, follows=to.follows)


@router.post("/datasets/{ref}/branches", status_code=201)
def branch(to: Changed, given: NewBranch, served: Served) -> DatasetNames:
    """Begin a branch at a version."""
    served.datasets.branch(to.name, given.name, str(given.number), follows=to.follows)
    return names(to.name, served)


@router.delete("/datasets/{ref}/branches/{branch}", status_code=204)
def unbranch(ref: str, branch: str, request: Request, served: Served, if_match: IfMatch = None) -> None:
    """Take a branch away; its versions stay. If-Match is about the version at its end."""
    name = ref.partition("@")[0]
    served.datasets.remove_branch(name, branch, follows=to_follow(request, name, branch, if_match))


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
def change(to: Changed, given: ItemsChange, request: Request, served: Served, caller: SignedIn) -> VersionMade:
    """Remove items, put them into a split, or add or take away a tag; as the next version."""
    made = change_items(
        served,
        to.name,
        given.meant(opened_of(request).version, f"{to.name}@{to.branch}"),
        given.act,
        given.value,
        author=caller.person.name,
        message=given.message,
        branch=to.branch,
        follows=to.follows,
    )
    return _made(request, made)


@router.get("/datasets/{ref}/classes")
def classes(ref: str, request: Request) -> ClassesAnswer:
    """The classes of a version with their colours and counts."""
    version = version_asked(request, ref)
    found = [ClassAnswer.model_validate(one) for one in classes_of(version)]
    return ClassesAnswer(ref=version.ref, number=version.number, classes=found)


@router.post("/datasets/{ref}/classes", status_code=201)
def new_classes(to: Changed, given: ClassesChange, request: Request, served: Served, caller: SignedIn) -> VersionMade:
    """Add, rename, recolor, merge and remove classes, as the next version; all acts or none."""
    made = change_classes(
        served,
        to.name,
        given.done(),
        message=given.message,
        author=caller.person.name,
        branch=to.branch,
        follows=to.follows,
    )
    return _made(request, made)


@router.delete("/datasets/{ref}", status_code=204)
def remove(ref: str, request: Request, served: Served, if_match: IfMatch = None, force: bool = False) -> None:
    """Remove a dataset with all its versions, where nothing was made from it, or where that is forced."""
    follows = None if "@" in ref else to_follow(request, ref, MAIN, if_match)
    served.datasets.remove(ref, force=force, follows=follows)
