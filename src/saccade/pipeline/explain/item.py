"""Why an item is worked on, or why not: from step to step, back to where it came from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from saccade.core.errors import NotFoundError, PipelineError
from saccade.operations.base import Granularity
from saccade.pipeline.cache.key import changed_parts
from saccade.pipeline.data.results import Result
from saccade.pipeline.data.table import Table
from saccade.pipeline.execution.bound_step import ReadyStep
from saccade.pipeline.execution.runner import Runner


@dataclass(frozen=True)
class Cause:
    """What holds for one item at one step.

    Attributes:
        key: of the item as it goes into the step.
        known: whether its result is there.
        since: when that was worked out.
        reasons: why it is to be worked on; for one that is known, what its result stands on.
    """

    step: str
    operation: str
    key: str
    known: bool | None
    since: datetime | None
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "since": None if self.since is None else self.since.isoformat()}


def explain_item(runner: Runner, key: str) -> list[Cause]:
    """The chain of causes for an item, from the last step that knows it to the first.

    NotFoundError where no step knows an item of that key.
    """
    results: dict[str, Result] = {}
    ready: dict[str, ReadyStep] = {}
    for step in runner.graph:
        if all(name in results for names in step.inputs.values() for name in names):
            ready[step.name] = runner.ready(step, results)
            kept = ready[step.name].kept()
            if kept is not None:
                results[step.name] = ready[step.name].result(kept)
    wanted = {step: {key} for step in ready}
    found: list[Cause] = []
    carried: dict[str, set[str]] = {}
    for step in reversed(runner.graph.steps):
        if step.name not in ready:
            continue
        one = ready[step.name]
        keys = carried.get(step.name, set()) | wanted[step.name]
        for cause, parents in _causes(runner, one, results.get(step.name), keys):
            found.append(cause)
            for names in step.inputs.values():
                for name in names:
                    carried.setdefault(name, set()).update(parents)
    if not found:
        waiting = [step.name for step in runner.graph if step.name not in ready]
        more = f" The steps {', '.join(waiting)} have not run yet." if waiting else ""
        raise NotFoundError(f"No step knows an item '{key}'.", hint=f"'saccade run' works out what is missing.{more}")
    return found


def _causes(runner: Runner, step: ReadyStep, result: Result | None, keys: set[str]) -> list[tuple[Cause, set[str]]]:
    """What holds for the items of these keys, of those that go in or come out of a step."""
    if not step.tables:
        return _at_source(runner, step, result, keys)
    going_in = [name for table in step.tables for name in _keys(runner, table)]
    rows = {row for row, name in enumerate(going_in) if name in keys}
    rows |= _rows_behind(runner, step, result, keys)
    if not rows:
        return []
    if not step.operation.is_by_item:
        state = result is not None
        reasons = ("it works on all items at once",) if state else runner.reasons(step)
        names = list(dict.fromkeys(going_in[row] for row in sorted(rows)))
        return [(_cause(step, names[0], state, None, reasons), set(names))]
    if step.operation.granularity is Granularity.GROUP:
        return _of_groups(runner, step, going_in, rows)
    made = []
    chosen = np.array(sorted(rows), np.int64)
    numbers = step.memo.find(step.digests_at(chosen))
    for row, number in zip(chosen.tolist(), numbers.tolist(), strict=True):
        known = number >= 0
        why = _since_before(runner, step, row, going_in[row]) if not known else _standing(step)
        made.append(
            (_cause(step, going_in[row], known, step.memo.since(number) if known else None, why), {going_in[row]})
        )
    return made


def _cause(step: ReadyStep, key: str, known: bool, since: int | None, reasons: tuple[str, ...]) -> Cause:
    moment = None if since is None else datetime.fromtimestamp(since / 1e9, UTC)
    return Cause(step.step.name, step.operation.name, key, known, moment, reasons)


def _of_groups(runner: Runner, step: ReadyStep, going_in: list[str], rows: set[int]) -> list[tuple[Cause, set[str]]]:
    """What holds for the groups of some members, or of the items that they belong to."""
    missing = set(step.missing().tolist())
    names, order, counts = step.groups
    members = np.split(order, np.cumsum(counts)[:-1])
    owner = dict(zip(order.tolist(), np.repeat(np.arange(len(counts)), counts).tolist(), strict=True))
    count = len(step.tables[0])
    groups = {owner[row] for row in rows if row in owner} | {row - count for row in rows if row >= count}
    return [
        (
            _cause(step, names[at], at not in missing, None, () if at not in missing else runner.reasons(step)),
            {names[at], *(going_in[row] for row in members[at].tolist())},
        )
        for at in sorted(groups)
    ]


def _at_source(runner: Runner, step: ReadyStep, result: Result | None, keys: set[str]) -> list[tuple[Cause, set[str]]]:
    if result is None:
        reasons = runner.reasons(step)
        return [(_cause(step, min(keys), False, None, reasons), set())] if reasons else []
    if result.table is None:
        return []
    there = sorted(keys.intersection(runner.house.reader(result.table).keys()))
    outside = step.ingredients["outside"]
    return [(_cause(step, key, True, None, (f"from {outside}",) if outside else ()), set()) for key in there]


def _keys(runner: Runner, table: Table) -> list[str]:
    return runner.house.reader(table).keys()


def _rows_behind(runner: Runner, step: ReadyStep, result: Result | None, keys: set[str]) -> set[int]:
    """The rows that went in, of the items that came out under these keys."""
    if result is None or result.table is None or result.is_new or step.operation.granularity is Granularity.GROUP:
        return set()
    rows = [row for row, name in enumerate(runner.house.reader(result.table).keys()) if name in keys]
    if result.parents is None:
        return set(rows)
    return set(result.parents.at(np.array(rows, np.int64)).rows.tolist())


def _standing(step: ReadyStep) -> tuple[str, ...]:
    read = ", ".join(step.read[0]) or "nothing of the item"
    return (f"its code, parameters and what it reads ({read}) are what they were",)


def _since_before(runner: Runner, step: ReadyStep, row: int, key: str) -> tuple[str, ...]:
    """Why an item is to be worked on, by what it was when the step last ran."""
    before = step.before
    if before is None:
        return ("the step has not run yet",)
    whole = [said for said in changed_parts(before, step.ingredients) if not said.startswith("input ")]
    if whole:
        return tuple(whole)
    try:
        facts = before["inputs"][step.operation.inputs[0].name][0]
        changed = _changed_columns(runner, step, row, key, facts)
    except (KeyError, IndexError, PipelineError):
        return ("it is not what it was when the step last ran",)
    if changed is None:
        return ("the item is new",)
    return tuple(f"its '{name}' changed" for name in changed) or ("it is not what it was when the step last ran",)


def _changed_columns(runner: Runner, step: ReadyStep, row: int, key: str, facts: dict[str, Any]) -> list[str] | None:
    """The columns in which an item differs from what went in before; None where it was not there."""
    cache = runner.cache
    count = facts["items"]
    keys = facts.get("keys") or (cache.record("keys", runner.last_name(step.step)) or {}).get("keys")
    if keys is None:
        return []
    here = np.array([row])
    digest = step.tables[0].keys.at(here).digests[0]
    at = np.flatnonzero(np.all(cache.cells(keys, count).digests == digest, axis=1))
    if not len(at):
        return None
    return [
        name
        for name, id in facts["columns"].items()
        if not np.array_equal(cache.cells(id, count).at(at[:1]).digests, step.tables[0].columns[name].at(here).digests)
    ]
