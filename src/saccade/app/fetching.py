"""Sources that are URLs: brought to this machine before they are read."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from saccade.core.errors import FormatError, NotFoundError
from saccade.core.progress import Progress
from saccade.core.report import Action, Report
from saccade.formats._paths import is_plain_name, leaves_folder
from saccade.formats.archives import LIMITS, ArchiveLimits
from saccade.store.urls import filesystem_of, reached

_THREADS = 8


def is_url(source: Path | str) -> bool:
    """Whether a source is a URL that is not a file of this machine."""
    return "://" in str(source) and not str(source).startswith("file://")


def local_source(source: Path | str) -> Path:
    """The path of a source that is none of a URL."""
    return Path(str(source).removeprefix("file://"))


def fetch(url: str, folder: Path, report: Report, progress: Progress, limits: ArchiveLimits = LIMITS) -> Path:
    """Copy the file or folder at any URL that fsspec knows, such as ``s3://bucket/data``, into a folder.

    Names that lead out of it or hold control characters are set aside. NotFoundError where there is nothing,
    FormatError where there is more than the limits allow, WorkspaceError where it cannot be reached.
    """
    filesystem, root = filesystem_of(url)
    found: dict[str, dict[str, Any]] = {}
    with suppress(FileNotFoundError), reached(url):
        found = filesystem.find(root, detail=True)
    if not found:
        raise NotFoundError(f"There is nothing at '{url}'.", hint="Check the address.")
    wanted = dict(_safe(found, root, report))
    size = sum(int(facts.get("size") or 0) for facts in found.values())
    if len(wanted) > limits.entries or size > limits.bytes:
        raise FormatError(f"'{url}' has {len(wanted):,} files of {size:,} bytes, more than may be fetched at once.")
    _copy(filesystem, {path: folder / name for path, name in wanted.items()}, url, progress)
    only = list(wanted.values())
    return folder / only[0] if len(only) == 1 and PurePosixPath(root).name == only[0] else folder


def _safe(found: dict[str, dict[str, Any]], root: str, report: Report) -> Iterator[tuple[str, str]]:
    """The path of each file and where it goes, relative to the folder."""
    for path in sorted(found):
        name = path.removeprefix(root).lstrip("/") or PurePosixPath(path).name
        if leaves_folder(name) or not is_plain_name(name):
            report.add(Action.SET_ASIDE, "name that leads out of the source", detail=ascii(name)[:200])
        else:
            yield path, name


def _copy(filesystem: Any, files: dict[str, Path], url: str, progress: Progress) -> None:
    def one(path: str) -> None:
        files[path].parent.mkdir(parents=True, exist_ok=True)
        filesystem.get_file(path, str(files[path]))
        progress.advance(1, files[path].name)

    progress.start("Fetching", len(files))
    try:
        with reached(url), ThreadPoolExecutor(_THREADS, thread_name_prefix="saccade-fetch") as pool:
            list(pool.map(one, files))
    finally:
        progress.finish()
