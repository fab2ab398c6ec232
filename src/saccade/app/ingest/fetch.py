"""Sources that are URLs: brought to this machine before they are read."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from saccade.app.net.download import download, is_web, name_in
from saccade.app.net.safe_http import shown
from saccade.core.errors import FormatError, NotFoundError, SaccadeError
from saccade.core.progress import Progress
from saccade.core.report import Action, Report
from saccade.formats._common.paths import is_image_name, is_plain_name, is_video_name, leaves_folder
from saccade.formats._common.writing import FileNames, ending_of, safe_component
from saccade.formats.archives import LIMITS, ArchiveLimits
from saccade.store.io.urls import filesystem_of, local_path, reached

_THREADS = 8


def is_url(source: Path | str) -> bool:
    """Whether a source is a URL that is not a file of this machine."""
    return "://" in str(source) and not str(source).startswith("file://")


def local_source(source: Path | str) -> Path:
    """The path of a source that is a file or folder of this machine."""
    path = local_path(str(source))
    assert path is not None
    return path


def is_url_list(path: Path) -> bool:
    """Whether a file is a list of addresses of the web, one in each line."""
    if path.suffix.lower() not in (".txt", ".lst", ".urls") or not path.is_file():
        return False
    with path.open("rb") as file:
        lines = file.read(1 << 16).decode("utf-8-sig", "replace").splitlines()
    first = next((line.strip() for line in lines if line.strip() and not line.startswith("#")), "")
    return is_web(first)


def fetch_web(url: str, folder: Path, progress: Progress, *, private: bool = False) -> Path:
    """Fetch one file from the web into a folder."""
    target = folder / safe_component(name_in(url) or "download")
    progress.start("Fetching", 1)
    try:
        download(url, target, private=private)
        progress.advance(1, target.name)
    finally:
        progress.finish()
    return target


def fetch_list(path: Path, folder: Path, report: Report, progress: Progress, *, private: bool = False) -> Path:
    """Fetch the files of a list into a folder, several at a time; what cannot be fetched is set aside.

    A line is an address, and after a space or tab, where it is given, the key of its item. Empty lines and those that
    begin with '#' are passed over. FormatError where none can be fetched.
    """
    names = FileNames(Report())
    wanted: list[tuple[str, Path]] = []
    for line in path.read_text("utf-8-sig", "replace").splitlines():
        url, _, key = line.strip().partition("\t" if "\t" in line else " ")
        if not url or url.startswith("#"):
            continue
        name = PurePosixPath(name_in(url))
        ending = name.suffix if is_image_name(name.name) or is_video_name(name.name) else ""
        target = folder / f"{names.take(key.strip() or name.stem or 'image')}{ending}"
        wanted.append((url, target))

    def one(entry: tuple[str, Path]) -> str:
        url, target = entry
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            download(url, target, private=private)
            if not target.suffix and (ending := ending_of(target)):
                target.rename(target.with_name(target.name + ending))
            return ""
        except SaccadeError as error:
            return str(error)

    progress.start("Fetching", len(wanted))
    failed = 0
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="saccade-fetch") as pool:
        try:
            for (url, _), fault in zip(wanted, pool.map(one, wanted), strict=True):
                progress.advance(1, shown(url))
                if fault:
                    failed += 1
                    report.add(Action.SET_ASIDE, "address that cannot be fetched", key=shown(url), detail=fault[:300])
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        finally:
            progress.finish()
    if failed == len(wanted):
        first = next((finding.detail for finding in report), "the list is empty")
        raise FormatError(f"None of the {failed} addresses in {path} can be fetched: {first}")
    return folder


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
