"""Where the markers of a JPEG show that it is whole, decoding it finds nothing wrong either."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from saccade.core.errors import MediaError
from saccade.media._jpeg import is_whole_baseline
from saccade.media.image import verify


def jpeg(**options: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    out = BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", **options)
    return out.getvalue()


WHOLE = {
    "baseline": jpeg(), "optimised": jpeg(optimize=True, quality=95), "grey": jpeg(subsampling=0, quality=10),
    "restarts": jpeg(restart_marker_blocks=2), "comment": jpeg(comment=b"\xff\xd9 no end"),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_whole_ones_are_known_and_cut_ones_are_not(name: str) -> None:
    data = WHOLE[name]
    assert is_whole_baseline(data)
    assert is_whole_baseline(data + b"what follows")
    for end in range(len(data) - 1):
        assert not is_whole_baseline(data[:end])
    with pytest.raises(MediaError):
        verify(data[: len(data) * 2 // 3])


def test_others_are_left_to_the_decoder() -> None:
    assert not is_whole_baseline(jpeg(progressive=True))
    assert not is_whole_baseline(b"")
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
    if is_whole_baseline(bytes(data)):
        image = Image.open(BytesIO(bytes(data)))
        image.draft(None, (1, 1))
        image.load()
