"""MOTS: the layout of its challenge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from saccade.core.errors import FormatError
from saccade.core.geometry import counts_to_coco_string, mask_from_array
from saccade.core.objects import Box, Object
from saccade.core.registry import Registry
from saccade.formats.base import Format
from saccade.formats.detect import detect_format
from saccade.formats.mots import FORMAT

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]
PIXELS = np.zeros((6, 8), bool)
PIXELS[1:3, 2:5] = True
MASK = mask_from_array(PIXELS)
RLE = counts_to_coco_string(MASK.counts)


def test_challenge_layout(write_source: WriteSource, kit: SimpleNamespace, formats: Registry[Format]) -> None:
    lines = [
        f"1 2005 2 6 8 {RLE}",
        f"1 10000 10 6 8 {RLE}",
        f"2 7 1 6 8 {RLE}",
        f"2 9 99 6 8 {RLE}",
        f"2 9 1 5 8 {RLE}",
        "2 9 1 6 8 zz",
        "no line",
        f"9 9 1 6 8 {RLE}",
    ]
    source = write_source(
        {
            "train/A/img1/000001.png": None,
            "train/A/img1/000002.png": None,
            "train/A/gt/gt.txt": "\n".join(lines),
            "test/B/img1/000001.png": None,
        }
    )
    assert detect_format(source, formats)[0] == "mots"
    result = kit.read_all(FORMAT, source)
    assert result.values("objects") == {
        "A/000001": (Object("1", "pedestrian", MASK, None, "5"), Object("2", "ignore", MASK, None, "0")),
        "A/000002": (Object("1", "car", MASK, None, "7"),),
        "B/000001": None,
    }
    assert result.values("split") == {"A/000001": "train", "A/000002": "train", "B/000001": "test"}
    assert result.reasons() == {
        ("dropped", "class number out of range"): 1,
        ("dropped", "object without a usable shape"): 2,
        ("dropped", "line that cannot be read"): 1,
        ("dropped", "masks of a frame without a picture"): 1,
    }


def test_round_trip(kit: SimpleNamespace, tmp_path: Path) -> None:
    objects = (Object("1", "tug boat", MASK, None, "12"), Object("2", "ship", mask_from_array(~PIXELS), None, "5000"))
    box = (Object("1", "ship", Box(0, 0, 2, 2), 0.5),)
    objects_by_key = {"S/000003": objects, "S/000004": (), "T/1": box, "U/000001": None}
    records = [kit.record(key, objects=value) for key, value in objects_by_key.items()]
    report = kit.write_all(FORMAT, kit.dataset(records, ("ship", "tug boat")), tmp_path / "out")
    assert {finding.reason for finding in report} == {
        "key changed to be a file name",
        "shape of a box, written as mask",
        "score",
        "object without a track",
    }
    result = kit.read_all(FORMAT, tmp_path / "out")
    assert result.values("objects") == {
        "S/000003": objects,
        "S/000004": (),
        "U/000001": None,
        "T/000001": (Object("1", "ship", mask_from_array(np.indices((6, 8)).max(axis=0) < 2), None, "1"),),
    }


def test_mot_is_not_mots(write_source: WriteSource, kit: SimpleNamespace) -> None:
    source = write_source({"S/img1/000001.png": None, "S/gt/gt.txt": "1,7,1,2,3,2,1,1,1\n", "x.png": None})
    assert not FORMAT.detect(source).matches
    with pytest.raises(FormatError, match="no folder img1"):
        kit.read_all(FORMAT, source / "S" / "gt")
