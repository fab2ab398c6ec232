"""Panel that compares the distribution of classes between the splits of a dataset."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field

from saccade.app.panels.blocks import Block, Figure, Figures, Link, Plot, Series, Table, Text, build_form
from saccade.app.panels.panel import DatasetContext, PanelParameters, dataset_panel
from saccade.core.class_edits import LABEL_KINDS
from saccade.core.errors import InvalidValueError, suggest
from saccade.core.schema import Column, Kind
from saccade.media.colors import palette
from saccade.store.datasets.stats import SPLIT
from saccade.store.datasets.version import DatasetVersion
from saccade.store.query.histogram import MAX_VALUES

Counts = dict[str, dict[str, int]]
"""The number of objects or labels by split and class; the split "" is that of items without one."""
_MAX_CLASSES = 60
_MAX_SPLITS = 20
_MAX_OUTLIERS = 200


class BalanceParameters(PanelParameters):
    column: str = Field("", description="The column of objects or labels to count; the first one by default.")
    split: str = Field(SPLIT, description="The column of text that names the split of an item.")
    show: Literal["share", "count"] = Field("share", description="The share of each class in its split, or the count.")
    apart: float = Field(
        1.5,
        ge=1,
        le=100,
        title="Outlier factor",
        description="A class is an outlier if its share in a split differs from its share overall by this factor.",
    )


@dataset_panel("class_balance", "Class balance", parameters=BalanceParameters)
def class_balance(context: DatasetContext, parameters: BalanceParameters) -> Iterator[Block]:
    """How often each class occurs in each split, and which classes are over- or under-represented in a split."""
    version = context.version
    label_columns = version.schema.columns_of_kind(*LABEL_KINDS)
    split_columns = [column.name for column in version.schema.columns_of_kind(Kind.TEXT, Kind.LABEL)]
    if not label_columns:
        yield Text(text="This dataset has no objects and no labels.", tone="muted")
        return
    column = _find_column(label_columns, parameters.column)
    if not split_columns:
        yield Text(text="This dataset has no splits: it has no column of text.", tone="muted")
        return
    split = parameters.split if parameters.split in split_columns else split_columns[0]
    effective = parameters.model_copy(update={"column": column.name, "split": split})
    yield build_form(effective, choices={"column": [info.name for info in label_columns], "split": split_columns})
    if len(column.class_names) > MAX_VALUES:
        yield Text(
            text=f"There are {len(column.class_names):,} classes; at most {MAX_VALUES:,} can be compared.",
            tone="warning",
        )
        return
    splits = version.histogram(split)
    if splits["distinct"] > _MAX_SPLITS:
        yield Text(
            text=f"The column '{split}' has {splits['distinct']:,} values; a column of splits has at most "
            f"{_MAX_SPLITS}.",
            tone="warning",
        )
        return
    names = [*sorted(value["value"] for value in splits["values"]), *([""] if splits["missing"] else [])]
    counts = {name: count_classes(version, column, split, name) for name in names}
    if not any(sum(class_counts.values()) for class_counts in counts.values()):
        yield Text(text="No item is labelled yet.", tone="muted")
        return
    yield from _balance_blocks(column, split, counts, parameters)


def _find_column(columns: tuple[Column, ...], name: str) -> Column:
    column = next((column for column in columns if name in ("", column.name)), None)
    if column is None:
        names = [column.name for column in columns]
        raise InvalidValueError(f"There is no column '{name}' of objects or labels.", hint=suggest(name, names))
    return column


def count_classes(version: DatasetVersion, column: Column, split_column: str, split: str) -> dict[str, int]:
    """Count the objects or labels of each class in a split, in the order of the classes.

    Args:
        version: The dataset version.
        column: The column of objects or labels.
        split_column: The column with the split of each item.
        split: The split; "" for items without one.
    """
    counts = Counter(dict.fromkeys(column.class_names, 0))
    if column.kind is Kind.LABELS:
        for item in version.items([column.name, split_column]):
            if item[split_column] == (split or None):
                counts.update(item[column.name] or ())
        return dict(counts)
    is_objects = column.kind is Kind.OBJECTS
    histogram = version.histogram(
        "class" if is_objects else column.name,
        objects_column=column.name if is_objects else None,
        where=_split_query(split_column, split),
    )
    counts.update({value["value"]: value["count"] for value in histogram["values"]})
    return dict(counts)


def _split_query(split_column: str, split: str) -> str:
    return f"{split_column} == {_quote(split)}" if split else f"{split_column} is None"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _balance_blocks(
    column: Column, split_column: str, counts: Counts, parameters: BalanceParameters
) -> Iterator[Block]:
    totals = {name: sum(class_counts[name] for class_counts in counts.values()) for name in column.class_names}
    total = sum(totals.values())
    by_frequency = sorted((name for name in totals if totals[name]), key=lambda name: -totals[name])
    rarest, commonest = by_frequency[-1], by_frequency[0]
    outliers = list(_outliers(counts, totals, parameters.apart))
    missing = len(totals) - len(by_frequency)
    yield Figures(
        figures=[
            Figure(name="Classes", value=len(column.class_names), note=f"{missing} without any" if missing else ""),
            Figure(
                name="Imbalance",
                value=f"{totals[commonest] / totals[rarest]:,.1f} : 1",
                note=f"{commonest} to {rarest}",
            ),
            Figure(name="Outliers", value=len(outliers), note="classes in splits"),
        ]
    )
    displayed = by_frequency[:_MAX_CLASSES]
    is_share = parameters.show == "share"
    title = "Share of each class in its split, %" if is_share else "Count of each class"
    yield Plot(
        title=f"{title} (the {_MAX_CLASSES} most frequent)" if len(by_frequency) > _MAX_CLASSES else title,
        categories=displayed,
        series=[
            Series(
                name=_split_label(split),
                values=[
                    round(100 * class_counts[name] / max(1, sum(class_counts.values())), 2)
                    if is_share
                    else class_counts[name]
                    for name in displayed
                ],
                color=color,
            )
            for (split, class_counts), color in zip(counts.items(), palette(counts).values(), strict=True)
        ],
    )
    if not outliers:
        yield Text(
            text=f"The share of every class in every split is within a factor of {parameters.apart:g} of its share "
            "overall.",
            tone="good",
        )
        return
    yield Table(
        title="Outliers",
        columns=["Class", "Split", "Count", "Share in split, %", "Share overall, %", "Items"],
        rows=[
            [
                name,
                _split_label(split),
                counts[split][name],
                round(100 * share, 2),
                round(100 * totals[name] / total, 2),
                _items_link(column, split_column, name, split, counts[split][name]),
            ]
            for name, split, share in outliers[:_MAX_OUTLIERS]
        ],
    )


def _outliers(counts: Counts, totals: Mapping[str, int], factor: float) -> Iterator[tuple[str, str, float]]:
    """Yield (class, split, share in split) for outliers: first classes that a split lacks, then by frequency."""
    if len(counts) < 2:
        return
    total = sum(totals.values())
    outliers = []
    for name, class_total in totals.items():
        for split, class_counts in counts.items():
            share = class_counts[name] / max(1, sum(class_counts.values()))
            overall = class_total / total
            if class_total and not overall / factor <= share <= overall * factor:
                outliers.append((class_counts[name] > 0, -class_total, name, split, share))
    for _, _, name, split, share in sorted(outliers):
        yield name, split, share


def _split_label(split: str) -> str:
    return split or "no split"


def _items_link(column: Column, split_column: str, name: str, split: str, count: int) -> Link | str:
    if not count:
        return "–"
    has_class = {
        Kind.OBJECTS: f"any({column.name}, class == {_quote(name)})",
        Kind.LABEL: f"{column.name} == {_quote(name)}",
        Kind.LABELS: f"{_quote(name)} in {column.name}",
    }[column.kind]
    return Link(text="view", query=f"{has_class} and {_split_query(split_column, split)}")
