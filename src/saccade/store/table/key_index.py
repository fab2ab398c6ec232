"""Which keys a data file of a table has, and where: beside each, in ``_known/``, the CRC-32 of every key, sorted, and
the place of its row.

Without them a key is looked for in all of every file. They are made when data is written and, where they are missing,
when a key is first looked for; a data file never changes, so nor does what is known of it. A file has a checksum, which
is looked at before it is believed that a key is not there: where one is found, the row itself says so. What is damaged
is made again.
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
from saccade.store.arrow.columns import to_list
from saccade.store.io.atomic import write_whole

FOLDER = "_known"
"""What is known of the data files of a table: it follows from them, and goes with them."""
_DATA, _SUFFIX = ".lance", ".crc"
_WORTH = 4096
"""Data of fewer rows is looked through as soon as what is known of it is read."""
_NUMBER = np.dtype("<u4")
_BATCH = 1 << 16
Numbers = npt.NDArray[np.uint32]


def key_file(folder: Path, data: str) -> Path:
    """Where that of a data file of the table in a folder is."""
    return folder / FOLDER / f"{data}{_SUFFIX}"


def data_file(path: Path) -> Path:
    """The data file of which something is known in a file."""
    name, end, _ = path.name.partition(_DATA)
    return path.parents[1] / "data" / f"{name}{end}"


def is_worth_it(fragments: Sequence[LanceFragment], fragment: LanceFragment) -> bool:
    """Whether anything is to be kept beside the data of a fragment, one of those of a table."""
    return len(fragments) > 1 and is_large(fragment)


def is_large(fragment: LanceFragment) -> bool:
    """Whether a key is looked for in what is kept beside the data, not in the data."""
    return fragment.physical_rows >= _WORTH


def addresses_of(
    folder: Path, fragments: Sequence[LanceFragment], key: str, *, checked: bool = False
) -> npt.NDArray[np.uint64]:
    """The addresses of rows that may have a key, among them those that have it.

    Args:
        checked: files are read whole, and made again where they are damaged; otherwise only what is missing is made.
    """
    wanted, found = _check(key), []
    for fragment in fragments:
        checks, places = _known_of(folder, fragment, checked)
        begin, end = np.searchsorted(checks, wanted), np.searchsorted(checks, wanted, "right")
        there = (place for place in places[begin:end].tolist() if place < fragment.physical_rows)
        found += [fragment.fragment_id << 32 | place for place in there]
    return np.array(found, np.uint64)


def note_keys(folder: Path, fragments: Sequence[LanceFragment]) -> None:
    """Make what is missing for these fragments."""
    for one in fragments:
        if is_worth_it(fragments, one) and not key_file(folder, _data_of(one)).exists():
            _note(folder, _data_of(one))


def _data_of(fragment: LanceFragment) -> str:
    """The name of the data file with the keys: the first, since later ones add columns."""
    name: str = fragment.data_files()[0].path
    return name


def _known_of(folder: Path, fragment: LanceFragment, checked: bool) -> tuple[Numbers, Numbers]:
    """The checks of the keys of a fragment in order, and where in its data each is."""
    data, rows = _data_of(fragment), fragment.physical_rows
    kept = (_read if checked else _mapped)(key_file(folder, data), rows)
    return _note(folder, data) if kept is None else (kept[:rows], kept[rows:])


def _note(folder: Path, data: str) -> tuple[Numbers, Numbers]:
    """Make what is known of a data file, and keep it where the disk permits."""
    rows = LanceFileReader(str(folder / "data" / data), columns=[KEY]).read_all(batch_size=_BATCH)
    checks = np.array([_check(key) for batch in rows.to_batches() for key in to_list(batch.column(0))], _NUMBER)
    places = np.argsort(checks, kind="stable").astype(_NUMBER)
    checks = checks[places]
    path = key_file(folder, data)
    with suppress(OSError):  # as on a disk that is only read
        path.parent.mkdir(exist_ok=True)
        content = checks.tobytes() + places.tobytes()
        write_whole(path, content + zlib.crc32(content).to_bytes(4, "little"))
    return checks, places


def _check(key: str) -> np.uint32:
    return np.uint32(zlib.crc32(key.encode("utf-8", "surrogatepass")))


def _mapped(path: Path, rows: int) -> Numbers | None:
    """What a file holds, of which only what is looked at is read; None where it is not there, or not as long."""
    try:
        if path.stat().st_size == _length(rows):
            return np.memmap(path, _NUMBER, "r", shape=(2 * rows,))
    except OSError:
        pass
    return None


def _read(path: Path, rows: int) -> Numbers | None:
    """What a file holds; None where it is not there, or not whole."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if len(content) != _length(rows) or zlib.crc32(content[:-4]) != int.from_bytes(content[-4:], "little"):
        return None
    return np.frombuffer(content, _NUMBER, 2 * rows)


def _length(rows: int) -> int:
    return 2 * _NUMBER.itemsize * rows + 4
