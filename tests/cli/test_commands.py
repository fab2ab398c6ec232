"""The output of each command, as text and as JSON."""

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

from saccade.cli.commands import COMMANDS, LazyGroup
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


def test_listing_datasets_imports_no_table_engine(tmp_path: Path) -> None:
    with Workspace.create(tmp_path):
        pass
    program = (
        f"import sys\nsys.argv = ['saccade', 'datasets', 'list', '--workspace', {str(tmp_path)!r}]\n"
        "from saccade.cli.main import main\ntry:\n    main()\n"
        "finally:\n    print(','.join(sys.modules), file=sys.stderr)"
    )
    completed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    loaded = set(completed.stderr.strip().splitlines()[-1].split(","))
    assert loaded.isdisjoint({"lance", "numpy", "pyarrow", "duckdb", "torch", "PIL", "cv2"})


def commands(group: object, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], object]]:
    """Return all commands with their names, including subcommands."""
    listed = []
    for name, command in getattr(group, "commands", {}).items():
        if hasattr(command, "commands"):
            listed += commands(command, (*path, name))
        else:
            listed.append(((*path, name), command))
    return listed


ALL = commands(typer.main.get_command(app))


@pytest.mark.parametrize(("path", "described"), ALL, ids=[" ".join(path) for path, _ in ALL])
def test_commands_and_options_have_help(path: tuple[str, ...], described: object) -> None:
    assert getattr(described, "help", "").strip()
    for parameter in getattr(described, "params", ()):
        assert getattr(parameter, "help", "").strip(), f"{' '.join(path)}: {parameter.name}"


@pytest.mark.parametrize("name", COMMANDS)
def test_summaries_are_the_first_sentence_of_the_help(name: str) -> None:
    """The root help prints summaries without importing the commands."""
    root = typer.main.get_command(app)
    assert isinstance(root, LazyGroup)
    paragraph = (root.commands[name].help or "").split("\n\n")[0].replace("\n", " ")
    assert paragraph.split(". ")[0].rstrip(".") + "." == COMMANDS[name].summary


def test_root_help_lists_all_commands_and_imports_none() -> None:
    program = (
        "import sys\nsys.argv = ['saccade', '--help']\nfrom saccade.cli.main import main\n"
        "try:\n    main()\nfinally:\n    print(','.join(sys.modules), file=sys.stderr)"
    )
    completed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert all(f"\n  {name} " in completed.stdout for name in COMMANDS)
    loaded = set(completed.stderr.strip().splitlines()[-1].split(","))
    assert loaded.isdisjoint({f"saccade.cli.{info.module}" for info in COMMANDS.values()} | {"rich.markdown"})


def test_all_commands_exist() -> None:
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
def test_wrong_usage_exits_with_2(command: Command, args: list[str]) -> None:
    ran = command(*args)
    assert ran.code == 2
    assert "Usage:" in ran.err


def test_empty_workspaces_suggest_the_next_command(command: Command) -> None:
    assert "saccade import" in command("datasets", "list").text
    assert "saccade train" in command("models", "list").text
    assert "no runs" in command("runs", "list").text
    assert [command.json(name, "list") for name in ("datasets", "models", "runs")] == [[], [], []]


def test_init(command: Command, tmp_path: Path) -> None:
    created = command.json("init", tmp_path / "new")
    assert Path(created["workspace"]).is_dir()
    again = command("init", tmp_path / "new")
    assert again.code == 0, "an existing workspace is not an error"
    assert "saccade import" in again.text


@pytest.mark.slow
def test_versions_of_a_dataset(trained_command: Command) -> None:
    run = trained_command
    assert [info["name"] for info in run.json("datasets", "list")] == ["harbour"]
    assert run.json("datasets", "show", "harbour")["items"] == 10
    assert "scene000_00" in run("datasets", "show", "harbour", "--limit", "3").text
    assert run("datasets", "alias", "harbour@1", "gold").code == 0
    assert run("datasets", "branch", "harbour@gold", "trial").code == 0
    assert "Restored harbour@1 as harbour@2" in run("datasets", "restore", "harbour@1", "-m", "back").text
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
    check_queries(run)
    assert "Class" in run("datasets", "stats", "harbour").text
    refused = run("datasets", "rm", "harbour", "--yes")
    assert (refused.code, "ships@1" in refused.text) == (1, True)
    assert run("datasets", "rm", "harbour", "--yes", "--force").code == 0
    assert run.json("datasets", "list") == []


