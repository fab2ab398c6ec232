"""Invalid input: one clear error message, and no partial results."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import pytest
from tests.support.command import Command
from tests.support.tiny_workspace import RECIPE

from saccade.cli.console import print_json
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow


def assert_untouched(location: Path, datasets: int = 0) -> None:
    """Check that no dataset was added, and that the workspace has no problems."""
    with Workspace.open(location) as workspace:
        assert len(workspace.datasets.list()) == datasets
        assert doctor(workspace) == []


def png_header(width: int, height: int) -> bytes:
    """Return a PNG whose header claims a huge size, without pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))


def test_images_that_cannot_be_used_are_set_aside(command: Command, pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    good = sorted((pictures / "images").iterdir())[:3]
    for path in good:
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "truncated.jpg").write_bytes(good[0].read_bytes()[:5000])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "huge.png").write_bytes(png_header(60_000, 60_000))
    (folder / "text.png").write_text("this is not an image")
    result = command.json("import", folder, "--dataset", "photos")
    assert (result["items"], result["skipped"]) == (3, 4)
    findings = result["report"]["findings"]
    details = {finding["key"]: finding["detail"] for finding in findings if finding["action"] == "skipped"}
    assert set(details) == {"truncated", "empty", "huge", "text"}
    assert "60000" in details["huge"].replace(",", "").replace(" ", "")
    assert all(details.values())
    with Workspace.open(command.workspace) as workspace:
        assert doctor(workspace, deep=True) == []


def test_skipped_images_are_listed(command: Command, pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "good.jpg").write_bytes(next((pictures / "images").iterdir()).read_bytes())
    (folder / "wrong.jpg").write_bytes(b"\xff\xd8\xff and nothing more")
    ran = command("import", folder, "--dataset", "photos")
    assert "1 skipped" in ran.text
    assert "wrong" in ran.text


def test_only_unreadable_images(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "wrong.jpg").write_bytes(b"\xff\xd8\xff and nothing more")
    ran = command.fails("import", folder, "--dataset", "photos", code="format")
    assert "None of the 1 images" in ran.err
    assert_untouched(command.workspace)


@pytest.mark.parametrize(("source", "code"), [("nowhere", "not-found"), ("empty", "format"), ("texts", "format")])
def test_sources_without_images(command: Command, tmp_path: Path, source: str, code: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "notes.txt").write_text("no pictures here")
    ran = command.fails("import", tmp_path / source, "--dataset", "d", code=code)
    assert source in ran.err
    assert_untouched(command.workspace)


def test_a_folder_without_labels_is_imported_as_images(command: Command, pictures: Path) -> None:
    result = command.json("import", pictures / "images", "--dataset", "photos")
    assert (result["format"], result["items"]) == ("images", 10)
    recipe = command.workspace / "r.yaml"
    recipe.write_text(RECIPE.replace("harbour", "photos"))
    ran = command.fails("train", recipe, code="recipe")
    assert "'photos' has no column 'objects'" in ran.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--format", "cocco"], "coco"),
        (["--split", "train=0.8,val=0.1"], "add up to 1"),
        (["--split", "train"], "train=0.8,val=0.2"),
        (["--split", "train=0.8,val=0.2", "--split-group", "("], "regular expression"),
        (["--split", "train=0.8,val=0.2", "--split-group", "no-such"], "does not match"),
        (["--dataset", "a/b"], "a/b"),
        (["--option", "colour=red"], "colour"),
    ],
)
def test_wrong_import_options(command: Command, pictures: Path, args: list[str], message: str) -> None:
    arguments = args if "--dataset" in args else [*args, "--dataset", "d"]
    ran = command("import", pictures, *arguments)
    assert ran.code == 1, ran
    assert message in ran.text
    assert "Traceback" not in ran.text
    assert_untouched(command.workspace)


def test_an_existing_dataset_name(trained_command: Command, pictures: Path) -> None:
    ran = trained_command.fails("import", pictures, "--dataset", "harbour", code="conflict")
    assert "Choose another name" in ran.err
    assert_untouched(trained_command.workspace, datasets=1)


