"""For each thing that may change: what is worked on again, and what is not."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.pipeline.conftest import COUNT, SCHEMA, Field

from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.pipeline.cache.key import library_version
from saccade.pipeline.execution import bound_step
from saccade.pipeline.execution.environment import cache_of
from saccade.store.workspace import Workspace

ALL, ONE, NONE = COUNT, 1, 0


def library(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bound_step, "library_version", lambda name: "0.0" if name == "numpy" else library_version(name))


CHANGES: dict[str, tuple[Callable[[Field, pytest.MonkeyPatch], None], int]] = {
    "nothing": (lambda field, _: None, NONE),
    "code of the operation": (lambda field, _: field.edit("steps.py", "+ OFFSET", "- OFFSET"), ALL),
    "code of a helper": (lambda field, _: field.edit("helpers.py", "value * 2", "value + value"), ALL),
    "code of a helper that is not used": (lambda field, _: field.edit("helpers.py", "value * 3", "value * 4"), NONE),
    "code of another operation": (lambda field, _: field.edit("steps.py", "float(len", "-float(len"), NONE),
    "a constant": (lambda field, _: field.edit("steps.py", "OFFSET = 1", "OFFSET = 5"), ALL),
    "a parameter's default": (lambda field, _: field.edit("steps.py", "factor: float = 2", "factor: float = 3"), ALL),
    "a comment": (lambda field, _: field.edit("steps.py", "OFFSET = 1", "OFFSET = 1  # one"), NONE),
    "the formatting": (lambda field, _: field.edit("steps.py", "+ OFFSET}", "+  (OFFSET)}"), NONE),
    "a docstring": (lambda field, _: field.edit("steps.py", '"""Shift a number."""', '"""Move a number."""'), NONE),
    "an annotation": (lambda field, _: field.edit("helpers.py", "(value: float)", "(value)"), NONE),
    "a column that is read": (lambda field, _: field.merge(Item("k03", {"x": 77.0}), columns=("x",)), ONE),
    "a column that is not read": (lambda field, _: field.merge(Item("k03", {"note": "m"}), columns=("note",)), NONE),
    "an item more": (lambda field, _: field.merge(Item("k99", {"x": 1.5, "note": "n"}), columns=("x", "note")), ONE),
    "an item less": (lambda field, _: void(field.workspace.datasets.delete_items("d", ["k03"])), NONE),
    "the version of a library": (library, ALL),
    "a file that is touched": (lambda field, _: os.utime(field.folder / "steps.py"), NONE),
    "a file that is written anew": (lambda field, _: rewrite(field.folder / "steps.py"), NONE),
}


def void(_: object) -> None:
    """What an expression gives, forgotten."""


def rewrite(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


QUICK = {"code of a helper"}


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=[] if what in QUICK else pytest.mark.slow) for what in CHANGES]
)
def test_what_runs_again(what: str, field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(field.worked(field.step())) == ALL
    change, expected = CHANGES[what]
    change(field, monkeypatch)
    graph = field.step()
    assert len(field.worked(graph)) == expected
    fresh = field.items(graph, "made")
    shutil.rmtree(cache_of(field.workspace).folder)
    assert field.items(graph, "made") == fresh


@pytest.mark.slow
def test_a_parameter_and_back(field: Field) -> None:
    assert len(field.worked(field.step(factor=2))) == ALL
    assert len(field.worked(field.step(factor=3))) == ALL
    assert len(field.worked(field.step(factor=2))) == NONE
    assert len(field.worked(field.step())) == NONE, "a default that is written out"


@pytest.mark.slow
def test_class_names(field: Field) -> None:
    """An operation that reads a column with classes depends on them; one that does not read it does not."""
    assert len(field.worked(field.step("count"))) == ALL
    assert len(field.worked(field.step())) == ALL
    more = replace(SCHEMA["objects"], classes=(*SCHEMA["objects"].classes, ClassInfo("tram")))
    field.workspace.datasets.write("d", Schema((more,)), [], mode="merge")
    assert field.workspace.datasets.open("d").schema["objects"].class_names[-1] == "tram"
    assert len(field.worked(field.step("count"))) == ALL
    assert len(field.worked(field.step())) == NONE


@pytest.mark.slow
def test_items_that_are_alike_are_worked_on_once(field: Field) -> None:
    """The same content under another dataset's name, in another order."""
    assert len(field.worked(field.step())) == ALL
    items = list(reversed(list(field.workspace.datasets.open("d").items())))
    field.workspace.datasets.write("e", SCHEMA, items, mode="create")
    assert len(field.worked(field.step(source="e"))) == NONE


@pytest.mark.slow
def test_a_workspace_that_was_moved(field: Field, tmp_path: Path) -> None:
    assert len(field.worked(field.step())) == ALL
    field.workspace.close()
    (tmp_path / "home").rename(tmp_path / "elsewhere")
    shutil.move(field.folder, tmp_path / "other_steps")
    with Workspace.open(tmp_path / "elsewhere") as moved:
        field.workspace, field.folder = moved, tmp_path / "other_steps"
        assert len(field.worked(field.step())) == NONE


