"""Class folders and plain images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from saccade.core.errors import FormatError
from saccade.core.schema import Kind
from saccade.formats.folders import FORMAT as FOLDERS
from saccade.formats.images import FORMAT as IMAGES

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]


def test_class_folders(write_source: WriteSource, kit: Any) -> None:
    source = write_source(
        {
            "dog/1.png": None,
            "cat/1.png": None,
            "cat/indoors/2.PNG": None,
            "cat/2.jpg": None,
            "cat/notes.md": "x",
            "_unlabelled/3.png": None,
            "4.png": None,
        }
    )
    (source / "fox").mkdir()
    found = kit.read_all(FOLDERS, source)
    assert found.schema["label"].class_names == ("cat", "dog", "fox")
    assert found.values("label") == {"1": "cat", "2": "cat", "indoors/2": "cat", "dog/1": "dog", "3": None}
    assert found.reasons() == {
        ("repaired", "key made unique"): 1,
        ("skipped", "image outside the class folders"): 1,
    }


def test_class_folders_in_splits(write_source: WriteSource, kit: Any) -> None:
    source = write_source({"train/cat/1.png": None, "train/dog/2.png": None, "test/cat/1.png": None})
    found = kit.read_all(FOLDERS, source)
    assert found.values("label") == {"1": "cat", "cat/1": "cat", "2": "dog"}
    assert found.values("split") == {"1": "test", "cat/1": "train", "2": "train"}


def test_links_that_lead_outside(write_source: WriteSource, kit: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(kit.png())
    source = write_source({"cat/1.png": None, "dog/1.png": None})
    (source / "cat/2.png").symlink_to(tmp_path / "secret.png")
    (source / "fox").symlink_to(tmp_path)
    (source / "dog/3.png").symlink_to(source / "cat/1.png")
    found = kit.read_all(FOLDERS, source)
    assert set(found.records) == {"1", "dog/1", "3"}
    assert found.reasons()["skipped", "link that leads outside the source"] == 2


@pytest.mark.parametrize("with_split", [False, True])
def test_written_and_read_again(with_split: bool, kit: Any, tmp_path: Path) -> None:
    labels = {"a": "dog", "b/c": "cat/tabby", "d": None, "train": "_unlabelled", "é ñ": "train"}
    splits = dict(zip(labels, ("train", "fold/1", None, "test", "train"), strict=True))
    more = {"split": Kind.TEXT} if with_split else {}
    records = [
        kit.record(key, label=label, **({"split": splits[key]} if with_split else {})) for key, label in labels.items()
    ]
    classes = ["dog", "cat/tabby", "unused", "_unlabelled", "train"]
    report = kit.write_all(FOLDERS, kit.dataset(records, classes, Kind.LABEL, **more), tmp_path / "out")
    assert {finding.reason for finding in report} == {"class changed to be a file name"} | (
        {"split changed to be a file name"} if with_split else set()
    )
    found = kit.read_all(FOLDERS, tmp_path / "out")
    assert found.values("label") == labels
    assert list(found.schema["label"].class_names) == classes
    assert found.values("split") == (splits if with_split else dict.fromkeys(labels))
    assert len(found.report) == 0
    assert FOLDERS.detect(tmp_path / "out").matches


def test_objects_have_no_place_in_folders(kit: Any, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="need a column of kind label") as error:
        kit.write_all(FOLDERS, kit.dataset([kit.record("a", objects=())], ["cup"]), tmp_path / "out")
    assert "coco" in error.value.hint


def test_plain_images(write_source: WriteSource, kit: Any, tmp_path: Path) -> None:
    source = write_source({"a/1.png": None, "a/1.jpg": None, "2.png": None, ".hidden.png": None, "3.txt": "x"})
    found = kit.read_all(IMAGES, source)
    assert set(found.records) == {"a/1", "a/1.png", "2"}
    assert found.schema.names == ("image",)
    assert found.total == 3
    assert kit.read_all(IMAGES, source / "2.png").records["2"].media.path == source / "2.png"
    reading = kit.dataset([kit.record("../x/.y", objects=(), split="train")], ["cup"], split=Kind.TEXT)
    report = kit.write_all(IMAGES, reading, tmp_path / "out")
    assert [(finding.action, finding.reason) for finding in report] == [
        ("repaired", "key changed to be a file name"),
        ("dropped", "column that the format does not support"),
        ("dropped", "column that the format does not support"),
    ]
    assert set(kit.read_all(IMAGES, tmp_path / "out").records) == {"_../x/_.y"}
    with pytest.raises(FormatError, match="There are no images"):
        kit.read_all(IMAGES, write_source({"b/4.txt": "x"}) / "b")
