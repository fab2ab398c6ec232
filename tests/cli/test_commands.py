"""Each command: what it prints for people and for programs."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from PIL import Image
from tests.support.command import Command
from tests.support.tiny_workspace import RECIPE

from saccade.cli.main import app
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.store.workspace import Workspace

HEAVY = ("torch", "torchvision", "timm", "pyarrow", "lance", "sqlalchemy", "cv2", "PIL", "numpy", "sklearn")


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["train", "--help"], ["datasets", "--help"]])
def test_help_imports_nothing_heavy(args: list[str]) -> None:
    program = (
        f"import sys\nsys.argv = ['saccade', *{args}]\nfrom saccade.cli.main import main\n"
        "try:\n    main()\nfinally:\n    print(','.join(sys.modules), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    loaded = set(ran.stderr.strip().splitlines()[-1].split(","))
    assert loaded.isdisjoint(HEAVY), loaded & set(HEAVY)
    assert ran.stdout


def commands(group: object, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], object]]:
    """All commands with their names, those of groups too."""
    found = []
    for name, command in getattr(group, "commands", {}).items():
        if hasattr(command, "commands"):
            found += commands(command, (*path, name))
        else:
            found.append(((*path, name), command))
    return found


ALL = commands(typer.main.get_command(app))


@pytest.mark.parametrize(("path", "found"), ALL, ids=[" ".join(path) for path, _ in ALL])
def test_everything_has_help(path: tuple[str, ...], found: object) -> None:
    assert getattr(found, "help", "").strip()
    for parameter in getattr(found, "params", ()):
        assert getattr(parameter, "help", "").strip(), f"{' '.join(path)}: {parameter.name}"


def test_all_commands_are_there() -> None:
    assert {" ".join(path) for path, _ in ALL} >= {
        "init",
        "import",
        "export",
        "train",
        "evaluate",
        "predict",
        "doctor",
        "demo",
        "datasets list",
        "datasets log",
        "datasets diff",
        "datasets branch",
        "datasets restore",
        "models list",
        "models promote",
        "models export",
        "runs list",
        "runs show",
    }


@pytest.mark.parametrize(
    "args", [["no-such"], ["train"], ["import", "--no-such"], ["evaluate"], ["evaluate", "--truth", "x"]]
)
def test_wrong_usage_is_told_with_code_2(command: Command, args: list[str]) -> None:
    ran = command(*args)
    assert ran.code == 2
    assert "Usage:" in ran.err


def test_empty_workspaces_say_what_to_do(command: Command) -> None:
    assert "saccade import" in command("datasets", "list").text
    assert "saccade train" in command("models", "list").text
    assert "no runs" in command("runs", "list").text
    assert [command.json(name, "list") for name in ("datasets", "models", "runs")] == [[], [], []]


def test_init(command: Command, tmp_path: Path) -> None:
    made = command.json("init", tmp_path / "new")
    assert Path(made["workspace"]).is_dir()
    again = command("init", tmp_path / "new")
    assert again.code == 0, "it is no error that it is there"
    assert "saccade import" in again.text


@pytest.mark.slow
def test_versions_of_a_dataset(trained_command: Command) -> None:
    run = trained_command
    assert [info["name"] for info in run.json("datasets", "list")] == ["harbour"]
    assert run.json("datasets", "show", "harbour")["items"] == 10
    assert "scene000_00" in run("datasets", "show", "harbour", "--limit", "3").text
    assert run("datasets", "alias", "harbour@1", "gold").code == 0
    assert run("datasets", "branch", "harbour@gold", "trial").code == 0
    assert "harbour@2 equals harbour@1" in run("datasets", "restore", "harbour@1", "-m", "back").text
    log = run.json("datasets", "log", "harbour")
    assert (log[0]["number"], log[0]["message"]) == (2, "back")
    assert "gold" in run("datasets", "log", "harbour").text
    same = run.json("datasets", "diff", "harbour@1", "harbour@2")
    assert (same["added"], same["removed"], same["changed"]) == ([], [], [])
    assert "0 changed" in run("datasets", "diff", "harbour@1", "harbour@2").text
    rows = run.json(
        "datasets", "query", "--sql", "harbour", "select split, count(*) as n from items group by split order by split"
    )
    assert rows == [{"split": "test", "n": 2}, {"split": "train", "n": 6}, {"split": "val", "n": 2}]
    assert "train" in run("datasets", "query", "harbour", "select split from items", "--sql").text
    query_of(run)
    assert "Class" in run("datasets", "stats", "harbour").text
    refused = run("datasets", "rm", "harbour", "--yes")
    assert (refused.code, "ships@1" in refused.text) == (1, True)
    assert run("datasets", "rm", "harbour", "--yes", "--force").code == 0
    assert run.json("datasets", "list") == []


def relabelled(location: Path) -> str:
    """Take the first object away from the first item, as a new version; returns the item's key."""
    with Workspace.open(location) as workspace:
        version = workspace.datasets.open("harbour")
        first = next(version.items())
        changed = Item(first.key, {**first.values, "objects": first["objects"][1:]})
        workspace.datasets.write("harbour", version.schema, [changed], mode="merge", message="relabelled")
        return first.key


