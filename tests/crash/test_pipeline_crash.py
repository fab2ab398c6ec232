"""A pipeline run killed at any moment: the next run continues, with the same result as an uninterrupted one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.pipeline.definition.yaml_loader import load_graph
from saccade.pipeline.execution.engine import LocalEngine
from saccade.pipeline.execution.runner import Runner
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

KILLS = int(os.environ.get("SACCADE_KILLS", "5"))
COUNT = 400
WORKERS = 2
BATCH_SECONDS = 0.5
SECONDS = 0.01
SCHEMA = Schema((Column("image", Kind.IMAGE), Column("x", Kind.NUMBER)))
STEPS = f"""
import os, time
import numpy as np
from saccade.media.image import encode
from saccade.operations import Column, Item, Kind, one_to_many, per_item

def log_item(item):
    log = os.open(os.environ["WORKED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, (item.key + "\\n").encode())
    os.close(log)

@one_to_many("pictures", input_columns=lambda s, schema: ["x"],
             output_columns=lambda s, schema: [Column("image", Kind.IMAGE), Column("part", Kind.NUMBER)])
def pictures(item, settings, context):
    time.sleep({SECONDS})
    log_item(item)
    for part in range(2):
        pixels = np.full((16, 16, 3), int(item["x"]) % 250 + part, np.uint8)
        image = context.put_image(encode(pixels, "png"), "p.png")
        yield Item(f"{{item.key}}-{{part}}", {{"image": image, "part": part}})

@per_item("mean", input_columns=lambda s, schema: ["image"],
          output_columns=lambda s, schema: [Column("mean", Kind.NUMBER)], reads_key=True)
def mean(item, settings, context):
    log_item(item)
    return {{"mean": float(len(context.read_media(item["image"])))}}
"""
PIPELINE = """
name: killed
steps:
  data: {use: dataset, with: {name: d}}
  pictures: {use: "steps.py:pictures", from: data}
  mean: {use: "steps.py:mean", from: pictures}
  some: {use: filter, from: mean, with: {where: part < 1}}
  kept: {use: materialise, from: some, with: {name: out}}
"""


def run_pipeline(location: Path, file: Path) -> list[Item]:
    """Run the pipeline in a workspace, check its images and return its output."""
    with Workspace.open(location) as workspace:
        runner = Runner(workspace, load_graph(file), engine=LocalEngine(WORKERS))
        table = runner.run()["kept"].table
        assert table is not None
        items = list(runner.environment.reader(table).items())
        for item in items:
            assert len(workspace.blobs.read(item["image"].digest)) == item["image"].size
        return items


def create_workspace(location: Path) -> None:
    with Workspace.create(location) as workspace:
        items = [Item(f"k{index:03}", {"image": None, "x": float(index)}) for index in range(COUNT)]
        workspace.datasets.write("d", SCHEMA, items, mode="create")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_killed_runs_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    file = tmp_path / "pipeline.yaml"
    log = tmp_path / "worked.txt"
    (tmp_path / "steps.py").write_text(STEPS)
    file.write_text(PIPELINE)
    monkeypatch.setenv("WORKED", str(tmp_path / "uninterrupted.txt"))
    create_workspace(tmp_path / "uninterrupted")
    expected = run_pipeline(tmp_path / "uninterrupted", file)
    assert len(expected) == COUNT
    monkeypatch.setenv("WORKED", str(log))
    kills = 0
    rounds = 0
    while kills < KILLS:
        rounds += 1
        location = tmp_path / f"home{rounds}"
        create_workspace(location)
        log.write_text("")
        kills_of_round = 0
        command = [
            sys.executable,
            "-m",
            "saccade",
            "run",
            str(file),
            "-w",
            str(location),
            "-q",
            "--processes",
            str(WORKERS),
        ]
        while True:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                _, stderr = process.communicate(timeout=rng.uniform(0.7, 3.5))
                assert process.returncode == 0, stderr
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                kills += 1
                kills_of_round += 1
                time.sleep(0.05)  # until the workers notice that their parent is dead
                if kills >= KILLS:
                    break
        assert run_pipeline(location, file) == expected
        worked = Counter(log.read_text().split())
        assert set(worked) == {item.key for item in expected} | {f"k{index:03}" for index in range(COUNT)} | {
            f"k{index:03}-1" for index in range(COUNT)
        }
        # A batch is half a second of work; one batch per worker and kill may be repeated.
        repeated = sum(count - 1 for key, count in worked.items() if "-" not in key)
        assert repeated <= kills_of_round * WORKERS * 1.2 * BATCH_SECONDS / SECONDS
        with Workspace.open(location) as workspace:
            assert [issue for issue in doctor(workspace, deep=True) if issue.level == "error"] == []
