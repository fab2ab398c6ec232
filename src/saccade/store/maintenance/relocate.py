"""Linked files: check whether they still exist, and find those that were moved."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from saccade.core.digest import digest_file, digest_stream
from saccade.core.errors import NotFoundError
from saccade.store.blobs.blob_store import BlobStore
from saccade.store.io.urls import open_uri
from saccade.store.maintenance.reachability import BlobReference


@dataclass(frozen=True, slots=True)
class RelocateResult:
    """The result of a search for moved files.

    Attributes:
        found: new locations by old location.
        lost: old locations of the files that were not found.
    """

    found: dict[str, str]
    lost: tuple[str, ...]


def check_linked_file(blobs: BlobStore, reference: BlobReference, deep: bool = False) -> str | None:
    """Check a linked file.

    Args:
        blobs: the store, which may have a copy or a relocation of the file.
        reference: the reference to the file.
        deep: compare the digest, too, not only the size.

    Returns:
        "missing" or "changed", None if the file is intact.
    """
    if reference.size is not None and blobs.contains(reference.digest, reference.size):
        return None
    faults = [_check_uri(uri, reference, deep) for uri in blobs.candidate_uris(reference.digest, reference.uri)]
    return None if None in faults else faults[-1]


def _check_uri(uri: str, reference: BlobReference, deep: bool) -> str | None:
    try:
        with open_uri(uri) as file:
            if reference.size is not None and file.seek(0, os.SEEK_END) != reference.size:
                return "changed"
            file.seek(0)
            if deep and digest_stream(file) != reference.digest:
                return "changed"
    except OSError:
        return "missing"
    return None


def relocate(blobs: BlobStore, references: Iterable[BlobReference], folder: Path) -> RelocateResult:
    """Search a folder for missing or changed linked files by size and digest, and record their new locations.

    Versions are not changed: reads of such a file go to its new location.

    Args:
        blobs: where the relocations are recorded.
        references: references to linked files and blobs.
        folder: the folder to search, with its subfolders.

    Raises:
        NotFoundError: the folder does not exist.
    """
    if not folder.is_dir():
        raise NotFoundError(f"There is no folder '{folder}'.")
    missing = {
        reference.digest: reference
        for reference in references
        if reference.uri is not None and check_linked_file(blobs, reference, deep=True)
    }
    paths_by_size = defaultdict(list)
    for path in _list_files(folder):
        paths_by_size[path.stat().st_size].append(path)
    digests: dict[Path, str] = {}
    found = {}
    for digest, reference in missing.items():
        name = Path(str(reference.uri)).name
        # Files with the same name first: they are the most likely, and every candidate has to be read.
        for path in sorted(paths_by_size.get(reference.size or 0, ()), key=lambda path: path.name != name):
            if path not in digests:
                digests[path] = digest_file(path)
            if digests[path] == digest:
                blobs.add_relocation(digest, str(path.absolute()))
                found[str(reference.uri)] = str(path.absolute())
                break
    lost = sorted(str(reference.uri) for reference in missing.values() if str(reference.uri) not in found)
    return RelocateResult(found, tuple(lost))


def _list_files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path
