"""Measure pipelines: ten steps over many items, rerun with no, 1 % or one changed item; two processes and one.

usage: pipeline.py [--items 100000] [--large 1000000] [--pixeltable PYTHON] [--zenml PYTHON] [--folder DIR] [--json]

Each of ten chained steps adds a column: the previous one plus one. As baselines, in virtual environments of their own,
pixeltable does the same with ten computed columns, and zenml runs ten trivial steps that are all cached. Two processes
and one do the same CPU-bound work on 120 items; two and one bare processes run half of the same loop, alternating three
times: the median counts. Prints seconds, microseconds an item and step, milliseconds a step without changes, and
ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

STEPS = 10
OURS = """
import json, sys, time
from pathlib import Path
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.pipeline.execution.engine import LocalEngine
from saccade.pipeline.definition.graph import Graph, Step
from saccade.pipeline.execution.runner import Runner
from saccade.store.workspace import Workspace
folder, count, parts = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
schema = Schema((Column("c0", Kind.NUMBER),))
steps = [Step("data", "dataset", {"name": "d"})]
for number in range(1, 11):
    parameters = {"column": f"c{number}", "value": f"c{number - 1} + 1"}
    steps.append(Step(f"s{number}", "calculate", parameters, {"data": (f"s{number - 1}" if number > 1 else "data",)}))