def test_models(trained_command: Command, tmp_path: Path) -> None:
    run = trained_command
    assert [model["model"] for model in run.json("models", "list")] == ["ships@1"]
    assert "harbour@1" in run("models", "list").text
    assert run.json("models", "promote", "ships", "production") == {
        "model": "ships@1",
        "alias": "production",
        "previous": None,
    }
    shown = run("models", "show", "ships@production")
    assert "comes from" in shown.text
    assert run("models", "export", "ships@production", tmp_path / "exported").code == 0
    names = {path.suffix for path in (tmp_path / "exported").iterdir()}
    assert names <= {".json", ".safetensors", ".yaml"}
    assert ".safetensors" in names
    refused = run("models", "rm", "ships@1", "--yes")
    assert (refused.code, "production" in refused.text) == (1, True)
    assert run("models", "rm", "ships", "--yes", "--force").code == 0
    assert run.json("models", "list") == []
    assert "timm/resnet18" in run.json("models", "backbones", "resnet18")


def test_runs(trained_command: Command) -> None:
    listed = trained_command.json("runs", "list")
    assert [(run["kind"], run["state"]) for run in listed] == [("train", "finished"), ("import", "finished")]
    shown = trained_command.json("runs", "show", listed[0]["id"])
    assert shown["config"]["name"] == "ships"
    assert "ships@1" in trained_command("runs", "list", "--kind", "train").text
    assert "harbour@1" in trained_command("runs", "show", listed[0]["id"]).text


@pytest.mark.slow
def test_tables_of_train_evaluate_predict(trained_command: Command, tmp_path: Path, pictures: Path) -> None:
    recipe = tmp_path / "ships.yaml"
    recipe.write_text(RECIPE)
    checks = trained_command("train", recipe, "--check", "--json").data
    assert all(check["passed"] for check in checks if "overfitted" not in check["name"])
    assert "ok" in trained_command("train", recipe, "--check").text
    told = trained_command("train", recipe, "--set", "train.epochs=1")
    assert (told.code, "Next: saccade evaluate ships@2 harbour" in told.text) == (0, True)
    told = trained_command("evaluate", "ships", "harbour", "--report", tmp_path / "report.html")
    assert "Report:" in told.text
    assert "ap50" in told.text
    picture = sorted((pictures / "images").iterdir())[0]
    told = trained_command("predict", "ships", picture, "--out", tmp_path / "found")
    assert "ships@2 on 1 images" in told.text
    assert (tmp_path / "found" / "pictures" / f"{picture.stem}.jpg").exists()


def test_doctor(trained_command: Command) -> None:
    assert "Nothing is wrong" in trained_command("doctor").text
    objects = trained_command.workspace / ".saccade" / "objects"
    victim = next(path for path in objects.glob("*/*") if path.is_file())
    victim.chmod(0o644)
    victim.write_bytes(b"damaged")
    ran = trained_command("doctor", "--deep")
    assert (ran.code, "error" in ran.text) == (1, True)
    assert trained_command("doctor", "--deep", "--json").data["problems"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "files", "expected"),
    [
        (
            "boxes",
            ("coco-eval/instances_val2014_100.json", "coco-eval/instances_val2014_fakebbox100_results.json"),
            {"ap": 0.505, "ap50": 0.697, "ap75": 0.573},
        ),
        (
            "masks",
            ("coco-eval/instances_val2014_100.json", "coco-eval/instances_val2014_fakesegm100_results.json"),
            {"ap": 0.320, "ap50": 0.562, "ap75": 0.299},
        ),
        ("keypoints", ("coco-keypoints/gt_dataset.json", "coco-keypoints/dt_dataset.json"), {}),
    ],
)
def test_evaluate_files(
    command: Command, shared_data: Path, kind: str, files: tuple[str, str], expected: dict[str, float]
) -> None:
    truth, predictions = (shared_data / name for name in files)
    got = command.json("evaluate", "--truth", truth, "--predictions", predictions, "--kind", kind)
    for name, value in {**expected, **by_pycocotools(truth, predictions, kind)}.items():
        assert got[name] == pytest.approx(value, abs=5e-4 if name in expected and value == expected[name] else 1e-9)
    assert got["per_class"]
    assert "ap50" in command("evaluate", "--truth", truth, "--predictions", predictions, "--kind", kind).text


