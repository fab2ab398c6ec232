"""Check from its markers alone whether a JPEG is complete.

Source: ITU-T T.81, annex B.
"""

from __future__ import annotations

import re

_BASELINE = frozenset({0xC0, 0xC1})
_SCAN, _END = 0xDA, 0xD9
_TABLE_SEGMENTS = _BASELINE | {0xC4, 0xDB, 0xDD, _SCAN}
"""Frame, Huffman and quantisation tables, restart interval, scan."""
_IRRELEVANT_SEGMENTS = frozenset({0xE0, 0xE2, 0xEE, 0xFE})
"""JFIF, colour profiles, Adobe's marker and comments: they affect neither size nor mode nor orientation."""
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""A marker that ends a scan. Within a scan, 0xff is only followed by 0 (stuffing), a restart marker or 0xff (fill)."""


def complete_jpeg_tables(data: bytes) -> bytes | None:
    """Return the header segments that determine how a complete baseline JPEG is decoded: size, channels and tables.

    A JPEG is complete if its only scan contains nothing but entropy-coded data up to the end-of-image marker; a decoder
    accepts it, whatever the pixels are. JPEGs with equal segments differ only in pixels and metadata.

    Returns:
        The segments; empty if the metadata may contain an orientation; None if the JPEG is not a complete baseline one,
        such as a progressive one.
    """
    offset = 2
    is_baseline = False
    tables: list[bytes] = []
    only_known_segments = True
    while offset + 4 <= len(data) and data[offset] == 0xFF:
        marker = data[offset + 1]
        if marker == 0xFF:  # fill byte
            offset += 1
            continue
        length = int.from_bytes(data[offset + 2 : offset + 4])
        if length < 2 or 0xD0 <= marker <= 0xD9:
            return None
        is_baseline = is_baseline or marker in _BASELINE
        if marker in _TABLE_SEGMENTS:
            tables.append(data[offset : offset + 2 + length])
        elif marker not in _IRRELEVANT_SEGMENTS:
            only_known_segments = False
        offset += 2 + length
        if marker == _SCAN:
            scan_end = _MARKER_IN_SCAN.search(data, offset)
            if not is_baseline or scan_end is None or scan_end[0][1] != _END:
                return None
            return b"".join(tables) if only_known_segments else b""
    return None
