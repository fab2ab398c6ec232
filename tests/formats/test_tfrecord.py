"""TFRecord: files as TensorFlow writes them, files read by another package, and damaged files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from saccade.core.errors import FormatError
from saccade.core.objects import Box, Object
from saccade.core.schema import Kind
from saccade.formats.tfrecord import FORMAT
from saccade.formats.tfrecord.label_map import parse_label_map
from saccade.formats.tfrecord.records import decode_example, encode_example, write_record

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]
BOX = Box(2, 1.5, 4, 3)


def example(**features: Any) -> dict[str, Any]:
    png = BytesIO()
    Image.new("RGB", (8, 6)).save(png, "PNG")
    names = ("xmin", "ymin", "xmax", "ymax")
    corners = {f"image/object/bbox/{name}": [side] for name, side in zip(names, (0.25, 0.25, 0.5, 0.5), strict=True)}
    return {"image/encoded": [png.getvalue()], "image/filename": [b"a/1.png"], **corners, **features}


def shard(*examples: Mapping[str, Any]) -> bytes:
    out = BytesIO()
    for features in examples:
        write_record(out, encode_example(features))
    return out.getvalue()


LABEL_MAP = """# a comment
item { id: 1 name: 'cat' }
item {
  name: "gr\\303\\266\\303\\237e \\"x\\""
  id: 2
  display_name: "Other"
}
"""


def test_files_of_tensorflow(write_source: WriteSource, kit: SimpleNamespace) -> None:
    first = example(**{"image/object/class/label": [1], "image/object/is_crowd": [1], "image/object/score": [0.5]})
    second = example(**{"image/object/class/text": [b"dog"], "image/source_id": [b"7"], "image/object/difficult": [0]})
    source = write_source(
        {
            "train.record-00000-of-00001": shard(first),
            "val.tfrecord": shard(second, example(), {"x": [1]}),
            "label_map.pbtxt": LABEL_MAP,
        }
    )
    assert FORMAT.detect(source).matches
    result = kit.read_all(FORMAT, source)
    assert result.values("objects") == {
        "a/1": (Object("1", "cat", BOX, 0.5, None, {"crowd": True}),),
        "7": (Object("1", "dog", BOX),),
        "a/1-2": None,
    }
    assert result.values("split") == {"a/1": "train", "7": "val", "a/1-2": "val"}
    assert result.schema["objects"].class_names[0] == "cat"
    assert result.reasons() == {
        ("dropped", "object without a class"): 1,
        ("skipped", "example without an image"): 1,
        ("repaired", "key made unique"): 1,
    }
    assert parse_label_map(LABEL_MAP)[1] == "cat"
    assert kit.read_all(FORMAT, source / "val.tfrecord").values("objects").keys() == {"7", "a/1"}


def test_read_by_another_package(kit: SimpleNamespace, tmp_path: Path) -> None:
    loader = pytest.importorskip("tfrecord")
    objects = (Object("1", "cat", BOX), Object("2", "dog", Box(0, 0, 8, 6), 0.25, attributes={"crowd": True}))
    records = [
        kit.record("a/1", objects=objects, split="train"),
        kit.record("b", objects=None, split="train"),
        kit.record("c", objects=(), split="val"),
    ]
    report = kit.write_all(FORMAT, kit.dataset(records, ("cat", "dog"), split=Kind.TEXT), tmp_path / "out", shards="2")
    assert len(report) == 0
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == [
        "label_map.pbtxt",
        "train-00000-of-00002.record",
        "train-00001-of-00002.record",
        "val-00000-of-00001.record",
    ]
    (features,) = loader.tfrecord_loader(str(tmp_path / "out" / files[1]), None)
    assert bytes(features["image/source_id"]) == b"a/1"
    assert features["image/object/bbox/xmin"].tolist() == [0.25, 0.0]
    assert features["image/object/class/label"].tolist() == [1, 2]
    assert features["image/object/is_crowd"].tolist() == [0, 1]
    assert Image.open(BytesIO(bytes(features["image/encoded"]))).size == (8, 6)
    result = kit.read_all(FORMAT, tmp_path / "out")
    assert result.values("objects") == {"a/1": objects, "b": None, "c": ()}


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.one_of(
            st.lists(st.binary(max_size=20), max_size=4),
            st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
            st.lists(st.floats(width=32, allow_nan=False), max_size=4),
        ),
        max_size=5,
    )
)
def test_example_round_trip(features: dict[str, Any]) -> None:
    assert decode_example(encode_example(features))[0] == features


@given(st.binary(max_size=60))
def test_any_bytes_decode_or_raise(data: bytes) -> None:
    try:
        decode_example(data)
    except FormatError as error:
        assert str(error)  # noqa: PT017


@pytest.mark.parametrize("damage", ["flip", "cut", "length"])
def test_damaged_file_is_read_up_to_the_damage(damage: str, write_source: WriteSource, kit: SimpleNamespace) -> None:
    valid = shard(example(**{"image/source_id": [b"1"]}))
    damaged = {"flip": valid[:-9] + b"x" + valid[-8:], "cut": valid[:-1], "length": b"\xff" * 8 + valid[8:]}[damage]
    result = kit.read_all(FORMAT, write_source({"a.record": valid + damaged + valid}))
    assert result.values("objects") == {"1": None}
    assert ("skipped", "rest of a file that is damaged") in result.reasons()