def relabel_first_item(location: Path) -> str:
    """Remove the first object of the first item, as a new version; returns the item's key."""
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
    assert "Lineage" in shown.text
    assert run("models", "export", "ships@production", tmp_path / "exported").code == 0
    names = {path.suffix for path in (tmp_path / "exported").iterdir() if not path.name.startswith(".")}
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
    trained = trained_command("train", recipe, "--set", "train.epochs=1")
    assert (trained.code, "Next: saccade evaluate ships@2 harbour" in trained.text) == (0, True)
    evaluated = trained_command("evaluate", "ships", "harbour", "--report", tmp_path / "report.html")
    assert "Report:" in evaluated.text
    assert "ap50" in evaluated.text
    notes = tmp_path / "notes.html"
    notes.write_text("my notes")
    trained_command.fails("evaluate", "ships", "harbour", "--report", notes, code="conflict")
    assert notes.read_text() == "my notes"
    assert trained_command("evaluate", "ships", "harbour", "--report", notes, "--overwrite").code == 0
    assert "<html" in notes.read_text()
    image = sorted((pictures / "images").iterdir())[0]
    predicted = trained_command("predict", "ships", image, "--out", tmp_path / "predicted")
    assert "ships@2 on 1 image " in predicted.text
    assert (tmp_path / "predicted" / "pictures" / f"{image.stem}.jpg").exists()


def test_doctor(trained_command: Command) -> None:
    assert "No problems found" in trained_command("doctor").text
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
    metrics = command.json("evaluate", "--truth", truth, "--predictions", predictions, "--kind", kind)
    for name, value in {**expected, **by_pycocotools(truth, predictions, kind)}.items():
        assert metrics[name] == pytest.approx(value, abs=5e-4 if name in expected and value == expected[name] else 1e-9)
    assert metrics["per_class"]
    assert "ap50" in command("evaluate", "--truth", truth, "--predictions", predictions, "--kind", kind).text


def by_pycocotools(truth: Path, predictions: Path, kind: str) -> dict[str, float]:
    """Compute AP, AP50 and AP75 with the reference implementation."""
    import contextlib
    import io

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    name = {"boxes": "bbox", "masks": "segm", "keypoints": "keypoints"}[kind]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(truth))
        evaluation = COCOeval(coco, coco.loadRes(json.loads(predictions.read_text())), name)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(("ap", "ap50", "ap75"), map(float, evaluation.stats[:3]), strict=True))


@pytest.mark.slow
def test_interrupted_import_leaves_nothing(command: Command, tmp_path: Path, pictures: Path) -> None:
    """Send SIGINT to a process in the middle of an import."""
    import os
    import signal
    import time

    folder = tmp_path / "photos"
    folder.mkdir()
    tiny = io.BytesIO()
    Image.new("RGB", (8, 8)).save(tiny, "jpeg")
    for number in range(10_000):  # unique contents, so that the import takes longer than one poll below
        (folder / f"{number:05}.jpg").write_bytes(tiny.getvalue() + number.to_bytes(4))
    # A shell makes background processes ignore SIGINT, and the tests may run in the background.
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
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, "Stopped" in stderr, "Traceback" in stderr) == (130, True, False), stderr
    assert command.json("datasets", "list") == []
    assert command.json("doctor")["problems"] == []
    assert command.json("import", pictures, "--dataset", "photos")["items"] == 10


