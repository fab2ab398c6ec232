"""Explains for an item, step by step back to its source, why it is computed or cached."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from saccade.core.errors import NotFoundError, PipelineError
from saccade.operations.base import Granularity
from saccade.pipeline.cache.key import diff_components
from saccade.pipeline.data.results import Result
from saccade.pipeline.data.table import Table
from saccade.pipeline.execution.bound_step import BoundStep
from saccade.pipeline.execution.runner import Runner


@dataclass(frozen=True)
class ItemExplanation:
    """The cache state of an item at a step.

    Attributes:
        key: the key of the item as input of the step.
        known: whether its result is cached.
        since: when the result was computed, if known.
        reasons: why the item is to be computed, or what its cached result depends on.
    """

    step: str
    operation: str
    key: str
    known: bool | None
    since: datetime | None
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "since": None if self.since is None else self.since.isoformat()}


def explain_item(runner: Runner, key: str) -> list[ItemExplanation]:
    """Explain an item, from the last step that contains it back to the first.

    Args:
        runner: the runner of the pipeline.
        key: the key of the item at any of the steps.

    Raises:
        NotFoundError: no step contains an item with that key.
    """
    results: dict[str, Result] = {}
    bound_steps: dict[str, BoundStep] = {}
    for step in runner.graph:
        if all(name in results for names in step.inputs.values() for name in names):
            bound = runner.bind(step, results)
            bound_steps[step.name] = bound
            cached = bound.cached_result()
            if cached is not None:
                results[step.name] = bound.result(cached)
    explanations: list[ItemExplanation] = []
    # Steps may rename items: the keys to look for at a step include those of its descendants' inputs.
    inherited_keys: dict[str, set[str]] = {}
    for step in reversed(runner.graph.steps):
        if step.name not in bound_steps:
            continue
        keys = inherited_keys.get(step.name, set()) | {key}
        for explanation, parent_keys in _explain_step(runner, bound_steps[step.name], results.get(step.name), keys):
            explanations.append(explanation)
            for names in step.inputs.values():
                for name in names:
                    inherited_keys.setdefault(name, set()).update(parent_keys)
    if not explanations:
        pending = [step.name for step in runner.graph if step.name not in bound_steps]
        note = f" The steps {', '.join(pending)} have not run yet." if pending else ""
        raise NotFoundError(f"No step has an item '{key}'.", hint=f"Run the pipeline with 'saccade run' first.{note}")
    return explanations


def _explain_step(
    runner: Runner, step: BoundStep, result: Result | None, keys: set[str]
) -> list[tuple[ItemExplanation, set[str]]]:
    """Explain the items with these keys among the inputs and outputs of a step.

    Args:
        runner: the runner of the pipeline.
        step: the step.
        result: its cached result, if any.
        keys: the keys to look for.

    Returns:
        Each explanation, with the keys of the items in the source steps.
    """
    if not step.tables:
        return _explain_source(runner, step, result, keys)
    input_keys = [key for table in step.tables for key in _keys(runner, table)]
    rows = {row for row, key in enumerate(input_keys) if key in keys}
    rows |= _source_rows(runner, step, result, keys)
    if not rows:
        return []
    if not step.operation.is_per_item:
        is_cached = result is not None
        reasons = ("it works on all items at once",) if is_cached else runner.explain_miss(step)
        names = list(dict.fromkeys(input_keys[row] for row in sorted(rows)))
        return [(_explanation(step, names[0], is_cached, None, reasons), set(names))]
    if step.operation.granularity is Granularity.GROUP:
        return _explain_groups(runner, step, input_keys, rows)
    explanations = []
    sorted_rows = np.array(sorted(rows), np.int64)
    numbers = step.memo.find(step.digests_at(sorted_rows))
    for row, number in zip(sorted_rows.tolist(), numbers.tolist(), strict=True):
        key = input_keys[row]
        is_cached = number >= 0
        reasons = _hit_reasons(step) if is_cached else _miss_reasons(runner, step, row, key)
        computed_at_ns = step.memo.computed_at_ns(number) if is_cached else None
        explanations.append((_explanation(step, key, is_cached, computed_at_ns, reasons), {key}))
    return explanations


def _explanation(
    step: BoundStep, key: str, is_cached: bool, computed_at_ns: int | None, reasons: tuple[str, ...]
) -> ItemExplanation:
    computed_at = None if computed_at_ns is None else datetime.fromtimestamp(computed_at_ns / 1e9, UTC)
    return ItemExplanation(step.step.name, step.operation.name, key, is_cached, computed_at, reasons)


def _explain_groups(
    runner: Runner, step: BoundStep, input_keys: list[str], rows: set[int]
) -> list[tuple[ItemExplanation, set[str]]]:
    """Explain the groups of the given members, or of the items that the groups belong to."""
    missing = set(step.cache_misses().tolist())
    group_names, order, counts = step.groups
    members_of_group = np.split(order, np.cumsum(counts)[:-1])
    group_of_row = dict(zip(order.tolist(), np.repeat(np.arange(len(counts)), counts).tolist(), strict=True))
    member_count = len(step.tables[0])
    groups = {group_of_row[row] for row in rows if row in group_of_row}
    # Rows after those of the members are items of the second input, one per group.
    groups |= {row - member_count for row in rows if row >= member_count}
    return [
        (
            _explanation(
                step,
                group_names[group],
                group not in missing,
                None,
                () if group not in missing else runner.explain_miss(step),
            ),
            {group_names[group], *(input_keys[row] for row in members_of_group[group].tolist())},
        )
        for group in sorted(groups)
    ]


def _explain_source(
    runner: Runner, step: BoundStep, result: Result | None, keys: set[str]
) -> list[tuple[ItemExplanation, set[str]]]:
    if result is None:
        reasons = runner.explain_miss(step)
        return [(_explanation(step, min(keys), False, None, reasons), set())] if reasons else []
    if result.table is None:
        return []
    matching = sorted(keys.intersection(runner.environment.reader(result.table).keys()))
    fingerprint = step.key_components["outside"]
    reasons = (f"from {fingerprint}",) if fingerprint else ()
    return [(_explanation(step, key, True, None, reasons), set()) for key in matching]


def _keys(runner: Runner, table: Table) -> list[str]:
    return runner.environment.reader(table).keys()


def _source_rows(runner: Runner, step: BoundStep, result: Result | None, keys: set[str]) -> set[int]:
    """Return the input rows of the output items with these keys."""
    if result is None or result.table is None or result.is_new or step.operation.granularity is Granularity.GROUP:
        return set()
    rows = [row for row, key in enumerate(_keys(runner, result.table)) if key in keys]
    if result.parents is None:
        return set(rows)
    return set(result.parents.take(np.array(rows, np.int64)).rows.tolist())


def _hit_reasons(step: BoundStep) -> tuple[str, ...]:
    columns = ", ".join(step.input_columns[0]) or "no columns"
    return (f"its code, parameters and input ({columns}) are unchanged",)


def _miss_reasons(runner: Runner, step: BoundStep, row: int, key: str) -> tuple[str, ...]:
    """Explain why an item is to be computed, by comparing it with its state in the last run."""
    before = step.previous_components
    if before is None:
        return ("the step has not run yet",)
    step_changes = [
        change for change in diff_components(before, step.key_components) if not change.startswith("input ")
    ]
    if step_changes:
        return tuple(step_changes)
    try:
        components = before["inputs"][step.operation.inputs[0].name][0]
        changed = _changed_columns(runner, step, row, components)
    except (KeyError, IndexError, PipelineError):
        return ("it changed since the last run",)
    if changed is None:
        return ("the item is new",)
    return tuple(f"its '{name}' changed" for name in changed) or ("it changed since the last run",)


def _changed_columns(runner: Runner, step: BoundStep, row: int, components: dict[str, Any]) -> list[str] | None:
    """Return the columns of an item that changed since the last run, or None if the item is new.

    Args:
        runner: the runner of the pipeline.
        step: the step.
        row: the input row of the item.
        components: the key components of the step's input in the last run.
    """
    cache = runner.cache
    count = components["items"]
    keys_id = components.get("keys") or (cache.get_entry("keys", runner.history_key(step.step)) or {}).get("keys")
    if keys_id is None:
        return []
    rows = np.array([row])
    table = step.tables[0]
    key_digest = table.keys.take(rows).digests[0]
    previous_rows = np.flatnonzero(np.all(cache.column(keys_id, count).digests == key_digest, axis=1))
    if not len(previous_rows):
        return None
    return [
        name
        for name, id in components["columns"].items()
        if not np.array_equal(
            cache.column(id, count).take(previous_rows[:1]).digests, table.columns[name].take(rows).digests
        )
    ]
