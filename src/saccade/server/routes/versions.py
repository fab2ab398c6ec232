"""Writes to datasets, and their refs: branches, tags, aliases, merges, bulk edits, classes and saved views.

Clients send the ETag of the version that a write is based on as ``If-Match``. The write is refused with 412 if there is
a newer version.
"""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

from fastapi import Query, Request

from saccade.app.datasets import refs, versions
from saccade.app.datasets.bulk_edit import bulk_edit
from saccade.app.datasets.classes import edit_classes as apply_class_edits
from saccade.app.datasets.classes import list_classes as summarize_classes
from saccade.app.jobs.edits import ClassesEdit, ItemsEdit
from saccade.core.merge import Merged
from saccade.core.refs import MAIN
from saccade.server.dependencies.auth import CurrentUser, CurrentWorkspace
from saccade.server.dependencies.version_cache import (
    BranchTargetDep,
    IfMatch,
    check_if_match,
    etag_of,
    get_version_conditional,
    version_cache,
)
from saccade.server.routes.router import ApiRouter
from saccade.server.schemas.classes import ClassesResponse, ClassResponse
from saccade.server.schemas.datasets import ViewCreate, ViewResponse
from saccade.server.schemas.encoding import to_jsonable
from saccade.server.schemas.versions import (
    AliasUpdate,
    BranchCreate,
    ConflictResponse,
    MergeRequest,
    MergeResponse,
    RefsResponse,
    RestoreRequest,
    TagCreate,
    VersionCreated,
)
from saccade.store.datasets.version import DatasetVersion

router = ApiRouter(tags=["datasets"])


def _version_created(request: Request, version: DatasetVersion) -> VersionCreated:
    request.state.etag = etag_of(version)
    return VersionCreated(ref=version.ref, number=version.number, items=len(version))


@router.get("/datasets/{ref}/refs")
def list_refs(ref: str, workspace: CurrentWorkspace) -> RefsResponse:
    """List the branches, tags and aliases of a dataset with the version numbers that they name."""
    name = ref.partition("@")[0]
    tags = workspace.datasets.tags(name)
    aliases = {alias: number for alias, number in workspace.datasets.aliases(name).items() if alias not in tags}
    return RefsResponse(branches=workspace.datasets.branches(name), tags=tags, aliases=aliases)


@router.get("/datasets/{ref}/diff")
def diff_versions(
    ref: str,
    workspace: CurrentWorkspace,
    against: Annotated[str, Query(max_length=200)],
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    start: Annotated[int, Query(ge=0, le=1 << 40)] = 0,
) -> dict[str, Any]:
    """Compare this version with another one (``against``): schema changes, and a page of the changed items.

    ``schema.classes_renamed`` lists the classes that were renamed, merged or split.

    ``counts`` has the total numbers of added, removed and changed items. ``start`` and ``limit`` apply to each of the
    three lists.
    """
    diff = workspace.datasets.diff(against, ref)
    end = start + limit
    changed = [
        {"key": change.key, "columns": change.columns, "objects": to_jsonable(change.objects)}
        for change in islice(diff.changed.values(), start, end)
    ]
    return {
        "before": diff.before,
        "after": diff.after,
        "counts": diff.counts,
        "schema": diff.schema.to_json(),
        "added": diff.added[start:end],
        "removed": diff.removed[start:end],
        "changed": changed,
    }


@router.post("/datasets/{ref}/restore", status_code=201)
def restore_version(
    target: BranchTargetDep,
    body: RestoreRequest,
    request: Request,
    workspace: CurrentWorkspace,
    principal: CurrentUser,
) -> VersionCreated:
    """Restore an old version: create a new version with the same content."""
    version = versions.restore_version(
        workspace,
        target.name,
        body.number,
        message=body.message,
        branch=target.branch,
        author=principal.user.name,
        expected_version=target.expected_version,
    )
    return _version_created(request, version)


@router.post("/datasets/{ref}/merge")
def merge_branch(
    ref: str,
    body: MergeRequest,
    request: Request,
    workspace: CurrentWorkspace,
    principal: CurrentUser,
    if_match: IfMatch = None,
) -> MergeResponse:
    """Merge a branch or version into a branch, or show the result with ``dry_run``.

    If conflicts are unresolved, nothing is written and the error is ``merge-conflict``; a dry run lists them.
    ``If-Match`` is the ETag of the target branch.
    """
    name = ref.partition("@")[0]
    merged = versions.merge_branch(
        workspace,
        ref,
        into=body.into,
        resolver=body.resolver(),
        message=body.message,
        author=principal.user.name,
        dry_run=body.dry_run,
        expected_version=check_if_match(request, name, body.into, if_match),
    )
    return _merge_response(request, merged, body)


def _merge_response(request: Request, merged: Merged[DatasetVersion], body: MergeRequest) -> MergeResponse:
    head = merged.version or version_cache(request).get(merged.ours)
    request.state.etag = etag_of(head)
    page = merged.conflicts[body.start : body.start + body.limit]
    return MergeResponse(
        version=None if merged.version is None else merged.version.ref,
        base=merged.base,
        ours=merged.ours,
        theirs=merged.theirs,
        added=merged.added,
        removed=merged.removed,
        changed=merged.changed,
        conflicts=[ConflictResponse.model_validate(conflict.to_json()) for conflict in page],
        total=len(merged.conflicts),
        unresolved=sum(conflict.resolution is None for conflict in merged.conflicts),
    )