def by_pycocotools(truth: Path, predictions: Path, kind: str) -> dict[str, float]:
    """The twelve (or ten) figures of the reference implementation."""
    import contextlib
    import io

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    name = {"boxes": "bbox", "masks": "segm", "keypoints": "keypoints"}[kind]
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO(str(truth))
        evaluation = COCOeval(known, known.loadRes(json.loads(predictions.read_text())), name)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(("ap", "ap50", "ap75"), map(float, evaluation.stats[:3]), strict=True))


@pytest.mark.slow
def test_interrupted_import_leaves_nothing(command: Command, tmp_path: Path, pictures: Path) -> None:
    """Ctrl-C, as a real signal to a real process, in the middle of an import."""
    import os
    import signal
    import time

    folder = tmp_path / "photos"
    folder.mkdir()
    tiny = io.BytesIO()
    Image.new("RGB", (8, 8)).save(tiny, "jpeg")
    for number in range(10_000):  # each of its own content, so that each is written: that takes longer than a wait here
        (folder / f"{number:05}.jpg").write_bytes(tiny.getvalue() + number.to_bytes(4))
    # A shell lets what it starts in the background ignore SIGINT, and these tests may run there.
    program = (
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from saccade.cli.main import main\nmain()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, "import", str(folder), "--dataset", "photos"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    objects = command.workspace / ".saccade" / "objects"
    deadline = time.monotonic() + 60
    while not any(objects.glob("*/*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "Stopped" in said, "Traceback" in said) == (130, True, False), said
    assert command.json("datasets", "list") == []
    assert command.json("doctor")["problems"] == []
    assert command.json("import", pictures, "--dataset", "photos")["items"] == 10


def query_of(run: Command) -> None:
    """The query language on the dataset of the test above."""
    asked = run.json("datasets", "query", "harbour", 'split == "val" and count(objects) >= 0', "--limit", "1")
    assert (asked["count"], len(asked["keys"])) == (2, 1)
    assert "2 of 10 items" in run("datasets", "query", "harbour", 'split == "val"').text
    splits = run.json("datasets", "histogram", "harbour", "split")["values"]
    assert splits == [{"value": "train", "count": 6}, {"value": "test", "count": 2}, {"value": "val", "count": 2}]
    assert "█" in run("datasets", "histogram", "harbour", "area", "--over", "objects", "--bins", "3").text
    wrong = run("datasets", "query", "harbour", 'splt == "val"')
    assert wrong.code == 1
    assert '\n  splt == "val"\n  ^^^^\nDid you mean split?' in wrong.err
    out = run.workspace.parent / "of-val"
    run.json("export", "harbour", out, "--format", "coco", "--where", 'split == "val"')
    assert len(json.loads((out / "annotations" / "instances_val.json").read_bytes())["images"]) == 2


@pytest.mark.slow
def test_merging_on_the_command_line(command: Command, tmp_path: Path) -> None:
    schema = Schema((Column("note", Kind.TEXT),))
    with Workspace.create(command.workspace) as workspace:
        workspace.datasets.write("d", schema, [Item("a", {"note": "x"}), Item("b", {"note": "x"})], mode="create")
    assert command("datasets", "tag", "d@1", "first").code == 0
    assert command("datasets", "branch", "d", "trial").code == 0
    with Workspace.open(command.workspace) as workspace:
        workspace.datasets.write("d", schema, [Item("a", {"note": "y"}), Item("b", {"note": "y"})], mode="merge")
        theirs = [Item("a", {"note": "z"}), Item("b", {"note": "z"}), Item("c", {"note": "z"})]
        workspace.datasets.write("d", schema, theirs, mode="merge", branch="trial")
    refused = command("datasets", "merge", "d@trial")
    assert (refused.code, "2 conflicts: a/note, b/note" in refused.text) == (1, True)
    listed = command("datasets", "merge", "d@trial", "--json")
    assert (listed.code, listed.data["error"]["code"]) == (1, "merge-conflict")
    planned = command.json("datasets", "merge", "d@trial", "--dry-run")
    assert planned["conflicts"] == listed.data["conflicts"]
    assert (planned["version"], planned["added"], planned["changed"]) == (None, 1, 0)
    assert "would make: 1 added" in command("datasets", "merge", "d@trial", "--dry-run").text
    planned["conflicts"][0]["take"] = "theirs"
    file = tmp_path / "settled.json"
    file.write_text(json.dumps(planned))
    command.fails("datasets", "merge", "d@trial", "--resolve", file, code="merge-conflict")
    command.fails("datasets", "merge", "d@trial", "--take", "mine", code="invalid-value")
    file.with_name("bad.json").write_text("[]")
    command.fails("datasets", "merge", "d@trial", "--resolve", file.with_name("bad.json"), code="invalid-value")
    done = command("datasets", "merge", "d@trial", "--resolve", file, "--take", "ours")
    assert "d@4 is d@2 with d@3: 1 added, 0 removed, 1 changed" in done.text
    with Workspace.open(command.workspace) as workspace:
        notes = {item.key: item["note"] for item in workspace.datasets.open("d").items()}
    assert notes == {"a": "z", "b": "y", "c": "z"}
    assert "d@4 has everything of d@3 already" in command("datasets", "merge", "d@trial").text
    assert "first (tag)" in command("datasets", "log", "d").text
    command.fails("datasets", "alias", "d@2", "first", code="conflict")
    assert "it named d@1" in command("datasets", "unalias", "d@first").text
    assert command("datasets", "alias", "d@2", "first").code == 0


@pytest.mark.slow
def test_pushing_pulling_and_clearing_away(command: Command, tmp_path: Path, pictures: Path) -> None:
    assert command("init", command.workspace.parent).code == 0
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    assert command("import", folder, "--dataset", "d", "--link").code == 0
    sent = command.json("datasets", "push", "d", tmp_path / "place")
    assert (sent["versions"], sent["files"] > 10) == (["d@1"], True)
    assert "nothing new, 0 files" in command("datasets", "push", "d", tmp_path / "place").text
    left = command("datasets", "push", "d", tmp_path / "small.zip", "--no-linked").text
    assert "10 files that the dataset only refers to were left out" in left
    other = tmp_path / "other"
    assert command("init", other).code == 0
    assert "1 new versions" in command("datasets", "pull", tmp_path / "place", "-w", other).text
    assert "d@1" in command("datasets", "show", "d", "-w", other).text
    command.fails("datasets", "pull", tmp_path / "place", "nothing", code="not-found")
    folder.rename(tmp_path / "moved")
    broken = command("doctor", "--json")
    assert (broken.code, "10 files that are referred to are gone" in broken.data["problems"][0]["what"]) == (1, True)
    mended = command("doctor", "--relink", tmp_path / "moved")
    assert (mended.code, "10 linked files were found again, 0 were not" in mended.text) == (0, True)
    assert len(command.json("doctor", "--relink", tmp_path / "moved")["relinked"]["found"]) == 0
    assert command("datasets", "rm", "d", "--yes", "--force", "-w", other).code == 0
    planned = command.json("gc", "--dry-run", "-w", other)
    assert planned["objects"] == 10
    assert "Removed 10 objects" in command("gc", "-w", other).text
    assert command.json("gc", "-w", other) == {"objects": 0, "leftovers": 0, "bytes": 0, "dry_run": False}


def test_a_picture_of_an_item(trained_command: Command, tmp_path: Path) -> None:
    from saccade.media.image import probe

    run = trained_command
    key = run.json("datasets", "show", "harbour")["first"][0]
    assert "pixels" in run("datasets", "picture", "harbour", key, str(tmp_path / "a.png"), "--max-size", "80").text
    assert max(probe(tmp_path / "a.png").size_wh) == 80
    part = ["--part", "10,20,60,50", "--no-objects"]
    assert run("datasets", "picture", "harbour", key, str(tmp_path / "b.jpg"), *part).code == 0
    assert probe(tmp_path / "b.jpg").size_wh == (50, 30)
    for wrong, message in (
        ([key, "c.gif"], "not as 'c.gif'"),
        ([key, str(tmp_path / "a.png")], "already a file"),
        ([key, str(tmp_path / "c.png"), "--part", "1,2,3"], "no part of an image"),
        (["nobody", str(tmp_path / "c.png")], "There is no item"),
    ):
        refused = run("datasets", "picture", "harbour", *wrong)
        assert refused.code == 1
        assert message in refused.text
    assert not (tmp_path / "c.png").exists()