RECIPES = {
    "misspelt key": (RECIPE.replace("epochs:", "epoch:"), "epochs"),
    "misspelt group": (RECIPE.replace("train:", "trian:"), "train"),
    "unknown backbone": (
        RECIPE.replace("{type: csp, widths: [8, 16, 24, 32], depths: [1, 1, 1, 1]}", "{type: timm, name: resnet1888}"),
        "resnet1",
    ),
    "unknown encoder": (RECIPE.replace("type: csp", "type: cspp"), "csp"),
    "unknown head": (RECIPE.replace("type: dense_boxes", "type: dense_box"), "dense_boxes"),
    "unknown augmentation": (RECIPE.replace("type: flip", "type: flop"), "flip"),
    "wrong number": (RECIPE.replace("epochs: 2", "epochs: -2"), "epochs"),
    "wrong type": (RECIPE.replace("epochs: 2", "epochs: many"), "epochs"),
    "unknown target": (RECIPE.replace("objects: {type", "object: {type"), "objects"),
    "unknown split": (RECIPE.replace("data: {dataset: harbour}", "data: {dataset: harbour, train: trian}"), "trian"),
    "not yaml": ("name: [ships", "YAML"),
    "yaml tag": ("name: !!python/object/apply:os.system ['true']\n", "YAML"),
    "no mapping": ("- 1\n- 2\n", "mapping"),
    "empty": ("", "mapping"),
    "no name": (RECIPE.replace("name: ships\n", ""), "name"),
    "unknown dataset": (RECIPE.replace("harbour", "harbor"), "harbour"),
}


NAMES = {"unknown dataset", "unknown encoder", "unknown head", "unknown augmentation"}
"""Recipes with an unknown name, which is a not-found error."""


@pytest.mark.parametrize("wrong", RECIPES)
def test_wrong_recipes(trained_command: Command, tmp_path: Path, wrong: str) -> None:
    text, message = RECIPES[wrong]
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    ran = trained_command.fails("train", path, code="not-found" if wrong in NAMES else "recipe")
    assert message in ran.err
    models = trained_command.json("models", "list")
    assert [model["model"] for model in models] == ["ships@1"]
    assert all(run["state"] != "running" for run in trained_command.json("runs", "list"))


