"""Evaluation of a model whose classes were renamed, merged, removed or added since its training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from saccade.app.datasets.classes import edit_classes
from saccade.app.ml.compare import compare_models
from saccade.app.ml.evaluate import evaluate_model
from saccade.app.ml.predict import predict
from saccade.app.ml.train import train
from saccade.core.class_edits import AddClass, ClassEdit, MergeClass, RemoveClass, RenameClass
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.evaluation.metrics import DetectionMetrics
from saccade.store.workspace import Workspace
from saccade.training.recipe import parse_recipe


@pytest.fixture
def workspace(workspace_copy: Path) -> Iterator[Workspace]:
    with Workspace.open(workspace_copy) as opened:
        yield opened


def detection(workspace: Workspace, dataset: str = "harbour") -> tuple[DetectionMetrics, Sequence[str]]:
    result = evaluate_model(workspace, "ships", dataset)
    assert isinstance(result.metrics, DetectionMetrics)
    return result.metrics, result.warnings


def counts(metrics: DetectionMetrics) -> dict[str, tuple[int, int, Any]]:
    return {entry.name: (entry.truths, entry.predictions, entry.ap) for entry in metrics.per_class}


def frequent_classes(workspace: Workspace) -> list[str]:
    entries = detection(workspace)[0].per_class
    return [entry.name for entry in sorted(entries, key=lambda entry: -entry.truths)]


def test_renamed_class_has_the_same_metrics(workspace: Workspace) -> None:
    before, _ = detection(workspace)
    first, second, *_ = frequent_classes(workspace)
    edit_classes(workspace, "harbour", [RenameClass(name=first, new_name="renamed")])
    edit_classes(workspace, "harbour", [RenameClass(name=second, new_name=first)])
    after, warnings = detection(workspace)
    names = {first: "renamed", second: first}
    assert counts(after) == {names.get(name, name): values for name, values in counts(before).items()}
    assert (after.ap, after.ap50, after.other_truths, warnings) == (before.ap, before.ap50, 0, [])
    assert counts(detection(workspace, "harbour@1")[0]) == counts(before)
    assert "renamed" in predict(workspace, "ships", "harbour", split="test").class_names


@pytest.mark.parametrize("with_history", [True, False])
def test_merged_classes_count_together(workspace: Workspace, with_history: bool) -> None:
    before = counts(detection(workspace)[0])
    first, second, *_ = frequent_classes(workspace)
    version = edit_classes(workspace, "harbour", [MergeClass(name=first, target=second)])
    if not with_history:
        workspace.datasets.write("copy", version.schema, version.items(), mode="create")
    after, warnings = detection(workspace, "harbour" if with_history else "copy")
    assert counts(after)[second][:2] == tuple(map(sum, zip(before[first][:2], before[second][:2], strict=True)))
    assert first not in counts(after)
    assert warnings == []


def test_removed_class_is_a_false_positive(workspace: Workspace) -> None:
    before = detection(workspace)[0]
    first, *_ = frequent_classes(workspace)
    edit_classes(workspace, "harbour", [RemoveClass(name=first, with_objects=True)])
    after, warnings = detection(workspace)
    assert after.predictions == before.predictions
    assert counts(after)[first][0] == 0
    assert len(warnings) == 1
    assert first in warnings[0]
    assert "false positives" in warnings[0]


def test_unknown_class_is_missed(workspace: Workspace) -> None:
    """A class that only the ground truth has takes part in the mean, as AP 0."""
    before = detection(workspace)[0]
    version = workspace.datasets.open("harbour")
    (column,) = version.schema.columns_of_kind(Kind.OBJECTS)
    items = []
    for item in version.items():
        objects = item[column.name]
        extra = tuple(replace(obj, id=f"extra-{obj.id}", class_name="whale") for obj in objects[:1])
        items.append(Item(item.key, {**item.values, column.name: (*objects, *extra)}))
    workspace.datasets.write("harbour", version.schema, items, mode="replace")
    after, warnings = detection(workspace)
    assert after.class_metrics("whale").ap == 0
    assert after.truths == before.truths + len(items)
    classes = sum(entry.truths > 0 for entry in before.per_class)
    assert after.ap == pytest.approx((before.ap or 0) * classes / (classes + 1))
    assert after.other_truths == 0
    assert "'whale'" in warnings[0]
    assert f"{len(items)} objects" in warnings[0]


def test_comparison_repeats_the_warnings(workspace: Workspace) -> None:
    first, *_ = frequent_classes(workspace)
    edit_classes(workspace, "harbour", [RemoveClass(name=first, with_objects=True)])
    warnings = detection(workspace)[1]
    (shared,) = compare_models(workspace, "ships", "ships")["evaluations"][-1:]
    assert shared["warnings"] == [f"ships@1: {warnings[0]}"] * 2
    # An evaluation of an earlier version of Saccade left objects out: its numbers do not compare.
    evaluation = evaluate_model(workspace, "ships", "harbour").evaluation
    metrics = {**evaluation.metrics, "other_truths": 7, "warnings": []}
    workspace.evaluations.add("ships@1", evaluation.dataset, "", "boxes", metrics)
    (shared,) = [
        entry
        for entry in compare_models(workspace, "ships", "ships")["evaluations"]
        if entry["dataset"] == evaluation.dataset
    ]
    assert shared["metrics"] == {}
    assert "left out 7 objects" in shared["warnings"][0]


@pytest.mark.parametrize(
    ("edits", "extra"),
    [
        ([RenameClass(name="a", new_name="z"), RenameClass(name="b", new_name="a")], False),
        ([MergeClass(name="a", target="b")], False),
        ([AddClass(name="d")], True),
    ],
)
def test_classifier(workspace: Workspace, edits: list[ClassEdit], extra: bool) -> None:
    source = workspace.datasets.open("harbour")
    names = ("a", "b", "c")
    schema = Schema(
        (
            Column("image", Kind.IMAGE),
            Column("label", Kind.LABEL, tuple(map(ClassInfo, names))),
            Column("split", Kind.TEXT),
        )
    )
    items = [
        Item(item.key, {"image": item["image"], "label": names[number % 3], "split": ("train", "val")[number % 2]})
        for number, item in enumerate(source.items())
    ]
    workspace.datasets.write("kinds", schema, items, mode="create")
    recipe = parse_recipe(
        {
            "name": "kinds",
            "data": {"dataset": "kinds"},
            "model": {
                "input": {"size": [64, 64]},
                "encoder": {"type": "csp", "widths": [8, 8, 16, 16], "depths": [1, 1, 1, 1]},
                "heads": {"label": {"type": "classes"}},
            },
            "train": {"epochs": 1, "batch_size": 4, "precision": "fp32", "workers": 1},
        }
    )
    train(workspace, recipe, tensorboard=False)
    before = evaluate_model(workspace, "kinds", "kinds").metrics.to_json()
    version = edit_classes(workspace, "kinds", edits)
    if extra:
        changed = [Item(items[0].key, {**items[0].values, "label": "d"})]
        workspace.datasets.write("kinds", version.schema, changed, mode="merge")
    result = evaluate_model(workspace, "kinds", "kinds")
    after = result.metrics.to_json()
    if extra:
        assert "'d'" in result.warnings[0]
        (entry,) = [entry for entry in after["per_class"] if entry["name"] == "d"]
        assert (entry["recall"], entry["predicted"]) == (0, 0)
        assert after["top_k_accuracy"] == pytest.approx(0.9)
    else:
        assert result.warnings == []
        assert len(after["per_class"]) == len(version.schema["label"].class_names)
    if isinstance(edits[0], RenameClass):
        assert after["confusion"] == before["confusion"]
        assert [entry["name"] for entry in after["per_class"]] == ["z", "a", "c"]
