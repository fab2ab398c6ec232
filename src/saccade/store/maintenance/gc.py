"""Removing what nothing needs."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass

from saccade.core.errors import ConflictError
from saccade.store.maintenance.doctor import every_version
from saccade.store.maintenance.gc_roots import kept_by_caches
from saccade.store.maintenance.orphans import Litter, Rubbish
from saccade.store.maintenance.reachability import references
from saccade.store.workspace import PIPELINES, Workspace

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Garbage:
    """What was removed, or would be: objects, pieces of tables and other leftovers, and the bytes of all together."""

    objects: int
    leftovers: int
    bytes: int


def collect_garbage(workspace: Workspace, *, dry_run: bool = False, cache: bool = False) -> Garbage:
    """Remove the objects and table data that no version of a dataset or model and no evaluation needs.

    What the cache of pipelines refers to is spared; with ``cache`` that goes too, and is made again when it is needed.

    Nobody may be writing meanwhile, ConflictError where somebody is; who wants to begin waits. Where a version cannot
    be read, nothing is known to be superfluous, and its WorkspaceError is raised.
    """
    with workspace.scratch.alone() as alone:
        if not alone:
            raise ConflictError("Somebody is writing to the workspace.", hint="Run it again when they are done.")
        litter = Litter(workspace, alone=True)
        versions = [(ref, snapshot) for ref, snapshot, _ in every_version(workspace)]
        needed = {bytes.fromhex(one.digest) for one in references(workspace, versions)}
        if not cache:
            needed |= {bytes.fromhex(digest) for digest in kept_by_caches(workspace.pipelines.parent)}
        objects = [found for found in workspace.objects.digests() if bytes.fromhex(found[0]) not in needed]
        moves = [digest for digest in workspace.objects.moves() if bytes.fromhex(digest) not in needed]
        rubbish = list(litter.found(snapshot for _, snapshot in versions))
        rubbish += _pyramids(workspace, needed)
        if cache and (caches := tuple(sorted(workspace.pipelines.parent.glob(f"{PIPELINES}*")))):
            rubbish.append(Rubbish("cache of pipelines", caches))
        size = sum(size for _, size in objects) + sum(one.size for one in rubbish)
        if not dry_run:
            workspace.objects.remove_all([digest for digest, _ in objects])
            for digest in moves:
                workspace.objects.forget_move(digest)
            for one in rubbish:
                one.clear()
    return Garbage(len(objects), sum(len(one.paths) for one in rubbish), size)


def _pyramids(workspace: Workspace, needed: Container[bytes]) -> Iterator[Rubbish]:
    """The pyramids of images that nothing needs."""
    for path in sorted(workspace.pyramids.glob("*.tif")):
        if not _DIGEST.fullmatch(path.stem) or bytes.fromhex(path.stem) not in needed:
            yield Rubbish("pyramid of an image that is gone", (path,))
