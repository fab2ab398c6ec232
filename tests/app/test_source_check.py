"""The check of a source finds what an import of it finds, and imports nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from saccade.app.ingest.importing import SourceCheck, check_source, import_dataset
from saccade.core.progress import NullProgress
from saccade.store.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "home") as created:
        yield created


def write_images(folder: Path, count: int, suffix: str = ".png") -> list[Path]:
    folder.mkdir(parents=True)
    paths = [folder / f"{number:03}{suffix}" for number in range(count)]
    for number, path in enumerate(paths):
        Image.fromarray(np.full((12, 16, 3), number, np.uint8)).save(path)
    return paths


def as_text(path: Path) -> None:
    path.write_text("This is not an image.")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def assert_same_findings(workspace: Workspace, source: Path, **options: Any) -> SourceCheck:
    """Check a source, then import it: the reports, and the reasons of a refusal, are the same."""
    before = sorted(path.name for path in (workspace.location / "objects").rglob("*"))
    check = check_source(workspace, source, **options)
    assert sorted(path.name for path in (workspace.location / "objects").rglob("*")) == before
    assert workspace.datasets.list() == []
    assert workspace.runs.list() == []
    if check.refusal is not None:
        with pytest.raises(type(check.refusal)) as raised:
            import_dataset(workspace, source, "imported", **options)
        assert repr(raised.value) == repr(check.refusal)
        return check
    result = import_dataset(workspace, source, "imported", **options)
    assert sorted(check.report) == sorted(result.report)
    assert check.report.counts() == result.report.counts()
    assert (check.format, check.reason) == (result.format, result.reason)
    assert (check.items - check.skipped, check.skipped) == (len(result.version), result.skipped)
    assert check.checked == check.items
    return check


@pytest.mark.parametrize("damage", [as_text, truncate, empty])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_images_that_cannot_be_decoded(workspace: Workspace, tmp_path: Path, damage: Any, suffix: str) -> None:
    paths = write_images(tmp_path / "photos", 5, suffix)
    damage(paths[1])
    check = assert_same_findings(workspace, tmp_path / "photos")
    assert check.skipped == 1
    assert [finding.key for finding in check.report] == ["001"]


def test_a_source_without_usable_images_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    for path in write_images(tmp_path / "photos", 2):
        as_text(path)
    check = assert_same_findings(workspace, tmp_path / "photos")
    assert "None of the 2 images can be used" in str(check.refusal)


def test_missing_images_and_invalid_labels(workspace: Workspace, tmp_path: Path) -> None:
    paths = write_images(tmp_path / "coco" / "images", 3)
    coco = {
        "images": [
            {"id": number, "file_name": f"{number:03}.png", "width": 16 + number, "height": 12} for number in range(5)
        ],
        "categories": [{"id": 1, "name": "boat"}],
        "annotations": [
            {"id": 1, "image_id": 0, "category_id": 1, "bbox": [1, 1, 4, 4]},
            {"id": 2, "image_id": 1, "category_id": 7, "bbox": [1, 1, 4, 4]},
            {"id": 3, "image_id": 1, "category_id": 1, "bbox": [1, 1, -4, 4]},
        ],
    }
    (tmp_path / "coco" / "labels.json").write_text(json.dumps(coco))
    (tmp_path / "coco" / "more.json").write_text("{")
    as_text(paths[2])
    check = assert_same_findings(workspace, tmp_path / "coco", format="coco")
    assert check.skipped == 1
    assert len(check.report) > 4


def test_label_files_that_cannot_be_read(workspace: Workspace, tmp_path: Path) -> None:
    write_images(tmp_path / "yolo" / "images", 3)
    labels = tmp_path / "yolo" / "labels"
    labels.mkdir()
    (labels / "000.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (labels / "001.txt").write_text("boat\n")
    (labels / "002.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "yolo" / "data.yaml").write_text("names: [boat]\n")
    check = assert_same_findings(workspace, tmp_path / "yolo")
    assert check.format == "yolo"
    assert len(check.report) >= 2


def test_repeated_keys_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    write_images(tmp_path / "coco", 1)
    entry = {"id": 1, "file_name": "000.png", "width": 16, "height": 12}
    coco = {"images": [entry, {**entry, "id": 2}], "categories": [], "annotations": []}
    (tmp_path / "coco" / "labels.json").write_text(json.dumps(coco))
    assert_same_findings(workspace, tmp_path / "coco", format="coco")


def test_archives_and_worker_processes(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write_images(tmp_path / "photos", 40)
    as_text(paths[7])
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "photos")
    assert check_source(workspace, Path(archive)).skipped == 1
    monkeypatch.setattr("saccade.app.ingest.prefetch.MIN_ITEMS_FOR_PROCESSES", 10)
    assert assert_same_findings(workspace, tmp_path / "photos").skipped == 1


@given(count=st.integers(1, 60), limit=st.integers(1, 60))
def test_a_sample_is_spread_over_the_source(count: int, limit: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("sample")
    write_images(folder / "photos", count)
    with Workspace.create(folder / "home") as workspace:
        check = check_source(workspace, folder / "photos", max_images=limit)
    assert check.items == count
    assert check.checked <= limit
    if count <= limit:
        assert check.checked == count
    else:
        assert check.checked >= limit // 2


def test_a_check_can_be_cancelled(workspace: Workspace, tmp_path: Path) -> None:
    class Cancelled(NullProgress):
        def advance(self, count: int = 1, message: str = "") -> None:
            raise KeyboardInterrupt

    write_images(tmp_path / "photos", 20)
    with pytest.raises(KeyboardInterrupt):
        check_source(workspace, tmp_path / "photos", progress=Cancelled())
    assert workspace.datasets.list() == []
