"""Fetch import sources that are URLs to this machine."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from saccade.app.net.download import download, is_http_url, url_file_name
from saccade.core.errors import FormatError, NotFoundError, SaccadeError
from saccade.core.progress import Progress
from saccade.core.report import ConversionReport, FindingType
from saccade.core.urls import redact_url
from saccade.formats._common.media import media_extension
from saccade.formats._common.names import FileNames, safe_component
from saccade.formats._common.paths import escapes_root, is_image_name, is_printable, is_video_name
from saccade.formats.archives import LIMITS, ArchiveLimits
from saccade.store.io.urls import fsspec_errors, get_filesystem, local_path

_THREADS = 8
_URL_LIST_SUFFIXES = (".txt", ".lst", ".urls")
_SNIFF_BYTES = 1 << 16


def is_remote_url(source: Path | str) -> bool:
    """Return whether a source is a URL of anything but a local file."""
    return "://" in str(source) and not str(source).startswith("file://")


def local_source_path(source: Path | str) -> Path:
    """Return the path of a local source."""
    path = local_path(str(source))
    assert path is not None
    return path


def is_url_list(path: Path) -> bool:
    """Return whether a file is a list of HTTP URLs, one a line."""
    if path.suffix.lower() not in _URL_LIST_SUFFIXES or not path.is_file():
        return False
    with path.open("rb") as file:
        lines = file.read(_SNIFF_BYTES).decode("utf-8-sig", "replace").splitlines()
    first = next((line.strip() for line in lines if line.strip() and not line.startswith("#")), "")
    return is_http_url(first)


def fetch_http(url: str, folder: Path, progress: Progress, *, allow_private: bool = False) -> Path:
    """Download one file into a folder and return its path.

    Args:
        url: The HTTP URL.
        folder: The folder to write to.
        progress: Counts the file.
        allow_private: Also connect to addresses that are not public.

    Raises:
        SaccadeError: The download failed; see :func:`saccade.app.net.download.download`.
    """
    target = folder / safe_component(url_file_name(url) or "download")
    progress.start("Fetching", 1)
    try:
        download(url, target, allow_private=allow_private)
        progress.advance(1, target.name)
    finally:
        progress.finish()
    return target


def fetch_url_list(
    path: Path, folder: Path, report: ConversionReport, progress: Progress, *, allow_private: bool = False
) -> Path:
    """Download the files of a URL list concurrently.

    A line is a URL and, optionally after a space or tab, the key of the item. Empty lines and lines that begin with
    '#' are ignored.

    Args:
        path: The list.
        folder: The folder to write to.
        report: Receives the URLs that could not be fetched.
        progress: Advances by each URL.
        allow_private: Also connect to addresses that are not public.

    Returns:
        The folder.

    Raises:
        FormatError: None of the URLs could be fetched.
    """
    names = FileNames(ConversionReport())
    downloads: list[tuple[str, Path]] = []
    for line in path.read_text("utf-8-sig", "replace").splitlines():
        url, _, key = line.strip().partition("\t" if "\t" in line else " ")
        if not url or url.startswith("#"):
            continue
        name = PurePosixPath(url_file_name(url))
        suffix = name.suffix if is_image_name(name.name) or is_video_name(name.name) else ""
        downloads.append((url, folder / f"{names.claim(key.strip() or name.stem or 'image')}{suffix}"))

    def fetch(entry: tuple[str, Path]) -> str:
        url, target = entry
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            download(url, target, allow_private=allow_private)
            if not target.suffix and (suffix := media_extension(target)):
                target.rename(target.with_name(target.name + suffix))
            return ""
        except SaccadeError as error:
            return str(error)

    progress.start("Fetching", len(downloads))
    failed = 0
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="saccade-fetch") as executor:
        try:
            for (url, _), error in zip(downloads, executor.map(fetch, downloads), strict=True):
                progress.advance(1, redact_url(url))
                if error:
                    failed += 1
                    report.add(
                        FindingType.SKIPPED, "URL that cannot be fetched", key=redact_url(url), detail=error[:300]
                    )
        except BaseException:
            executor.shutdown(wait=True, cancel_futures=True)
            raise
        finally:
            progress.finish()
    if failed == len(downloads):
        first = next((finding.detail for finding in report), "the list is empty")
        raise FormatError(f"None of the {failed} URLs in {path} could be fetched: {first}")
    return folder


def fetch_fsspec(
    url: str, folder: Path, report: ConversionReport, progress: Progress, limits: ArchiveLimits = LIMITS
) -> Path:
    """Copy a file or folder from a URL that fsspec supports, such as ``s3://bucket/data``.

    Args:
        url: The URL.
        folder: The folder to write to.
        report: Receives names that lead out of the folder or have control characters; these files are skipped.
        progress: Advances by each file.
        limits: The maximum number of files and bytes.

    Returns:
        The fetched file, or the folder if the URL is a folder.

    Raises:
        NotFoundError: There is nothing at the URL.
        FormatError: There is more than ``limits`` allow.
        WorkspaceError: The storage cannot be reached.
    """
    filesystem, root = get_filesystem(url)
    entries: dict[str, dict[str, Any]] = {}
    with suppress(FileNotFoundError), fsspec_errors(url):
        entries = filesystem.find(root, detail=True)
    if not entries:
        raise NotFoundError(f"There is nothing at '{url}'.", hint="Check the URL.")
    names = dict(_safe_names(entries, root, report))
    size = sum(int(entry.get("size") or 0) for entry in entries.values())
    if len(names) > limits.entries or size > limits.bytes:
        raise FormatError(
            f"'{url}' has {len(names):,} files of {size:,} bytes; the limits are {limits.entries:,} files and "
            f"{limits.bytes:,} bytes."
        )
    _copy_files(filesystem, {path: folder / name for path, name in names.items()}, url, progress)
    first = next(iter(names.values()), "")
    return folder / first if len(names) == 1 and PurePosixPath(root).name == first else folder


def _safe_names(entries: dict[str, dict[str, Any]], root: str, report: ConversionReport) -> Iterator[tuple[str, str]]:
    """Yield the path of each file and its name relative to the target folder."""
    for path in sorted(entries):
        name = path.removeprefix(root).lstrip("/") or PurePosixPath(path).name
        if escapes_root(name) or not is_printable(name):
            report.add(FindingType.SKIPPED, "file name that leads outside the source", detail=ascii(name)[:200])
        else:
            yield path, name


def _copy_files(filesystem: Any, targets: dict[str, Path], url: str, progress: Progress) -> None:
    def copy(path: str) -> None:
        targets[path].parent.mkdir(parents=True, exist_ok=True)
        filesystem.get_file(path, str(targets[path]))
        progress.advance(1, targets[path].name)

    progress.start("Fetching", len(targets))
    try:
        with fsspec_errors(url), ThreadPoolExecutor(_THREADS, thread_name_prefix="saccade-fetch") as executor:
            list(executor.map(copy, targets))
    finally:
        progress.finish()