with Workspace.create(folder) as workspace:
    def change(keys, by):
        items = (Item(f"k{key:07}", {"c0": key + by}) for key in keys)
        workspace.datasets.write("d", schema, items, mode="merge" if workspace.datasets.exists("d") else "create")
    def run():
        start = time.perf_counter()
        outcome = Runner(workspace, Graph("bench", tuple(steps)), engine=LocalEngine(1)).run()
        return time.perf_counter() - start, sum(step.computed for step in outcome.steps)
    change(range(count), 0.0)
    timings = {"full": run()}
    for part in parts:
        if part == "nothing":
            run()
            timings[part] = run()
        elif part == "1 %":
            change(range(0, count, 100), 0.5)
            timings[part] = run()
        else:
            change([count // 2], 0.25)
            timings[part] = run()
print(json.dumps(timings))
"""
PIXELTABLE = """
import json, os, sys, time
from pathlib import Path
os.environ.update(PIXELTABLE_HOME=sys.argv[1], PIXELTABLE_START_DASHBOARD="0")
count = int(sys.argv[2])
Path(sys.argv[1]).mkdir()
Path(sys.argv[1], "plus.py").write_text(
    "import pixeltable as pxt\\n@pxt.udf\\ndef plus_one(value: float) -> float:\\n    return value + 1\\n")
sys.path.insert(0, sys.argv[1])
import pixeltable as pxt
from plus import plus_one
pxt.create_dir("bench")
table = pxt.create_table("bench.d", {"key": pxt.Int, "c0": pxt.Float})
for number in range(1, 11):
    table.add_computed_column(**{f"c{number}": plus_one(getattr(table, f"c{number - 1}"))})
rows = [{"key": key, "c0": float(key)} for key in range(count)]
start = time.perf_counter()
table.insert(rows)
full = time.perf_counter() - start
start = time.perf_counter()
table.update({"c0": table.c0 + 0.5}, where=table.key < count // 100)
print(json.dumps({"full": full, "1 %": time.perf_counter() - start}))
"""
ZENML = """
import json, logging, os, sys, time
os.environ.update(ZENML_CONFIG_PATH=sys.argv[1], ZENML_ANALYTICS_OPT_IN="false", ZENML_LOGGING_VERBOSITY="ERROR")
from zenml import pipeline, step
@step
def plus_one(value: int) -> int:
    return value + 1
@pipeline(enable_cache=True)
def chain():
    value = 0
    for _ in range(10):
        value = plus_one(value)
chain()
chain()
start = time.perf_counter()
chain()
print(json.dumps({"nothing": time.perf_counter() - start}))
"""
CPU = """
import json, sys, time
from pathlib import Path
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.pipeline.execution.engine import LocalEngine
from saccade.pipeline.definition.graph import Graph, Step
from saccade.pipeline.execution.runner import Runner
from saccade.store.workspace import Workspace
folder, processes = Path(sys.argv[1]), int(sys.argv[2])
steps = folder / "steps.py"
folder.mkdir()
steps.write_text('''
from saccade.operations import Column, Kind, per_item
@per_item("work", input_columns=lambda s, schema: ["x"], output_columns=lambda s, schema: [Column("y", Kind.NUMBER)])
def work(item, settings, context):
    value = item["x"]
    for _ in range(2_000_000):
        value = (value * 1.000001 + 1.5) % 1000.0
    return {"y": value}
''')
schema = Schema((Column("x", Kind.NUMBER),))
with Workspace.create(folder) as workspace:
    workspace.datasets.write("d", schema, [Item(f"k{at}", {"x": at + 0.5}) for at in range(120)], mode="create")
    work = Step("work", f"{steps}:work", {}, {"data": ("data",)})
    graph = Graph("cpu", (Step("data", "dataset", {"name": "d"}), work))
    start = time.perf_counter()
    Runner(workspace, graph, engine=LocalEngine(processes)).run()
    print(json.dumps({"seconds": time.perf_counter() - start}))
"""
BARE = '''
import json, subprocess, sys, time
LOOP = """
import sys
def work():
    value = 0.5
    for _ in range(2_000_000):
        value = (value * 1.000001 + 1.5) % 1000.0
for _ in range(int(sys.argv[1])):
    work()
"""
processes = int(sys.argv[1])
start = time.perf_counter()
parts = [subprocess.Popen([sys.executable, "-c", LOOP, str(60 // processes)]) for _ in range(processes)]
for part in parts:
    part.wait()
print(json.dumps({"seconds": time.perf_counter() - start}))
'''
PAIRS = 3


def run(python: str, program: str, *arguments: str) -> dict[str, Any]:
    """Run one measurement in its own process."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "measured.py"  # some peers read the source of a step
        file.write_text(program)
        command = [python, str(file), *arguments]
        completed = subprocess.run(
            command, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    timings: dict[str, Any] = json.loads(completed.stdout.strip().splitlines()[-1])
    return timings


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--large", type=int, default=1_000_000, help="items for a single change; 0 for none")
    parser.add_argument("--pixeltable", help="a Python with pixeltable")
    parser.add_argument("--zenml", help="a Python with zenml")
    parser.add_argument("--folder", type=Path, help="working folder; by default a temporary folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        count, parts = str(options.items), json.dumps(["nothing", "1 %", "one item"])
        result["ours"] = run(sys.executable, OURS, f"{temporary}/ours", count, parts)
        if options.pixeltable:
            result["pixeltable"] = run(options.pixeltable, PIXELTABLE, f"{temporary}/pixeltable", count)
        if options.zenml:
            (Path(temporary) / "zenml").mkdir()
            result["zenml"] = run(options.zenml, ZENML, f"{temporary}/zenml")
        result["processes"], result["bare"] = [], []
        for pair in range(PAIRS):
            for name, program in (("processes", CPU), ("bare", BARE)):
                folders = {number: f"{temporary}/cpu{pair}{number}" for number in ("1", "2")}
                arguments_by_count = {
                    number: (folders[number], number) if name == "processes" else (number,) for number in folders
                }
                seconds = {
                    number: run(sys.executable, program, *arguments_by_count[number])["seconds"] for number in folders
                }
                result[name].append(seconds)
        if options.large:
            result["large"] = run(
                sys.executable, OURS, f"{temporary}/large", str(options.large), json.dumps(["one item"])
            )
    if options.json:
        print(json.dumps(result))
        return
    show(result, options.items, options.large)


def show(result: dict[str, Any], count: int, large: int) -> None:
    """Print the measurements."""
    ours = result["ours"]
    full = ours["full"][0]
    print(f"{count:,} items, {STEPS} steps: {full:.2f} s, {full / count / STEPS * 1e6:.1f} us an item and step")
    print(f"  nothing changed: {ours['nothing'][0] / (STEPS + 1) * 1e3:.2f} ms a step")
    allowed = 0.015 * full + 0.5
    part, results = ours["1 %"]
    print(
        f"  1 % changed: {part:.2f} s ({results:,} results), {part / allowed:.2f} of 1.5 % of the full time and 0.5 s"
    )
    print(f"  one item changed: {ours['one item'][0]:.2f} s")
    if peer := result.get("pixeltable"):
        print(
            f"pixeltable: {peer['full']:.2f} s, {peer['full'] / count / STEPS * 1e6:.1f} us; 1 %: {peer['1 %']:.2f} s"
        )
        print(f"  ours / pixeltable: full {full / peer['full']:.2f}, 1 % {ours['1 %'][0] / peer['1 %']:.2f}")
    if peer := result.get("zenml"):
        print(f"zenml, all cached: {peer['nothing'] / STEPS * 1e3:.1f} ms a step")
    for name, what in (("processes", "CPU-bound"), ("bare", "  the same loop in bare processes")):
        ratios = sorted(pair["1"] / pair["2"] for pair in result[name])
        print(f"{what}: two processes {ratios[PAIRS // 2]:.2f} times one ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    if timings := result.get("large"):
        print(f"{large:,} items: full {timings['full'][0]:.1f} s; one item changed: {timings['one item'][0]:.2f} s")


if __name__ == "__main__":
    main()
