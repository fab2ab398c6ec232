"""Garbage collection: deletes blobs and table files that nothing refers to."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass

from saccade.core.errors import ConflictError
from saccade.store.maintenance.doctor import list_all_versions
from saccade.store.maintenance.gc_roots import cache_roots
from saccade.store.maintenance.orphans import OrphanFiles, OrphanScanner
from saccade.store.maintenance.reachability import iter_references
from saccade.store.workspace import PIPELINE_CACHE_PREFIX, Workspace

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class GcResult:
    """What was deleted, or would be.

    Attributes:
        objects: number of blobs.
        leftovers: number of table files, pyramids and other leftovers.
        bytes: total size of both.
    """

    objects: int
    leftovers: int
    bytes: int


def collect_garbage(workspace: Workspace, *, dry_run: bool = False, cache: bool = False) -> GcResult:
    """Delete the blobs and table files that no dataset version, model version or evaluation needs.

    New writers wait until it has finished.

    Args:
        workspace: the workspace.
        dry_run: only report what would be deleted.
        cache: delete the pipeline caches, too, with the blobs that only they refer to; pipelines rebuild them.

    Raises:
        ConflictError: another process is writing to the workspace.
        WorkspaceError: a version cannot be read, or the catalog may not be the latest one of the workspace; then it is
            not known what can be deleted.
    """
    workspace.require_latest_catalog()
    with workspace.scratch.exclusive() as is_exclusive:
        if not is_exclusive:
            raise ConflictError(
                "Another process is writing to the workspace.", hint="Run it again when that has finished."
            )
        scanner = OrphanScanner(workspace, exclusive=True)
        versions = [(ref, snapshot) for ref, snapshot, _ in list_all_versions(workspace)]
        needed = {bytes.fromhex(reference.digest) for reference in iter_references(workspace, versions)}
        if not cache:
            needed |= {bytes.fromhex(digest) for digest in cache_roots(workspace.pipeline_cache.parent)}
        unused = [(digest, size) for digest, size in workspace.blobs.digests() if bytes.fromhex(digest) not in needed]
        relocations = [digest for digest in workspace.blobs.relocations() if bytes.fromhex(digest) not in needed]
        orphans = list(scanner.scan(snapshot for _, snapshot in versions))
        orphans += _unused_pyramids(workspace, needed)
        if cache and (caches := sorted(workspace.pipeline_cache.parent.glob(f"{PIPELINE_CACHE_PREFIX}*"))):
            orphans.append(OrphanFiles("pipeline caches", tuple(caches)))
        total_bytes = sum(size for _, size in unused) + sum(files.size for files in orphans)
        if not dry_run:
            workspace.blobs.delete_many([digest for digest, _ in unused])
            for digest in relocations:
                workspace.blobs.delete_relocation(digest)
            for files in orphans:
                files.delete()
    return GcResult(len(unused), sum(len(files.paths) for files in orphans), total_bytes)


def _unused_pyramids(workspace: Workspace, needed: Container[bytes]) -> Iterator[OrphanFiles]:
    for path in sorted(workspace.pyramid_cache.glob("*.tif")):
        if not _DIGEST.fullmatch(path.stem) or bytes.fromhex(path.stem) not in needed:
            yield OrphanFiles("pyramids of deleted images", (path,))
