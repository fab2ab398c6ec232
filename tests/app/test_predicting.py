"""Predictions: sources, outputs, and compatibility of the outputs with other tools."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision as sv
from tests.support.command import Command

from saccade.app.ingest.exporting import export_dataset
from saccade.app.ml.predict import predict
from saccade.core.errors import ConflictError, NotFoundError
from saccade.core.progress import NullProgress
from saccade.store.workspace import Workspace


@pytest.fixture
def workspace(workspace_copy: Path) -> Iterator[Workspace]:
    with Workspace.open(workspace_copy) as opened:
        yield opened


@pytest.fixture
def photos(pictures: Path, tmp_path: Path) -> Path:
    """Images in folders, two of which differ only in their suffix."""
    source = sorted((pictures / "images").iterdir())
    for name, path in zip(("a.jpg", "sub/b.jpg", "sub/b.jpeg"), source, strict=False):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "photos" / name)
    return tmp_path / "photos"


def keys(workspace: Workspace, source: str | Path) -> list[str]:
    return [prediction.key for prediction in predict(workspace, "ships", str(source)).predictions]


def test_keys_of_a_folder_a_file_and_a_glob(workspace: Workspace, photos: Path) -> None:
    assert keys(workspace, photos) == ["a", "sub/b.jpeg", "sub/b.jpg"]
    assert keys(workspace, photos / "a.jpg") == ["a"]
    assert keys(workspace, photos / "**" / "*.jpg") == ["a", "sub/b"]


def test_dataset_takes_precedence_over_folder(
    workspace: Workspace, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos.rename(tmp_path / "harbour")
    monkeypatch.chdir(tmp_path)
    assert len(keys(workspace, "harbour")) == 10
    assert len(keys(workspace, "./harbour")) == 3


def test_predict_on_split(workspace: Workspace) -> None:
    assert len(predict(workspace, "ships", "harbour", split="test").predictions) == 2


@pytest.mark.slow
def test_unreadable_image_is_skipped(workspace: Workspace, photos: Path, tmp_path: Path) -> None:
    (photos / "bad.jpg").write_bytes((photos / "a.jpg").read_bytes()[:3000])
    result = predict(workspace, "ships", str(photos), out=tmp_path / "out", dataset="found", min_score=0.01)
    assert [prediction.key for prediction in result.unreadable] == ["bad"]
    assert len(result.predictions) == 4
    assert len(workspace.datasets.open("found")) == 3
    coco = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == ["a.jpg", "sub/b.jpeg", "sub/b.jpg"]


def test_no_images(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source in ("empty", "*.gif", "none"):
        with pytest.raises(NotFoundError):
            predict(workspace, "ships", str(tmp_path / source))


def test_existing_outputs_are_not_overwritten(workspace: Workspace, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConflictError):
        predict(workspace, "ships", str(photos), out=photos)
    with pytest.raises(ConflictError):
        predict(workspace, "ships", str(photos), dataset="harbour")


def test_predictions_replace_or_append(workspace: Workspace) -> None:
    assert predict(workspace, "ships", "harbour", split="test", dataset="out").dataset == "out@1"
    with pytest.raises(ConflictError):
        predict(workspace, "ships", "harbour", split="val", dataset="out")
    assert predict(workspace, "ships", "harbour", split="val", dataset="out", mode="append").dataset == "out@2"
    assert len(workspace.datasets.open("out")) == 4
    assert predict(workspace, "ships", "harbour", split="val", dataset="out", mode="replace").dataset == "out@3"
    assert len(workspace.datasets.open("out")) == 2


@pytest.mark.parametrize("mode", ["append", "merge"])
def test_a_missing_destination_is_refused_before_the_work(workspace: Workspace, mode: Any) -> None:
    class NoWork(NullProgress):
        def start(self, phase: str, total: int | None = None) -> None:
            raise AssertionError(phase)

    with pytest.raises(NotFoundError, match="nothing"):
        predict(workspace, "ships", "harbour", dataset="nothing", mode=mode, progress=NoWork())


def test_prediction_dataset_has_lineage(workspace: Workspace) -> None:
    result = predict(workspace, "ships", "harbour", dataset="found", min_score=0.01)
    assert result.dataset == "found@1"
    lineage = json.dumps(workspace.lineage("found@1"), default=str)
    assert "ships@1" in lineage
    assert "harbour@1" in lineage
    scores = [obj.score for item in workspace.datasets.open("found").items() for obj in item["objects"]]
    assert scores
    assert all(score is not None and 0.01 <= score <= 1 for score in scores)


Boxes = dict[str, tuple[np.ndarray, list[str]]]


def ours(workspace: Workspace, ref: str) -> Boxes:
    """Boxes and class names of each image by its stem."""
    return {
        item.key: (
            np.array([obj.geometry.bounds_xyxy() for obj in item["objects"]]).reshape(-1, 4),
            [obj.class_name for obj in item["objects"]],
        )
        for item in workspace.datasets.open(ref).items()
    }


def theirs(dataset: sv.DetectionDataset) -> Boxes:
    boxes: Boxes = {}
    for path, detections in dataset.annotations.items():
        classes = [] if detections.class_id is None else detections.class_id.tolist()
        boxes[Path(path).stem] = (detections.xyxy.reshape(-1, 4), [dataset.classes[index] for index in classes])
    return boxes


def read_back(folder: Path, format: str) -> sv.DetectionDataset:
    """Load an export with supervision."""
    if format == "coco":
        (labels,) = folder.rglob("*.json")
        return sv.DetectionDataset.from_coco(str(folder / "images"), str(labels))
    if format == "yolo":
        return sv.DetectionDataset.from_yolo(str(folder / "images"), str(folder / "labels"), str(folder / "data.yaml"))
    return sv.DetectionDataset.from_pascal_voc(str(folder / "JPEGImages"), str(folder / "Annotations"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("format", "tolerance"), [("coco", 1e-3), ("yolo", 1e-2), ("voc", 1e-2)])
def test_supervision_reads_exported_predictions(
    workspace: Workspace, tmp_path: Path, format: str, tolerance: float
) -> None:
    predict(workspace, "ships", "harbour", dataset="found", min_score=0.01)
    report = export_dataset(workspace, "found", tmp_path / "out", format)
    expected, actual = ours(workspace, "found"), theirs(read_back(tmp_path / "out", format))
    assert set(actual) == set(expected)
    assert sum(len(names) for _, names in expected.values()) > 0
    for key, (boxes, names) in expected.items():
        assert actual[key][1] == names
        np.testing.assert_allclose(actual[key][0], boxes, atol=tolerance)
    lost = {finding.reason for finding in report}
    assert (format == "coco") == (not any("score" in reason for reason in lost)), lost


def test_predict_on_video_frames(trained_command: Command, tmp_path: Path) -> None:
    from tests.support.video_clips import make_clip

    folder = tmp_path / "films"
    folder.mkdir()
    make_clip(folder / "street.mp4", 7, options={"g": "3"})
    (folder / "cut.mkv").write_bytes(make_clip(tmp_path / "whole.mkv", 7).read_bytes()[:300])
    run = trained_command
    result = run.json("predict", "ships", str(folder), "--out", str(tmp_path / "found"), "--dataset", "found")
    content = json.loads((tmp_path / "found" / "predictions.json").read_text())
    assert [image["file_name"] for image in content["images"]] == [f"street/{number:06}.jpg" for number in range(7)]
    assert len(list((tmp_path / "found" / "pictures" / "street").iterdir())) == 7
    assert "cut" in json.dumps(result)
    with Workspace.find() as workspace:
        version = workspace.datasets.open("found")
        assert [item["image"].frame for item in version.items()] == list(range(7))
