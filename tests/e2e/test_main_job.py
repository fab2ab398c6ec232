"""The whole loop on the command line: import, train, evaluate, promote, predict, export, and train again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.support.command import Command
from tests.support.tiny_workspace import RECIPE

from saccade.core.schema import Kind
from saccade.media.image import probe
from saccade.store.workspace import Workspace


@pytest.mark.slow
def test_from_images_to_predictions(command: Command, pictures: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "ships.yaml"
    recipe.write_text(RECIPE)

    imported = command.json("import", pictures, "--dataset", "harbour", "--split", "train=0.6,val=0.2,test=0.2")
    assert (imported["dataset"], imported["format"], imported["items"]) == ("harbour@1", "coco", 10)
    assert sorted(imported["splits"].items()) == [("test", 2), ("train", 6), ("val", 2)]
    stats = command.json("datasets", "stats", "harbour")
    labelled = sum(stats["columns"]["objects"]["classes"].values())
    assert labelled == len(json.loads((pictures / "annotations.json").read_text())["annotations"])

    trained = command.json("train", recipe)
    assert (trained["model"], trained["state"], trained["reason"]) == ("ships@1", "finished", "epochs")

    report = tmp_path / "report.html"
    measured = command.json("evaluate", "ships", "harbour", "--split", "test", "--report", report)
    assert (measured["model"], measured["dataset"], measured["split"]) == ("ships@1", "harbour@1", "test")
    assert 0 <= measured["ap"] <= measured["ap50"] <= 1
    page = report.read_text("utf-8")
    assert "data:image/jpeg;base64," in page, "the missed ships are drawn"
    assert not re.findall(r"""(?:src|href)=["']https?:""", page), "it opens offline"

    assert command.json("models", "promote", "ships", "production")["previous"] is None
    out = tmp_path / "found"
    predicted = command.json(
        "predict", "ships@production", pictures / "images", "--out", out, "--dataset", "found", "--min-score", 0.01
    )
    assert (predicted["model"], predicted["dataset"], len(predicted["items"])) == ("ships@1", "found@1", 10)
    assert len(list((out / "pictures").glob("*.jpg"))) == 10
    coco = json.loads((out / "predictions.json").read_text())
    assert {image["file_name"] for image in coco["images"]} == {p.name for p in (pictures / "images").iterdir()}
    assert len(coco["annotations"]) == sum(len(item["objects"]) for item in predicted["items"]) > 0

    exported = tmp_path / "yolo"
    command.json("export", "found", exported, "--format", "yolo")
    assert command.json("import", exported, "--dataset", "again")["format"] == "yolo"

    further = command.json("train", recipe, "--set", "train.epochs=3")
    assert further["model"] == "ships@2"
    command.json("evaluate", "ships@2", "harbour@1", "--split", "test")
    compared = command.json("models", "compare", "ships@production", "ships")
    assert (compared["first"], compared["second"]) == ("ships@1", "ships@2")
    assert compared["settings"] == {"train.epochs": [2, 3]}
    assert set(compared["evaluations"][0]["metrics"]) >= {"ap", "ap50"}

    lineage = json.dumps(command.json("models", "show", "ships")["lineage"])
    assert "harbour@1" in lineage
    doctor = command.json("doctor", "--deep")
    assert doctor["problems"] == []


@pytest.mark.slow
def test_import_of_blood_cells(command: Command, shared_data: Path) -> None:
    imported = command.json("import", shared_data / "bccd", "--dataset", "cells")
    assert (imported["format"], imported["items"], imported["skipped"]) == ("voc", 364, 0)
    assert imported["splits"] == {"train": 205, "val": 87, "test": 72}
    counts = command.json("datasets", "stats", "cells")["columns"]["objects"]["classes"]
    assert set(counts) == {"RBC", "WBC", "Platelets"}
    reasons = {finding["reason"] for finding in imported["report"]["findings"]}
    assert "box without area" in reasons
    assert reasons >= {"boxes that almost coincide", "box far smaller than others of its class"}
    listing = command("datasets", "show", "cells").text
    assert "640x480 jpeg" in listing


@pytest.mark.parametrize("link", [False, True])
def test_import_by_copy_and_by_link(command: Command, pictures: Path, link: bool) -> None:
    command.json("import", pictures, "--dataset", "harbour", "--link" if link else "--copy")
    with Workspace.open(command.workspace) as workspace:
        version = workspace.datasets.open("harbour")
        image = version.schema.first(Kind.IMAGE).name
        for item in version.items([image]):
            assert (item[image].uri is not None) == link
            data = version.read_media(item[image])
            assert (probe(data).width, len(data)) == (320, item[image].size)
