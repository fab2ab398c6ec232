"""Invalid pipelines are rejected before they run, with the step and the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from saccade.core.errors import PipelineError
from saccade.pipeline.definition.graph import Graph
from saccade.pipeline.definition.yaml_loader import load_graph, parse_variables
from saccade.pipeline.explain.render import to_mermaid, to_svg, to_text

GOOD = """
name: good
vars: {size: 320, where: null}
steps:
  cells: {use: dataset, with: {name: cells}}
  tiles: {use: tile, from: cells, with: {size: "${size}"}}
  some: {use: filter, from: tiles, with: {where: "${where}"}}
"""


def load(folder: Path, text: str, **variables: object) -> Graph:
    (folder / "p.yaml").write_text(text)
    return load_graph(folder / "p.yaml", variables)


def test_variables_keep_their_type_and_are_overridden(tmp_path: Path) -> None:
    graph = load(tmp_path, GOOD, where="len(objects) > 2", **dict(parse_variables(["size=64"])))
    assert graph["tiles"].parameters == {"size": 64}
    assert graph["some"].parameters == {"where": "len(objects) > 2"}


DATA = "steps:\n  a: {use: dataset, with: {name: d}}\n"
INVALID = {
    "a circle": (
        "steps:\n  a: {use: filter, from: b, with: {where: 'true'}}\n  b: {use: phash, from: a}",
        "'a'.*a → b → a",
    ),
    "to itself": ("steps:\n  a: {use: phash, from: a}", "part of a cycle: a → a"),
    "an unknown operation": (
        "steps:\n  a: {use: dateset, with: {name: d}}",
        "Step 'a'.*no operation 'dateset'.*dataset",
    ),
    "an unknown step": ("steps:\n  cells: {use: phash, from: cels}", "Step 'cells'.*unknown step 'cels'.*cells"),
    "a missing parameter": ("steps:\n  a: {use: dataset}", "Step 'a'.*parameter 'name' is missing"),
    "an unknown parameter": (
        DATA + "  b: {use: tile, from: a, with: {sise: 3}}",
        "Step 'b'.*unknown parameter 'sise'.*size",
    ),
    "a parameter out of its limits": (DATA + "  b: {use: tile, from: a, with: {size: 3}}", "Step 'b'.*'size'.*16"),
    "parameters that contradict each other": (
        DATA + "  b: {use: tile, from: a, with: {size: 64, overlap: 64}}",
        "Step 'b'.*overlap",
    ),
    "a port of another type": (
        "steps:\n  a: {use: model, with: {name: d}}\n  b: {use: tile, from: a}",
        "Step 'b'.*expects a dataset, but 'a'.*outputs a model",
    ),
    "an unknown port": (DATA + "  b: {use: tile, from: {date: a}}", "Step 'b'.*no input 'date'.*data"),
    "an unconnected input": ("steps:\n  b: {use: tile}", "Step 'b'.*its input 'data'.*is not connected"),
    "too many sources": (DATA + "  b: {use: tile, from: [a, a]}", "Step 'b'.*accepts one step, not 2"),
    "an unknown variable": ("steps:\n  a: {use: dataset, with: {name: '${nam}'}}", "Step 'a'.*unknown variable 'nam'"),
    "a variable without a value": (
        "vars: {n: null}\nsteps:\n  a: {use: dataset, with: {name: '${n}'}}",
        "Step 'a'.*'n' has no value.*--var n=VALUE",
    ),
    "no steps": ("name: x", "has no steps"),
    "not YAML": ("a: [", "is not valid YAML"),
    "a tag": ("steps: !!python/object/apply:os.system [ls]", "is not valid YAML"),
    "no operation": ("steps:\n  a: {with: {}}", "Step 'a'.*names no operation"),
    "an unknown setting": ("steps:\n  a: {use: dataset, wiht: {name: d}}", "unknown key 'wiht'.*with"),
    "an invalid name": ("steps:\n  'a b': {use: dataset, with: {name: d}}", "Invalid step name 'a b'"),
    "an invalid limit": (
        "steps:\n  a: {use: dataset, with: {name: d}, limits: {memory: much}}",
        "Step 'a'.*'memory' must be a size such as 2GB",
    ),
    "a missing file": ("steps:\n  a: {use: 'none.py:x'}", "Step 'a'.*cannot be opened"),
    "a pipeline in itself": ("steps:\n  a: {use: p.yaml}", "more than 8 levels"),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_pipelines(name: str, tmp_path: Path) -> None:
    text, message = INVALID[name]
    with pytest.raises(PipelineError, match=f"(?s){message}"):
        load(tmp_path, text)


def test_operation_files_without_the_operation_or_with_errors(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("x = 1")
    with pytest.raises(PipelineError, match=r"Step 'a'.*declares no operation 'run'"):
        load(tmp_path, "steps:\n  a: {use: 'mine.py:run'}")
    (tmp_path / "broken.py").write_text("raise RuntimeError('at import')")
    with pytest.raises(PipelineError, match=r"Step 'a'.*at import"):
        load(tmp_path, "steps:\n  a: {use: 'broken.py:run'}")


def test_an_unknown_variable_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"no variable 'sise'.*size"):
        load(tmp_path, GOOD, sise=1)


INNER = """
inputs: [data]
vars: {size: 100}
output: crowded
steps:
  tiles: {use: tile, from: data, with: {size: "${size}"}}
  crowded: {use: filter, from: tiles, with: {where: len(objects) > 2}}
  counted: {use: statistics, from: crowded}
"""


def test_a_pipeline_as_a_step(tmp_path: Path) -> None:
    (tmp_path / "inner.yaml").write_text(INNER)
    graph = load(
        tmp_path,
        "steps:\n  cells: {use: dataset, with: {name: d}}\n  small: {use: inner.yaml, from: cells, with: {size: 64}}\n"
        "  shown: {use: render, from: small}",
    )
    assert graph.names == ["cells", "small/tiles", "small/crowded", "small/counted", "shown"]
    assert graph["small/tiles"].inputs == {"data": ("cells",)}
    assert graph["small/tiles"].parameters == {"size": 64}
    assert graph["shown"].inputs == {"data": ("small/crowded",)}
    with pytest.raises(PipelineError, match=r"its input 'data'.*is not connected"):
        load(tmp_path, "steps:\n  small: {use: inner.yaml}")


def test_renderings_of_the_graph(tmp_path: Path) -> None:
    graph = load(tmp_path, GOOD, where="true")
    assert to_text(graph).splitlines()[1].split() == ["·", "tiles", "tile", "←", "cells"]
    assert "s0 --> s1" in to_mermaid(graph)
    svg = to_svg(graph)
    assert svg.startswith("<svg")
    assert (svg.count("<rect"), svg.count('class="tip"')) == (3, 2)


def test_names_are_escaped_in_svg(tmp_path: Path) -> None:
    graph = load(tmp_path, "name: '<script>'\nsteps:\n  a: {use: dataset, with: {name: d}}")
    assert "<script>" not in to_svg(graph)


def test_subgraph(tmp_path: Path) -> None:
    graph = load(tmp_path, GOOD, where="true")
    assert graph.subgraph(["tiles"]).names == ["cells", "tiles"]
