"""Whether the classes of a dataset are spread over its splits as the items are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field

from saccade.app.panels.blocks import Block, Figure, Figures, Link, Plot, Series, Table, Text, form_of
from saccade.app.panels.panel import DatasetContext, PanelParameters, dataset_panel
from saccade.core.class_edits import LABEL_KINDS
from saccade.core.errors import InvalidValueError, nearest
from saccade.core.schema import Column, Kind
from saccade.media.colors import palette
from saccade.store.datasets.stats import SPLIT
from saccade.store.datasets.version import DatasetVersion
from saccade.store.query.histogram import MOST_VALUES

Counts = dict[str, dict[str, int]]
_MOST, _SPLITS = 60, 20


class BalanceParameters(PanelParameters):
    column: str = Field("", description="The objects or labels that are counted; the first ones where none is named.")
    split: str = Field(SPLIT, description="The column of text that says to which part an item belongs.")
    show: Literal["share", "count"] = Field("share", description="The share of a split, or how many there are.")
    apart: float = Field(
        1.5,
        ge=1,
        le=100,
        title="Times more or less",
        description="A class stands out where its share in a split is so many times larger or smaller than in all.",
    )


@dataset_panel("class_balance", "Class balance", parameters=BalanceParameters)
def class_balance(context: DatasetContext, parameters: BalanceParameters) -> Iterator[Block]:
    """How often each class occurs in each split, and which splits lack a class or have it too seldom."""
    version = context.version
    labels = version.schema.of_kind(*LABEL_KINDS)
    texts = [column.name for column in version.schema.of_kind(Kind.TEXT, Kind.LABEL)]
    if not labels:
        yield Text(text="This dataset has no objects and no labels.", tone="quiet")
        return
    column = _named(labels, parameters.column)
    chosen = parameters.model_copy(update={"column": column.name})
    if not texts:
        yield Text(text="This dataset has no splits: no column of text.", tone="quiet")
        return
    split = parameters.split if parameters.split in texts else texts[0]
    chosen = chosen.model_copy(update={"split": split})
    yield form_of(chosen, choices={"column": [one.name for one in labels], "split": texts})
    if len(column.class_names) > MOST_VALUES:
        yield Text(text=f"There are {len(column.class_names):,} classes, more than can be compared.", tone="warning")
        return
    splits = version.histogram(split)
    if splits["distinct"] > _SPLITS:
        yield Text(text=f"The column '{split}' has {splits['distinct']:,} values: it says no split.", tone="warning")
        return
    names = [*sorted(one["value"] for one in splits["values"]), *([""] if splits["missing"] else [])]
    counts = {name: counted(version, column, split, name) for name in names}
    if not any(map(sum, (one.values() for one in counts.values()))):
        yield Text(text="Nothing is labelled yet.", tone="quiet")
        return
    yield from _blocks(column, split, counts, parameters)


def _named(columns: tuple[Column, ...], name: str) -> Column:
    found = next((one for one in columns if name in ("", one.name)), None)
    if found is None:
        known = [one.name for one in columns]
        raise InvalidValueError(f"There is no column '{name}' of objects or labels.", hint=nearest(name, known))
    return found


def counted(version: DatasetVersion, column: Column, split: str, name: str) -> dict[str, int]:
    """How often each class occurs in a split, in the order of the classes; "" is what belongs to none."""
    counts = Counter(dict.fromkeys(column.class_names, 0))
    if column.kind is Kind.LABELS:
        wanted = name or None
        for item in version.items([column.name, split]):
            if item[split] == wanted:
                counts.update(item[column.name] or ())
        return dict(counts)
    is_objects = column.kind is Kind.OBJECTS
    found = version.histogram(
        "class" if is_objects else column.name, over=column.name if is_objects else None, where=_there(split, name)
    )
    counts.update({one["value"]: one["count"] for one in found["values"]})
    return dict(counts)


def _there(split: str, name: str) -> str:
    return f"{split} == {_word(name)}" if name else f"{split} is None"


def _word(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _blocks(column: Column, split: str, counts: Counts, parameters: BalanceParameters) -> Iterator[Block]:
    totals = {name: sum(one[name] for one in counts.values()) for name in column.class_names}
    everything = sum(totals.values())
    common = sorted((name for name in totals if totals[name]), key=lambda name: -totals[name])
    least, most = totals[common[-1]], totals[common[0]]
    odd = list(_odd(counts, totals, parameters.apart))
    yield Figures(
        figures=[
            Figure(
                name="Classes",
                value=len(column.class_names),
                note=f"{len(totals) - len(common)} without any" if len(common) < len(totals) else "",
            ),
            Figure(name="Most to least", value=f"{most / least:,.1f} : 1", note=f"{common[0]} to {common[-1]}"),
            Figure(name="Standing out", value=len(odd), note="a class in a split"),
        ]
    )
    shown = common[:_MOST]
    is_share = parameters.show == "share"
    yield Plot(
        title=f"{'Share of each class in its split, %' if is_share else 'How often each class occurs'}"
        f"{f' (the {_MOST} most frequent)' if len(common) > _MOST else ''}",
        along=shown,
        series=[
            Series(
                name=_said(name),
                values=[
                    round(100 * one[class_name] / max(1, sum(one.values())), 2) if is_share else one[class_name]
                    for class_name in shown
                ],
                color=color,
            )
            for (name, one), color in zip(counts.items(), palette(counts).values(), strict=True)
        ],
    )
    if not odd:
        yield Text(
            text=f"No class is {parameters.apart:g} times more or less frequent in a split than in all.", tone="good"
        )
        return
    yield Table(
        title="What stands out",
        columns=["Class", "Split", "Count", "Share there, %", "Share in all, %", "Items"],
        rows=[
            [
                name,
                _said(part),
                counts[part][name],
                round(100 * share, 2),
                round(100 * totals[name] / everything, 2),
                _items(column, split, name, part, counts[part][name]),
            ]
            for name, part, share in odd[:200]
        ],
    )


def _odd(counts: Counts, totals: Mapping[str, int], apart: float) -> Iterator[tuple[str, str, float]]:
    """Classes whose share in a split is far from that in all, those that a split lacks first."""
    everything = sum(totals.values())
    found = []
    for name, total in totals.items():
        for part, one in counts.items():
            share, usual = one[name] / max(1, sum(one.values())), total / everything
            if total and len(counts) > 1 and not usual / apart <= share <= usual * apart:
                found.append((one[name] > 0, -total, name, part, share))
    for _, _, name, part, share in sorted(found):
        yield name, part, share


def _said(split: str) -> str:
    return split or "no split"


def _items(column: Column, split: str, name: str, part: str, count: int) -> Link | str:
    if not count:
        return "–"
    has = {
        Kind.OBJECTS: f"any({column.name}, class == {_word(name)})",
        Kind.LABEL: f"{column.name} == {_word(name)}",
        Kind.LABELS: f"{_word(name)} in {column.name}",
    }[column.kind]
    return Link(text="look", query=f"{has} and {_there(split, part)}")
