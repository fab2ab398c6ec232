"""Files that are only referred to: whether they are still there, and finding those that moved."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from saccade.core.digest import digest_file
from saccade.core.errors import NotFoundError
from saccade.store.blobs.blob_store import ObjectStore
from saccade.store.io.urls import open_uri
from saccade.store.maintenance.reachability import Reference

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Relinked:
    """What a search found.

    Attributes:
        found: from where the files were to where they are.
        lost: where the files were that were not found.
    """

    found: dict[str, str]
    lost: tuple[str, ...]


def linked_fault(objects: ObjectStore, reference: Reference, deep: bool = False) -> str | None:
    """What is wrong with a file that is referred to: "gone" or "changed"; None where nothing is.

    Args:
        deep: read it and compare its digest, where otherwise its size is enough.
    """
    if reference.size is not None and objects.is_held(reference.digest, reference.size):
        return None
    faults = [_fault_at(uri, reference, deep) for uri in objects.places(reference.digest, reference.uri)]
    return None if None in faults else faults[-1]


def _fault_at(uri: str, reference: Reference, deep: bool) -> str | None:
    try:
        with open_uri(uri) as file:
            if reference.size is not None and file.seek(0, os.SEEK_END) != reference.size:
                return "changed"
            file.seek(0)
            if deep and _digest(file) != reference.digest:
                return "changed"
    except OSError:
        return "gone"
    return None


def _digest(file: BinaryIO) -> str:
    found = hashlib.sha256()
    while piece := file.read(_PIECE):
        found.update(piece)
    return found.hexdigest()


def relink(objects: ObjectStore, wanted: Iterable[Reference], folder: Path) -> Relinked:
    """Look for files that are gone or have changed below a folder, by size and digest, and note where they are.

    Versions stay as they are; whoever reads such a file is sent to its new place. NotFoundError where there is no such
    folder.
    """
    if not folder.is_dir():
        raise NotFoundError(f"There is no folder '{folder}'.")
    missing = {one.digest: one for one in wanted if one.uri is not None and linked_fault(objects, one, deep=True)}
    by_size = defaultdict(list)
    for path in _files(folder):
        by_size[path.stat().st_size].append(path)
    digests: dict[Path, str] = {}
    found = {}
    for digest, one in missing.items():
        name = Path(str(one.uri)).name
        # Those of the same name first: they need the least reading.
        for path in sorted(by_size.get(one.size or 0, ()), key=lambda path: path.name != name):
            if digests.setdefault(path, "") == "":
                digests[path] = digest_file(path)
            if digests[path] == digest:
                objects.relink(digest, str(path.absolute()))
                found[str(one.uri)] = str(path.absolute())
                break
    lost = tuple(sorted(str(one.uri) for one in missing.values() if str(one.uri) not in found))
    return Relinked(found, lost)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path
