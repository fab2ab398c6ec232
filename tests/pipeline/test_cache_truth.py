"""Cache invalidation: for each kind of change, the items that are computed again and those that are not."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.pipeline.conftest import COUNT, SCHEMA, Harness

from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.pipeline.cache.key import library_version
from saccade.pipeline.execution import bound_step
from saccade.pipeline.execution.environment import open_cache
from saccade.store.workspace import Workspace

ALL, ONE, NONE = COUNT, 1, 0


def library(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bound_step, "library_version", lambda name: "0.0" if name == "numpy" else library_version(name))


CHANGES: dict[str, tuple[Callable[[Harness, pytest.MonkeyPatch], None], int]] = {
    "nothing": (lambda harness, _: None, NONE),
    "code of the operation": (lambda harness, _: harness.edit("steps.py", "+ OFFSET", "- OFFSET"), ALL),
    "code of a helper": (lambda harness, _: harness.edit("helpers.py", "value * 2", "value + value"), ALL),
    "code of an unused helper": (
        lambda harness, _: harness.edit("helpers.py", "value * 3", "value * 4"),
        NONE,
    ),
    "code of another operation": (lambda harness, _: harness.edit("steps.py", "float(len", "-float(len"), NONE),
    "a constant": (lambda harness, _: harness.edit("steps.py", "OFFSET = 1", "OFFSET = 5"), ALL),
    "a parameter's default": (
        lambda harness, _: harness.edit("steps.py", "factor: float = 2", "factor: float = 3"),
        ALL,
    ),
    "a comment": (lambda harness, _: harness.edit("steps.py", "OFFSET = 1", "OFFSET = 1  # one"), NONE),
    "the formatting": (lambda harness, _: harness.edit("steps.py", "+ OFFSET}", "+  (OFFSET)}"), NONE),
    "a docstring": (lambda harness, _: harness.edit("steps.py", '"""Shift a number."""', '"""Move a number."""'), NONE),
    "an annotation": (lambda harness, _: harness.edit("helpers.py", "(value: float)", "(value)"), NONE),
    "a column that is read": (lambda harness, _: harness.merge(Item("k03", {"x": 77.0}), columns=("x",)), ONE),
    "a column that is not read": (
        lambda harness, _: harness.merge(Item("k03", {"note": "m"}), columns=("note",)),
        NONE,
    ),
    "an added item": (
        lambda harness, _: harness.merge(Item("k99", {"x": 1.5, "note": "n"}), columns=("x", "note")),
        ONE,
    ),
    "a removed item": (lambda harness, _: void(harness.workspace.datasets.delete_items("d", ["k03"])), NONE),
    "the version of a library": (library, ALL),
    "a touched file": (lambda harness, _: os.utime(harness.folder / "steps.py"), NONE),
    "a rewritten file": (lambda harness, _: rewrite(harness.folder / "steps.py"), NONE),
}


def void(_: object) -> None:
    """Discard a value, in a lambda that must return None."""


def rewrite(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


QUICK = {"code of a helper"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in CHANGES]
)
def test_computed_items_after_a_change(name: str, harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(harness.computed_keys(harness.step())) == ALL
    change, expected = CHANGES[name]
    change(harness, monkeypatch)
    graph = harness.step()
    assert len(harness.computed_keys(graph)) == expected
    fresh = harness.items(graph, "made")
    shutil.rmtree(open_cache(harness.workspace).folder)
    assert harness.items(graph, "made") == fresh


@pytest.mark.slow
def test_a_parameter_and_back(harness: Harness) -> None:
    assert len(harness.computed_keys(harness.step(factor=2))) == ALL
    assert len(harness.computed_keys(harness.step(factor=3))) == ALL
    assert len(harness.computed_keys(harness.step(factor=2))) == NONE
    assert len(harness.computed_keys(harness.step())) == NONE, "an explicit default"


@pytest.mark.slow
def test_class_names(harness: Harness) -> None:
    """An operation that reads a column with classes depends on them; one that does not read it does not."""
    assert len(harness.computed_keys(harness.step("count"))) == ALL
    assert len(harness.computed_keys(harness.step())) == ALL
    more = replace(SCHEMA["objects"], classes=(*SCHEMA["objects"].classes, ClassInfo("tram")))
    harness.workspace.datasets.write("d", Schema((more,)), [], mode="merge")
    assert harness.workspace.datasets.open("d").schema["objects"].class_names[-1] == "tram"
    assert len(harness.computed_keys(harness.step("count"))) == ALL
    assert len(harness.computed_keys(harness.step())) == NONE


@pytest.mark.slow
def test_identical_items_are_computed_once(harness: Harness) -> None:
    """The same content in another dataset and in another order is cached."""
    assert len(harness.computed_keys(harness.step())) == ALL
    items = list(reversed(list(harness.workspace.datasets.open("d").items())))
    harness.workspace.datasets.write("e", SCHEMA, items, mode="create")
    assert len(harness.computed_keys(harness.step(source="e"))) == NONE


@pytest.mark.slow
def test_a_moved_workspace_keeps_its_cache(harness: Harness, tmp_path: Path) -> None:
    assert len(harness.computed_keys(harness.step())) == ALL
    harness.workspace.close()
    (tmp_path / "home").rename(tmp_path / "elsewhere")
    shutil.move(harness.folder, tmp_path / "other_steps")
    with Workspace.open(tmp_path / "elsewhere") as moved:
        harness.workspace, harness.folder = moved, tmp_path / "other_steps"
        assert len(harness.computed_keys(harness.step())) == NONE


@pytest.mark.slow
def test_unchanged_output_stops_the_change(harness: Harness) -> None:
    """If the output of a step stays the same, the following steps do not run."""
    graph = harness.graph(
        {
            "data": ("dataset", {"name": "d"}),
            "sign": ("calculate", {"column": "x", "value": "x >= 0"}, ["data"]),
            "made": ("steps.py:shift", {}, ["sign"]),
        }
    )
    assert len(harness.computed_keys(graph)) == ALL
    harness.merge(Item("k03", {"x": 77.0}), columns=("x",))
    assert harness.run(graph).steps[1].computed == ONE
    assert len(harness.computed_keys(graph)) == NONE
    assert [step.action for step in harness.run(graph).steps][2] == "skip"


@pytest.mark.slow
def test_two_pipelines_share_a_step(harness: Harness) -> None:
    assert len(harness.computed_keys(harness.step())) == ALL
    graph = replace(harness.step(), name="another")
    assert len(harness.computed_keys(graph)) == NONE


@pytest.mark.slow
def test_a_source_is_identified_by_its_content(harness: Harness, tmp_path: Path, pictures: Path) -> None:
    source = shutil.copytree(pictures, tmp_path / "source")
    graph = harness.graph({"read": ("import", {"source": str(source), "dataset": "read"})})

    def action() -> str:
        time.sleep(0.01)
        return str(harness.run(graph).steps[0].action)

    assert action() == "run"
    assert action() == "skip"
    images = sorted(source.rglob("*.jpg"))
    os.utime(images[0])
    assert action() == "skip", "touched"
    times = images[0].stat()
    data = bytearray(images[0].read_bytes())
    images[0].write_bytes(bytes(data) + b"!")
    os.utime(images[0], ns=(times.st_atime_ns, times.st_mtime_ns))
    assert action() == "run", "changed in place, with the old time"
    assert harness.workspace.datasets.open("read").number == 2


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
def test_damaged_results_are_computed_again(damage: str, harness: Harness) -> None:
    graph = harness.step()
    harness.run(graph)
    before = harness.items(graph, "made")
    for path in open_cache(harness.workspace).folder.rglob("*"):
        if not path.is_file() or path.suffix not in (".segment", ".cells", ".json"):
            continue
        data = path.read_bytes()
        if damage == "remove":
            path.unlink()
        elif damage == "cut":
            path.write_bytes(data[: len(data) // 2])
        else:
            path.write_bytes(data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :])
        assert harness.items(graph, "made") == before, path.name


@pytest.mark.slow
def test_a_result_with_a_missing_image_is_computed_again(harness: Harness, pictures: Path) -> None:
    """A cached result is verified: here an image was removed from the store."""
    graph = harness.graph(
        {
            "read": ("import", {"source": str(pictures), "dataset": "read"}),
            "tiles": ("tile", {"size": 160}, ["read"]),
        }
    )
    tiles = harness.items(graph, "tiles")
    harness.workspace.blobs.delete(tiles[0]["image"].digest)
    again = harness.items(graph, "tiles")
    assert again == tiles
    assert harness.workspace.blobs.exists(tiles[0]["image"].digest)


@pytest.mark.slow
def test_a_restored_backup_does_not_reuse_results_by_number(harness: Harness, tmp_path: Path) -> None:
    """After a restore, version 2 is another version than before, even if version 3 has its content."""
    location = harness.workspace.location
    backup = shutil.copytree(location, tmp_path / "backup")
    harness.merge(Item("k03", {"x": 77.0}), columns=("x",))
    graph = harness.graph({"data": ("dataset", {"name": "d"}), "kept": ("filter", {"where": "x > 5"}, ["data"])})
    before = harness.items(graph, "kept")
    harness.workspace.close()
    cache = shutil.move(open_cache(harness.workspace).folder, tmp_path / "cache")
    shutil.rmtree(location)
    shutil.copytree(backup, location)
    shutil.rmtree(location / "cache", ignore_errors=True)
    (location / "cache").mkdir()
    shutil.move(cache, location / "cache" / "pipelines")
    with Workspace.open(location) as restored:
        harness.workspace = restored
        harness.merge(Item("k03", {"x": -1.0}), columns=("x",))
        assert [item["x"] for item in harness.items(graph, "kept")] == [float(at) for at in range(6, COUNT)]
        harness.merge(Item("k03", {"x": 77.0}), columns=("x",))
        assert harness.items(graph, "kept") == before


def test_kind_of_a_new_column(harness: Harness) -> None:
    """A new column has the declared kind."""
    harness.run(graph := harness.step())
    table = harness.run(graph)["made"].table
    assert table is not None
    assert table.schema["y"] == Column("y", Kind.NUMBER)