@pytest.mark.parametrize(
    "setting",
    [
        "train.epoch=3",
        "train.epochs",
        "=3",
        "train.epochs=[",
        "augment.7.type=flip",
        "augment.x=1",
        "name.x=1",
        "a.b.c=1",
    ],
)
def test_wrong_settings(trained_command: Command, tmp_path: Path, setting: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    trained_command.fails("train", path, "--set", setting, code="recipe")


def test_a_missing_recipe(trained_command: Command, tmp_path: Path) -> None:
    ran = trained_command.fails("train", tmp_path / "none.yaml", code="recipe")
    assert "none.yaml" in ran.err


MISSING = [
    (["datasets", "show", "harbor"], "harbour"),
    (["datasets", "show", "harbour@9"], "9"),
    (["datasets", "show", "harbour@no-such"], "no-such"),
    (["datasets", "stats", "nothing"], "nothing"),
    (["datasets", "diff", "harbour", "harbour@9"], "9"),
    (["datasets", "alias", "harbour@9", "good"], "9"),
    (["datasets", "rm", "harbor", "--yes"], "harbour"),
    (["export", "harbor", "OUT", "--format", "coco"], "harbour"),
    (["export", "harbour", "OUT", "--format", "coco", "--split", "tests"], "test"),
    (["evaluate", "ship", "harbour"], "ships"),
    (["evaluate", "ships", "harbor"], "harbour"),
    (["evaluate", "ships", "harbour", "--split", "tests"], "test"),
    (["predict", "ship", "harbour"], "ships"),
    (["predict", "ships", "harbour", "--split", "tests", "--out", "OUT"], "test"),
    (["predict", "ships@prod", "harbour"], "prod"),
    (["predict", "ships", "no/such/*.jpg"], "no/such"),
    (["predict", "ships", "no-such-folder"], "no-such-folder"),
    (["models", "show", "ship"], "ships"),
    (["models", "show", "ships@7"], "7"),
    (["models", "promote", "ships@7", "production"], "7"),
    (["models", "compare", "ships", "shops"], "ships"),
    (["models", "export", "shops", "OUT"], "ships"),
    (["runs", "show", "zzzz"], "zzzz"),
]


@pytest.mark.parametrize(("args", "message"), MISSING, ids=[" ".join(args) for args, _ in MISSING])
def test_missing_references(trained_command: Command, tmp_path: Path, args: list[str], message: str) -> None:
    arguments = [str(tmp_path / "out") if arg == "OUT" else arg for arg in args]
    ran = trained_command.fails(*arguments, code="not-found")
    assert message in ran.err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_exports_do_not_overwrite(trained_command: Command, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "keep.txt").write_text("mine")
    trained_command.fails("export", "harbour", tmp_path / "full", "--format", "yolo", code="conflict")
    trained_command.fails("predict", "ships", "harbour", "--out", tmp_path / "full", code="conflict")
    trained_command.fails("predict", "ships", "harbour", "--dataset", "harbour", code="conflict")
    ran = trained_command.fails("export", "harbour", tmp_path / "other", "--format", "yolloo", code="not-found")
    assert "yolo" in ran.err
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["keep.txt"]


def test_no_workspace(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SACCADE_WORKSPACE")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    ran = command.fails("datasets", "list", code="workspace")
    assert "saccade init" in ran.err


def test_a_workspace_that_cannot_be_written(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("a file where a folder should be")
    ran = command("init", file)
    assert (ran.code, "Traceback" in ran.text) == (1, False)
    assert "file" in ran.err
    assert file.read_text() == "a file where a folder should be"
    ran = command("init", file / "below")
    assert (ran.code, "Traceback" in ran.text) == (1, False)


@pytest.mark.slow
def test_a_workspace_on_a_read_only_disk(command: Command, pictures: Path) -> None:
    objects = command.workspace / ".saccade" / "objects"
    for path in sorted(objects.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    objects.rmdir()
    objects.write_text("")  # writes fail with an OSError, even for root
    ran = command("import", pictures, "--dataset", "d")
    assert (ran.code, "Traceback" in ran.text) == (1, False), ran
    objects.unlink()
    objects.mkdir()
    with Workspace.open(command.workspace) as workspace:
        assert not workspace.datasets.exists("d")
    assert command.json("import", pictures, "--dataset", "d")["items"] == 10


def test_demo_into_a_file(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    ran = command("demo", tmp_path / "file")
    assert (ran.code, "Traceback" in ran.text) == (1, False)


def test_predict_without_readable_images_leaves_nothing(trained_command: Command, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "wrong.jpg").write_bytes(b"\xff\xd8\xff and nothing more")
    results = ["--out", tmp_path / "out", "--dataset", "predicted"]
    ran = trained_command.fails("predict", "ships", tmp_path / "photos", *results, code="media")
    assert "wrong" in ran.err
    assert sorted(path.name for path in tmp_path.iterdir() if path.name in ("photos", "out")) == ["photos"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".out")]
    assert_untouched(trained_command.workspace, datasets=1)


def test_files_have_no_splits(trained_command: Command, pictures: Path) -> None:
    ran = trained_command.fails("predict", "ships", pictures / "images", "--split", "test", code="invalid-value")
    assert "no splits" in ran.err


def test_usage_errors_are_printed_as_json(command: Command) -> None:
    for args in (["import", "x", "--split-group", "(.*)"], ["import", "--no-such-option"], ["runs", "show"]):
        ran = command(*args, "--json")
        assert ran.code == 2
        assert ran.data["error"]["code"] == "usage"
        assert ran.data["error"]["message"]


def test_nan_and_infinity_become_null(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"ap": float("nan"), "rows": [(1, float("inf"))], "name": "é"})
    assert json.loads(capsys.readouterr().out) == {"ap": None, "rows": [[1, None]], "name": "é"}
