"""Hugging Face: image folders and Parquet files as they are published."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from saccade.core.errors import FormatError
from saccade.core.objects import Box, Object
from saccade.core.registry import Registry
from saccade.core.schema import Kind
from saccade.formats.base import Format
from saccade.formats.detect import detect_format
from saccade.formats.huggingface import FORMAT

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]


def json_lines(*rows: Mapping[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_image_folder(write_source: WriteSource, kit: SimpleNamespace, formats: Registry[Format]) -> None:
    source = write_source(
        {
            "train/metadata.jsonl": json_lines(
                {
                    "file_name": "1.png",
                    "objects": {"bbox": [[1, 1, 4, 3], [0, 0, 2, 2]], "categories": ["cat", "dog"]},
                    "text": "two",
                },
                {"file_name": "2.png", "objects": {"bbox": [], "categories": []}},
                {"file_name": "3.png", "objects": None},
                {"file_name": "missing.png"},
            )
            + "not json\n",
            "validation/metadata.jsonl": json_lines(
                {"file_name": "4.png", "objects": [{"bbox": [1, 1, 4, 3], "label": 3}]}
            ),
            "train/1.png": None,
            "train/2.png": None,
            "train/3.png": None,
            "validation/4.png": None,
        }
    )
    assert detect_format(source, formats)[0] == "huggingface"
    result = kit.read_all(FORMAT, source)
    assert result.values("objects") == {
        "1": (Object("1", "cat", Box(1, 1, 5, 4)), Object("2", "dog", Box(0, 0, 2, 2))),
        "2": (),
        "3": None,
        "4": (Object("1", "class-3", Box(1, 1, 5, 4)),),
    }
    assert result.values("split") == {"1": "train", "2": "train", "3": "train", "4": "val"}
    assert result.values("metadata")["1"] == {"text": "two"}
    assert result.reasons() == {
        ("skipped", "image file missing"): 1,
        ("skipped", "line that cannot be read"): 1,
    }


def test_csv_metadata(write_source: WriteSource, kit: SimpleNamespace) -> None:
    source = write_source({"metadata.csv": "file_name,label\n1.png,cat\n2.png,dog\n", "1.png": None, "2.png": None})
    result = kit.read_all(FORMAT, source)
    assert result.values("label") == {"1": "cat", "2": "dog"}
    assert result.values("objects") == {"1": None, "2": None}


def test_parquet_with_class_names(kit: SimpleNamespace, tmp_path: Path, formats: Registry[Format]) -> None:
    rows = [
        {
            "image": {"bytes": kit.png(), "path": "1.png"},
            "image_id": 7,
            "label": 1,
            "objects": {"bbox": [[1.0, 1.0, 4.0, 3.0]], "category": [1]},
        },
        {
            "image": {"bytes": kit.png(), "path": None},
            "image_id": 8,
            "label": 0,
            "objects": {"bbox": [], "category": []},
        },
        {"image": {"bytes": None, "path": "x.png"}, "image_id": 9, "label": 0, "objects": None},
    ]
    category = {"feature": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "_type": "List"}
    features = {"objects": {"bbox": {}, "category": category}, "label": {"names": ["in", "out"], "_type": "ClassLabel"}}
    table = pa.Table.from_pylist(rows).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    (tmp_path / "data").mkdir()
    parquet.write_table(table, tmp_path / "data" / "test-00000-of-00001.parquet")
    assert detect_format(tmp_path, formats)[0] == "huggingface"
    result = kit.read_all(FORMAT, tmp_path)
    second = "test-00000-of-00001-2"
    assert result.values("objects") == {"1": (Object("1", "dog", Box(1, 1, 5, 4)),), second: ()}
    assert result.values("label") == {"1": "out", second: "in"}
    assert result.values("metadata") == {"1": {"image_id": 7}, second: {"image_id": 8}}
    assert result.values("split") == {"1": "test", second: "test"}
    assert result.schema["objects"].class_names == ("cat", "dog")
    assert result.reasons() == {("skipped", "row without an image"): 1}


def test_parquet_round_trip(kit: SimpleNamespace, tmp_path: Path) -> None:
    objects = (Object("x", "cat", Box(1.1, 1, 5, 4), 0.5, "t", {"wet": True}),)
    records = [
        kit.record("a/1", objects=objects, split="val"),
        kit.record("2", objects=None, split=None),
        kit.record("3", objects=(), split="odd"),
    ]
    dataset = kit.dataset(records, ("cat",), split=Kind.TEXT)
    assert len(kit.write_all(FORMAT, dataset, tmp_path / "out", layout="parquet")) == 0
    assert sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file()) == [
        "all-00000-of-00001.parquet",
        "validation-00000-of-00001.parquet",
    ]
    result = kit.read_all(FORMAT, tmp_path / "out")
    assert result.values("objects") == {"a/1": objects, "2": None, "3": ()}
    assert result.values("split") == {"a/1": "val", "2": None, "3": "odd"}


@pytest.mark.parametrize("layout", ["imagefolder", "parquet"])
def test_metadata_is_not_nested(layout: str, kit: SimpleNamespace, tmp_path: Path) -> None:
    """The column is written as one field, and read back as it was, however often."""
    values = {"1": {"camera": {"name": "a", "iso": [100, 200]}}, "2": None, "3": {"metadata": "x", "note": ""}}
    for name in ("first", "second"):
        records = [kit.record(key, objects=(), metadata=value) for key, value in values.items()]
        dataset = kit.dataset(records, metadata=Kind.TABLE)
        assert len(kit.write_all(FORMAT, dataset, tmp_path / name, layout=layout)) == 0
        assert kit.read_all(FORMAT, tmp_path / name).values("metadata") == values


def test_other_sources_and_options(write_source: WriteSource, kit: SimpleNamespace) -> None:
    source = write_source({"metadata.jsonl": "[1]\n", "a.parquet": b"PAR1", "1.png": None})
    assert not FORMAT.detect(source).matches
    with pytest.raises(FormatError, match="layout"):
        kit.write_all(FORMAT, kit.dataset([]), source.parent / "o", layout="x")
