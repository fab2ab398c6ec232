"""Images of cached results: kept by garbage collection, and computed again if they are missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.pipeline.conftest import Harness

from saccade.pipeline.definition.graph import Graph
from saccade.pipeline.execution.environment import open_cache
from saccade.store.maintenance.doctor import doctor
from saccade.store.maintenance.gc import collect_garbage

pytestmark = pytest.mark.slow


def tile_graph(harness: Harness, pictures: Path) -> Graph:
    return harness.graph(
        {
            "read": ("import", {"source": str(pictures), "dataset": "read"}),
            "tiles": ("tile", {"size": 160}, ["read"]),
            "rendered": ("render", {}, ["tiles"]),
        }
    )


def test_garbage_collection_keeps_images_of_cached_results(harness: Harness, pictures: Path) -> None:
    graph = tile_graph(harness, pictures)
    before = harness.items(graph, "rendered")
    assert collect_garbage(harness.workspace).objects == 0
    assert all(harness.workspace.blobs.exists(item["rendered"].digest) for item in before)
    collected = collect_garbage(harness.workspace, cache=True)
    assert collected.objects > len(before)
    assert not any(harness.workspace.blobs.exists(item["rendered"].digest) for item in before)
    assert doctor(harness.workspace, deep=True) == []
    assert harness.items(graph, "rendered") == before


def test_images_of_an_interrupted_run_may_be_collected(harness: Harness, pictures: Path) -> None:
    graph = tile_graph(harness, pictures)
    before = harness.items(graph, "rendered")
    cache = open_cache(harness.workspace)
    for name in ("steps", "kept", "columns", "taken"):  # as if the run had been killed before recording them
        for path in (cache.folder / name).glob("*"):
            path.unlink()
    assert collect_garbage(harness.workspace).objects > 0
    assert harness.items(graph, "rendered") == before
    assert all(harness.workspace.blobs.exists(item["rendered"].digest) for item in before)


def test_the_cache_may_be_deleted(harness: Harness, pictures: Path) -> None:
    import shutil

    graph = tile_graph(harness, pictures)
    before = harness.items(graph, "rendered")
    shutil.rmtree(open_cache(harness.workspace).folder)
    assert harness.items(graph, "rendered") == before
