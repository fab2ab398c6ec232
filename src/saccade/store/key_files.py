"""Which keys a data file of a table may have: beside each, in ``_known/``, the CRC-32 of every key in it, sorted.

Without them a key is looked for in all files. They are made when data is written and, where they are missing, when a
key is first looked for; a data file never changes, so nor does what is known of it. What is damaged is made again.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
from lance.file import LanceFileReader
from lance.fragment import LanceFragment

from saccade.core.schema import KEY
from saccade.store.columns import to_list
from saccade.store.files import write_whole

FOLDER = "_known"
"""What is known of the data files of a table: it follows from them, and goes with them."""
_DATA, _SUFFIX = ".lance", ".crc"
_WORTH = 4096
"""Data of fewer rows is looked through as soon as what is known of it is read."""
_BATCH = 1 << 16
Checks = npt.NDArray[np.uint32]


def key_file(folder: Path, data: str) -> Path:
    """Where that of a data file of the table in a folder is."""
    return folder / FOLDER / f"{data}{_SUFFIX}"


def data_file(path: Path) -> Path:
    """The data file of which something is known in a file."""
    name, end, _ = path.name.partition(_DATA)
    return path.parents[1] / "data" / f"{name}{end}"


def is_worth_it(fragments: Sequence[LanceFragment], fragment: LanceFragment) -> bool:
    """Whether anything is to be kept beside the data of a fragment, one of those of a table."""
    return len(fragments) > 1 and fragment.physical_rows >= _WORTH


def that_may_hold(folder: Path, fragments: Sequence[LanceFragment], key: str) -> list[LanceFragment]:
    """The fragments of the table in a folder in which a key is to be looked for."""
    return [one for one in fragments if one.physical_rows < _WORTH or _may_hold(folder, one, key)]


def note_keys(folder: Path, fragments: Sequence[LanceFragment]) -> None:
    """Make what is missing for these fragments."""
    for one in fragments:
        if is_worth_it(fragments, one) and not key_file(folder, _data_of(one)).exists():
            _note(folder, _data_of(one))


def _data_of(fragment: LanceFragment) -> str:
    """The name of the data file with the keys: the first, since later ones add columns."""
    name: str = fragment.data_files()[0].path
    return name


def _may_hold(folder: Path, fragment: LanceFragment, key: str) -> bool:
    data, wanted = _data_of(fragment), _check(key)
    found = _read(key_file(folder, data), fragment.physical_rows)
    if found is None:
        found = _note(folder, data)
    place = int(np.searchsorted(found, wanted))
    return place < len(found) and bool(found[place] == wanted)


def _note(folder: Path, data: str) -> Checks:
    """Make what is known of a data file, and keep it where the disk permits."""
    rows = LanceFileReader(str(folder / "data" / data), columns=[KEY]).read_all(batch_size=_BATCH)
    checks = [_check(key) for batch in rows.to_batches() for key in to_list(batch.column(0))]
    made: Checks = np.sort(np.array(checks, "<u4"))
    path = key_file(folder, data)
    with suppress(OSError):  # as on a disk that is only read
        path.parent.mkdir(exist_ok=True)
        content = made.tobytes()
        write_whole(path, content + zlib.crc32(content).to_bytes(4, "little"))
    return made


def _check(key: str) -> np.uint32:
    return np.uint32(zlib.crc32(key.encode("utf-8", "surrogatepass")))


def _read(path: Path, rows: int) -> Checks | None:
    """What is kept in a file; None where it is not there, or not whole."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if len(content) != 4 * rows + 4 or zlib.crc32(content[:-4]) != int.from_bytes(content[-4:], "little"):
        return None
    return np.frombuffer(content, "<u4", rows)
