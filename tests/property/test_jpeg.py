"""Where the markers of a JPEG show that it is whole, decoding it finds nothing wrong either."""

from __future__ import annotations

import os
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from saccade.core.errors import MediaError
from saccade.media._jpeg import complete_jpeg_tables
from saccade.media.image import verify


def jpeg(**options: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    out = BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", **options)
    return out.getvalue()


WHOLE = {
    "baseline": jpeg(),
    "optimised": jpeg(optimize=True, quality=95),
    "grey": jpeg(subsampling=0, quality=10),
    "restarts": jpeg(restart_marker_blocks=2),
    "comment": jpeg(comment=b"\xff\xd9 no end"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_ones_are_known_and_cut_ones_are_not(name: str) -> None:
    data = WHOLE[name]
    assert complete_jpeg_tables(data) is not None
    assert complete_jpeg_tables(data + b"what follows") is not None
    for end in range(len(data) - 1):
        assert complete_jpeg_tables(data[:end]) is None
    with pytest.raises(MediaError):
        verify(data[: len(data) * 2 // 3])


def test_others_are_left_to_the_decoder() -> None:
    assert complete_jpeg_tables(jpeg(progressive=True)) is None
    assert complete_jpeg_tables(b"") is None
    assert verify(jpeg(progressive=True)).size_wh == (60, 40)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_the_decoder_agrees(name: str, draw: st.DataObject) -> None:
    data = bytearray(WHOLE[name])
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(data.index(b"\xff\xda") + 14, len(data) - 1))
        length = draw.draw(st.sampled_from([0, 1, 1, 2, 60]))
        data[at : at + length] = draw.draw(
            st.binary(max_size=4) | st.sampled_from([b"\xff\xc4", b"\xff\xd9", b"\xff\xd0"])
        )
    if complete_jpeg_tables(bytes(data)) is not None:
        image = Image.open(BytesIO(bytes(data)))
        image.draft(None, (1, 1))
        image.load()


def with_orientation(value: int) -> bytes:
    exif = Image.Exif()
    exif[274] = value
    return jpeg(exif=exif)


@settings(max_examples=int(os.environ.get("SACCADE_EXAMPLES", "150")), deadline=None)
@given(st.data())
def test_what_is_known_of_others_is_true_of_this_one(draw: st.DataObject) -> None:
    """A header that was read for an earlier file of the same tables says what reading it again would."""
    from saccade.media import image

    width, height = draw.draw(st.integers(8, 40)), draw.draw(st.integers(8, 40))
    mode = draw.draw(st.sampled_from(["RGB", "L", "CMYK"]))
    options: dict[str, Any] = {"quality": draw.draw(st.sampled_from([50, 90])), "optimize": draw.draw(st.booleans())}
    if orientation := draw.draw(st.integers(0, 8)):
        exif = Image.Exif()
        exif[274] = orientation
        options["exif"] = exif
    data = bytearray()
    for seed in range(2):
        pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
        out = BytesIO()
        Image.fromarray(pixels).convert(mode).save(out, "JPEG", **options)
        data = bytearray(out.getvalue())
        found = verify(bytes(data))
    image._JPEG_PROBE_CACHE.clear()
    assert verify(bytes(data)) == found
    scan = data.index(b"\xff\xda")
    for _ in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(2, min(scan + 14, len(data) - 1)))
        data[at] = draw.draw(st.integers(0, 255))

    def outcome() -> Any:
        try:
            return verify(bytes(data))
        except MediaError:
            return None

    verify(out.getvalue())
    known = outcome()
    image._JPEG_PROBE_CACHE.clear()
    assert outcome() == known


def test_orientations_are_not_taken_from_others() -> None:
    assert [verify(with_orientation(value)).orientation for value in (1, 6, 3, 8)] == [1, 6, 3, 8]
    assert verify(jpeg()).orientation == 1
    assert verify(with_orientation(6)).size_wh == (40, 60)