def check_queries(run: Command) -> None:
    """Check the query commands on the dataset of ``test_versions_of_a_dataset``."""
    result = run.json("datasets", "query", "harbour", 'split == "val" and count(objects) >= 0', "--limit", "1")
    assert (result["count"], len(result["keys"])) == (2, 1)
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
def test_merge(command: Command, tmp_path: Path) -> None:
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
    assert "would change: 1 added" in command("datasets", "merge", "d@trial", "--dry-run").text
    planned["conflicts"][0]["resolution"] = "theirs"
    file = tmp_path / "resolved.json"
    file.write_text(json.dumps(planned))
    command.fails("datasets", "merge", "d@trial", "--resolve", file, code="merge-conflict")
    command.fails("datasets", "merge", "d@trial", "--take", "mine", code="invalid-value")
    file.with_name("bad.json").write_text("[]")
    bad = command.fails("datasets", "merge", "d@trial", "--resolve", file.with_name("bad.json"), code="invalid-value")
    assert "Error(" not in bad.text
    merged = command("datasets", "merge", "d@trial", "--resolve", file, "--take", "ours")
    assert "Merged d@3 into d@2 as d@4: 1 added, 0 removed, 1 changed" in merged.text
    with Workspace.open(command.workspace) as workspace:
        notes = {item.key: item["note"] for item in workspace.datasets.open("d").items()}
    assert notes == {"a": "z", "b": "y", "c": "z"}
    assert "Already up to date: d@4 contains d@3" in command("datasets", "merge", "d@trial").text
    assert "first (tag)" in command("datasets", "log", "d").text
    command.fails("datasets", "alias", "d@2", "first", code="conflict")
    assert "was d@1" in command("datasets", "delete-alias", "d@first").text
    assert command("datasets", "alias", "d@2", "first").code == 0


@pytest.mark.slow
def test_push_pull_and_gc(command: Command, tmp_path: Path, pictures: Path) -> None:
    assert command("init", command.workspace.parent).code == 0
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    assert command("import", folder, "--dataset", "d", "--link").code == 0
    pushed = command.json("datasets", "push", "d", tmp_path / "remote")
    assert (pushed["versions"], pushed["files"] > 10) == (["d@1"], True)
    assert "nothing new, 0 files" in command("datasets", "push", "d", tmp_path / "remote").text
    output = command("datasets", "push", "d", tmp_path / "small.zip", "--no-linked").text
    assert "10 linked files were not copied" in output
    other = tmp_path / "other"
    assert command("init", other).code == 0
    assert "1 new version" in command("datasets", "pull", tmp_path / "remote", "-w", other).text
    assert "d@1" in command("datasets", "show", "d", "-w", other).text
    command.fails("datasets", "pull", tmp_path / "remote", "nothing", code="not-found")
    folder.rename(tmp_path / "moved")
    broken = command("doctor", "--json")
    assert (broken.code, "10 linked files are missing" in broken.data["problems"][0]["what"]) == (1, True)
    repaired = command("doctor", "--relink", tmp_path / "moved")
    assert (repaired.code, "10 linked files relocated, 0 still missing" in repaired.text) == (0, True)
    assert len(command.json("doctor", "--relink", tmp_path / "moved")["relinked"]["found"]) == 0
    assert command("datasets", "rm", "d", "--yes", "--force", "-w", other).code == 0
    planned = command.json("gc", "--dry-run", "-w", other)
    assert planned["objects"] == 10
    assert "Deleted 10 files" in command("gc", "-w", other).text
    assert command.json("gc", "-w", other) == {"objects": 0, "leftovers": 0, "bytes": 0, "dry_run": False}


def test_picture_of_an_item(trained_command: Command, tmp_path: Path) -> None:
    from saccade.media.image import probe

    run = trained_command
    key = run.json("datasets", "show", "harbour")["first"][0]
    assert "pixels" in run("datasets", "image", "harbour", key, str(tmp_path / "a.png"), "--max-size", "80").text
    assert max(probe(tmp_path / "a.png").size_wh) == 80
    part = ["--part", "10,20,60,50", "--no-objects"]
    assert run("datasets", "image", "harbour", key, str(tmp_path / "b.jpg"), *part).code == 0
    assert probe(tmp_path / "b.jpg").size_wh == (50, 30)
    for wrong, message in (
        ([key, "c.gif"], "Unsupported file type 'c.gif'"),
        ([key, str(tmp_path / "a.png")], "exists already"),
        ([key, str(tmp_path / "c.png"), "--part", "1,2,3"], "is not a box"),
        (["missing", str(tmp_path / "c.png")], "There is no item"),
    ):
        refused = run("datasets", "image", "harbour", *wrong)
        assert refused.code == 1
        assert message in refused.text
    assert not (tmp_path / "c.png").exists()
