"""Fingerprints of files outside of the workspace, by their content."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from saccade.core.digest import digest_bytes, digest_file, digest_json
from saccade.core.errors import NotFoundError
from saccade.pipeline.execution.environment import open_cache
from saccade.store.workspace import Workspace

_MIN_AGE_NS = 2_000_000_000
"""The digest of a file that changed so recently is not cached: it may change again with the same time stamps."""


def fingerprint_path(workspace: Workspace, path: Path) -> str:
    """Return a digest of a file, or of the names and contents of the files in a folder.

    The digests of files are cached by size, time stamps and inode; a file is read again only if one of them changes.

    Args:
        workspace: The workspace, which holds the cache.
        path: The file or folder.

    Raises:
        NotFoundError: There is no such file or folder.
    """
    if not path.exists():
        raise NotFoundError(f"There is no file or folder {path}.", hint="Check the path.")
    cache = open_cache(workspace)
    cache_key = digest_bytes(str(path.absolute()).encode())
    cached = (cache.get_entry("outside", cache_key) or {"files": {}})["files"]
    files = {}
    for name, fields in _files(path):
        entry = cached.get(name)
        if entry is None or entry[0] != fields or entry[1] == "":
            entry = [fields, digest_file(path / name if name else path)]
        files[name] = entry
    if files != cached:
        newest_cacheable = time.time_ns() - _MIN_AGE_NS
        entries = {
            name: [fields, digest if max(fields[1:3]) < newest_cacheable else ""]
            for name, (fields, digest) in files.items()
        }
        cache.put_entry("outside", cache_key, {"files": entries})
    return digest_json({name: digest for name, (_, digest) in files.items()})


def _files(path: Path) -> Iterator[tuple[str, list[int]]]:
    """Yield the relative path of each file in a folder (or "" for a file itself) and its stat fields."""
    if path.is_file():
        yield "", _stat_fields(path.stat())
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            file = Path(folder) / name
            try:
                yield file.relative_to(path).as_posix(), _stat_fields(file.stat())
            except FileNotFoundError:  # a broken symbolic link
                continue


def _stat_fields(stat: os.stat_result) -> list[int]:
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
