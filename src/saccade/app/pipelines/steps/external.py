"""What lies in files outside of the workspace, by its content."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from saccade.core.digest import digest_bytes, digest_file, digest_json
from saccade.core.errors import NotFoundError
from saccade.pipeline.execution.environment import cache_of
from saccade.store.workspace import Workspace

_YOUNG = 2_000_000_000
"""Nanoseconds: of a file that was written so shortly before it was looked at, the time says nothing of its content."""


def content_digest(workspace: Workspace, path: Path) -> str:
    """A digest of a file, or of a folder's files and their names.

    A file is read again when its size, times or place on the disk are not what they were: one that was only touched
    has the digest that it had. NotFoundError where there is none.
    """
    if not path.exists():
        raise NotFoundError(f"There is no file or folder {path}.", hint="Check the path.")
    cache = cache_of(workspace)
    name = digest_bytes(str(path.absolute()).encode())
    before = cache.record("outside", name) or {"files": {}}
    known, files = before["files"], {}
    for place, facts in _files(path):
        noted = known.get(place)
        if noted is None or noted[0] != facts or noted[1] == "":
            noted = [facts, digest_file(path / place if place else path)]
        files[place] = noted
    if files != known:
        young = time.time_ns() - _YOUNG
        cache.note(
            "outside",
            name,
            {
                "files": {
                    place: [facts, digest if max(facts[1:3]) < young else ""]
                    for place, (facts, digest) in files.items()
                }
            },
        )
    return digest_json({place: digest for place, (_, digest) in files.items()})


def _files(path: Path) -> Iterator[tuple[str, list[int]]]:
    """The files below a folder by their path there, or the file itself as "", each with size, times and number."""
    if path.is_file():
        yield "", _facts(path.stat())
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            whole = Path(folder) / name
            try:
                yield whole.relative_to(path).as_posix(), _facts(whole.stat())
            except FileNotFoundError:  # a link that leads nowhere
                continue


def _facts(found: os.stat_result) -> list[int]:
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