@router.post("/datasets/{ref}/tags", status_code=201)
def create_tag(
    target: BranchTargetDep, body: TagCreate, workspace: CurrentWorkspace, principal: CurrentUser
) -> RefsResponse:
    """Create a tag: an alias that cannot be moved."""
    refs.create_tag(
        workspace,
        target.ref,
        body.name,
        body.number,
        author=principal.user.name,
        expected_version=target.expected_version,
    )
    return list_refs(target.name, workspace)


@router.delete("/datasets/{ref}/tags/{tag}", status_code=204)
def delete_tag(target: BranchTargetDep, tag: str, workspace: CurrentWorkspace, principal: CurrentUser) -> None:
    """Delete a tag. The version is kept."""
    refs.delete_alias(workspace, target.ref, tag, author=principal.user.name, expected_version=target.expected_version)


@router.post("/datasets/{ref}/aliases", status_code=201)
def set_alias(
    target: BranchTargetDep, body: AliasUpdate, workspace: CurrentWorkspace, principal: CurrentUser
) -> RefsResponse:
    """Create an alias, or move it to another version."""
    refs.set_alias(
        workspace,
        target.ref,
        body.name,
        body.number,
        author=principal.user.name,
        expected_version=target.expected_version,
    )
    return list_refs(target.name, workspace)


@router.delete("/datasets/{ref}/aliases/{alias}", status_code=204)
def delete_alias(target: BranchTargetDep, alias: str, workspace: CurrentWorkspace, principal: CurrentUser) -> None:
    """Delete an alias. The version is kept."""
    refs.delete_alias(
        workspace, target.ref, alias, author=principal.user.name, expected_version=target.expected_version
    )


@router.post("/datasets/{ref}/branches", status_code=201)
def create_branch(target: BranchTargetDep, body: BranchCreate, workspace: CurrentWorkspace) -> RefsResponse:
    """Create a branch that starts at a version."""
    refs.create_branch(workspace, target.ref, body.name, body.number, expected_version=target.expected_version)
    return list_refs(target.name, workspace)


@router.delete("/datasets/{ref}/branches/{branch}", status_code=204)
def delete_branch(
    ref: str, branch: str, request: Request, workspace: CurrentWorkspace, if_match: IfMatch = None
) -> None:
    """Delete a branch. Its versions are kept. ``If-Match`` is the ETag of the branch."""
    name = ref.partition("@")[0]
    expected_version = check_if_match(request, name, branch, if_match)
    refs.delete_branch(workspace, name, branch, expected_version=expected_version)


@router.get("/datasets/{ref}/views")
def list_views(ref: str, workspace: CurrentWorkspace) -> list[ViewResponse]:
    """List the saved views of a dataset."""
    return [ViewResponse.model_validate(view) for view in workspace.datasets.views(ref)]


@router.put("/datasets/{ref}/views/{name}", status_code=204)
def save_view(ref: str, name: str, body: ViewCreate, workspace: CurrentWorkspace, principal: CurrentUser) -> None:
    """Save a view, replacing one with the same name."""
    versions.save_view(workspace, ref, name, body.filters, author=principal.user.name)


@router.delete("/datasets/{ref}/views/{name}", status_code=204)
def delete_view(ref: str, name: str, workspace: CurrentWorkspace) -> None:
    """Delete a saved view."""
    versions.delete_view(workspace, ref, name)


@router.post("/datasets/{ref}/items/bulk", status_code=201)
def edit_items(
    target: BranchTargetDep,
    body: ItemsEdit,
    request: Request,
    workspace: CurrentWorkspace,
    principal: CurrentUser,
) -> VersionCreated:
    """Edit items in bulk: delete them, assign them to a split, or add or remove a tag. Creates the next version."""
    version = bulk_edit(
        workspace,
        target.name,
        body.resolve_keys(version_cache(request).get, target.ref),
        body.action,
        body.target,
        author=principal.user.name,
        message=body.message,
        branch=target.branch,
        expected_version=target.expected_version,
    )
    return _version_created(request, version)


@router.get("/datasets/{ref}/classes")
def list_classes(ref: str, request: Request) -> ClassesResponse:
    """List the classes of a version with their colors and counts."""
    version = get_version_conditional(request, ref)
    classes = [ClassResponse.model_validate(summary) for summary in summarize_classes(version)]
    return ClassesResponse(ref=version.ref, number=version.number, classes=classes)


@router.post("/datasets/{ref}/classes", status_code=201)
def edit_classes(
    target: BranchTargetDep,
    body: ClassesEdit,
    request: Request,
    workspace: CurrentWorkspace,
    principal: CurrentUser,
) -> VersionCreated:
    """Add, rename, recolor, merge and remove classes. Either all edits are applied, as the next version, or none."""
    version = apply_class_edits(
        workspace,
        target.name,
        body.to_edits(),
        message=body.message,
        author=principal.user.name,
        branch=target.branch,
        expected_version=target.expected_version,
    )
    return _version_created(request, version)


@router.delete("/datasets/{ref}", status_code=204)
def remove_dataset(
    ref: str, request: Request, workspace: CurrentWorkspace, if_match: IfMatch = None, force: bool = False
) -> None:
    """Delete a dataset with all its versions. Datasets that others were made from are deleted only with ``force``."""
    expected_version = None if "@" in ref else check_if_match(request, ref, MAIN, if_match)
    versions.delete_dataset(workspace, ref, force=force, expected_version=expected_version)
