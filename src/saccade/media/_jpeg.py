"""Whether a JPEG is whole, by its markers alone.

Source: ITU-T T.81, annex B.
"""

from __future__ import annotations

import re

_BASELINE = frozenset({0xC0, 0xC1})
_SCAN, _END = 0xDA, 0xD9
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""What ends a scan: of all bytes after 0xff only 0 and the restart markers belong to it, and 0xff fills."""


def is_whole_baseline(data: bytes) -> bool:
    """Whether a JPEG of one scan has nothing but pixels between the beginning of the scan and the end of the image.

    Of such a one a decoder finds nothing wrong, whatever the pixels are. False says nothing: it may be progressive.
    """
    at, is_baseline = 2, False
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # it fills
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4])
        if length < 2 or 0xD0 <= marker <= 0xD9:
            return False
        is_baseline = is_baseline or marker in _BASELINE
        at += 2 + length
        if marker == _SCAN:
            end = _MARKER_IN_SCAN.search(data, at)
            return is_baseline and end is not None and end[0][1] == _END
    return False