@pytest.mark.slow
def test_output_that_stays_stops_the_change(field: Field) -> None:
    """A step whose input changed but whose output did not: what follows does not run."""
    graph = field.graph(
        {
            "data": ("dataset", {"name": "d"}),
            "sign": ("calculate", {"column": "x", "value": "x >= 0"}, ["data"]),
            "made": ("steps.py:shift", {}, ["sign"]),
        }
    )
    assert len(field.worked(graph)) == ALL
    field.merge(Item("k03", {"x": 77.0}), columns=("x",))
    assert field.run(graph).steps[1].worked == ONE
    assert len(field.worked(graph)) == NONE
    assert [step.action for step in field.run(graph).steps][2] == "skip"


@pytest.mark.slow
def test_two_pipelines_share_a_step(field: Field) -> None:
    assert len(field.worked(field.step())) == ALL
    graph = replace(field.step(), name="another")
    assert len(field.worked(graph)) == NONE


@pytest.mark.slow
def test_a_source_is_read_again_by_its_content(field: Field, tmp_path: Path, pictures: Path) -> None:
    source = shutil.copytree(pictures, tmp_path / "source")
    graph = field.graph({"read": ("import", {"source": str(source), "dataset": "read"})})

    def action() -> str:
        time.sleep(0.01)
        return str(field.run(graph).steps[0].action)

    assert action() == "run"
    assert action() == "skip"
    images = sorted(source.rglob("*.jpg"))
    os.utime(images[0])
    assert action() == "skip", "touched"
    times = images[0].stat()
    data = bytearray(images[0].read_bytes())
    images[0].write_bytes(bytes(data) + b"!")
    os.utime(images[0], ns=(times.st_atime_ns, times.st_mtime_ns))
    assert action() == "run", "changed in place, with the time of before"
    assert field.workspace.datasets.open("read").number == 2


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["cut", "flip", "remove"])
def test_results_that_are_damaged_are_made_again(harm: str, field: Field) -> None:
    graph = field.step()
    field.run(graph)
    before = field.items(graph, "made")
    for path in cache_of(field.workspace).folder.rglob("*"):
        if not path.is_file() or path.suffix not in (".segment", ".cells", ".json"):
            continue
        data = path.read_bytes()
        if harm == "remove":
            path.unlink()
        elif harm == "cut":
            path.write_bytes(data[: len(data) // 2])
        else:
            path.write_bytes(data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :])
        assert field.items(graph, "made") == before, path.name


@pytest.mark.slow
def test_a_result_whose_picture_is_gone_is_made_again(field: Field, pictures: Path) -> None:
    """A hit is checked: an image that somebody removed from the store."""
    graph = field.graph(
        {
            "read": ("import", {"source": str(pictures), "dataset": "read"}),
            "tiles": ("tile", {"size": 160}, ["read"]),
        }
    )
    tiles = field.items(graph, "tiles")
    field.workspace.objects.remove(tiles[0]["image"].digest)
    again = field.items(graph, "tiles")
    assert again == tiles
    assert field.workspace.objects.exists(tiles[0]["image"].digest)


@pytest.mark.slow
def test_a_backup_that_was_put_back_is_another_history(field: Field, tmp_path: Path) -> None:
    """Version 2 of before and version 2 of now are two things, also where version 3 is what version 2 was."""
    location = field.workspace.location
    backup = shutil.copytree(location, tmp_path / "backup")
    field.merge(Item("k03", {"x": 77.0}), columns=("x",))
    graph = field.graph({"data": ("dataset", {"name": "d"}), "kept": ("filter", {"where": "x > 5"}, ["data"])})
    before = field.items(graph, "kept")
    field.workspace.close()
    cache = shutil.move(cache_of(field.workspace).folder, tmp_path / "cache")
    shutil.rmtree(location)
    shutil.copytree(backup, location)
    shutil.rmtree(location / "cache", ignore_errors=True)
    (location / "cache").mkdir()
    shutil.move(cache, location / "cache" / "pipelines")
    with Workspace.open(location) as restored:
        field.workspace = restored
        field.merge(Item("k03", {"x": -1.0}), columns=("x",))
        assert [item["x"] for item in field.items(graph, "kept")] == [float(at) for at in range(6, COUNT)]
        field.merge(Item("k03", {"x": 77.0}), columns=("x",))
        assert field.items(graph, "kept") == before


def test_columns_of_kinds(field: Field) -> None:
    """A new column has the kind that the operation declares."""
    field.run(graph := field.step())
    table = field.run(graph)["made"].table
    assert table is not None
    assert table.schema["y"] == Column("y", Kind.NUMBER)
