"""Whether a JPEG is whole, by its markers alone.

Source: ITU-T T.81, annex B.
"""

from __future__ import annotations

import re

_BASELINE = frozenset({0xC0, 0xC1})
_SCAN, _END = 0xDA, 0xD9
_TABLES = _BASELINE | {0xC4, 0xDB, 0xDD, _SCAN}
"""Frame, Huffman and quantisation tables, restart interval, scan."""
_NO_MATTER = frozenset({0xE0, 0xE2, 0xEE, 0xFE})
"""JFIF, colour profiles, Adobe's marker and comments, which change neither size nor mode nor orientation."""
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""What ends a scan: of all bytes after 0xff only 0 and the restart markers belong to it, and 0xff fills."""


def is_whole_baseline(data: bytes) -> bool:
    """Whether a JPEG of one scan has nothing but pixels between the beginning of the scan and the end of the image.

    Of such a one a decoder finds nothing wrong, whatever the pixels are. False says nothing: it may be progressive.
    """
    return tables_of_whole(data) is not None


def tables_of_whole(data: bytes) -> bytes | None:
    """All that the header of such a JPEG tells a decoder: size, channels and tables; None for any other.

    Two with the same tables differ in nothing but pixels and metadata. Where there may be an orientation in the
    metadata, the result is empty.
    """
    at, is_baseline, tables, is_plain = 2, False, [], True
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # it fills
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4])
        if length < 2 or 0xD0 <= marker <= 0xD9:
            return None
        is_baseline = is_baseline or marker in _BASELINE
        if marker in _TABLES:
            tables.append(data[at : at + 2 + length])
        is_plain = is_plain and (marker in _TABLES or marker in _NO_MATTER)
        at += 2 + length
        if marker == _SCAN:
            end = _MARKER_IN_SCAN.search(data, at)
            if not is_baseline or end is None or end[0][1] != _END:
                return None
            return b"".join(tables) if is_plain else b""
    return None
