"""What is done to many items at once: each time one new version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from saccade.app.datasets.splits import SPLIT
from saccade.core.errors import InvalidValueError
from saccade.core.progress import Progress
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.store.catalog.names import MAIN
from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace

Act = Literal["delete", "split", "tag", "untag"]
TAGS = "tags"
_LONGEST = 100


def change_items(
    workspace: Workspace,
    name: str,
    keys: Sequence[str],
    act: Act,
    value: str = "",
    *,
    author: str = "",
    message: str = "",
    branch: str = MAIN,
    follows: int | None = None,
    run_id: str | None = None,
    progress: Progress | None = None,
) -> DatasetVersion:
    """Remove items, put them into a split, or add or take away a tag, as the next version of a branch of a dataset.

    Tags are the column ``tags`` of kind labels. NotFoundError for a key that is not there; InvalidValueError where
    nothing is chosen, and for an empty tag or split; MovedError where the branch no longer ends at ``follows``.
    """
    if not keys:
        raise InvalidValueError("No items are chosen.", hint="Choose some first.")
    count = "1 item" if len(keys) == 1 else f"{len(keys):,} items"
    if act == "delete":
        return workspace.datasets.delete_items(
            name, keys, message or f"Removed {count}.", author=author, branch=branch, follows=follows, run_id=run_id
        )
    value = value.strip()
    if not value or len(value) > _LONGEST:
        raise InvalidValueError(f"A {act} needs a name of 1 to {_LONGEST} characters, not '{value[:_LONGEST]}'.")
    version = workspace.datasets.open(f"{name}@{branch}")
    if act == "split":
        column, said = Column(SPLIT, Kind.TEXT), f"Put {count} into the split {value}."
    else:
        column = Column(TAGS, Kind.LABELS)
        said = f"Tagged {count} as {value}." if act == "tag" else f"Took the tag {value} from {count}."
    if column.name in version.schema:
        if version.schema[column.name].kind is not column.kind:
            raise InvalidValueError(f"The column '{column.name}' is of kind {version.schema[column.name].kind}.")
        column = version.schema[column.name]
    items = _changed(version, keys, column.name, act, value)
    return workspace.datasets.write(
        name,
        Schema((column,)),
        items,
        mode="merge",
        message=message or said,
        author=author,
        branch=branch,
        follows=follows,
        run_id=run_id,
        progress=progress,
    )


def _changed(version: DatasetVersion, keys: Sequence[str], column: str, act: Act, value: str) -> Iterator[Item]:
    if act == "split" or column not in version.schema:
        for item in version.items(columns=[], keys=keys):
            yield Item(item.key, {column: value if act == "split" else _retagged((), act, value)})
        return
    for item in version.items(columns=[column], keys=keys):
        yield Item(item.key, {column: _retagged(item[column] or (), act, value)})


def _retagged(tags: Sequence[str], act: Act, value: str) -> tuple[str, ...]:
    others = tuple(one for one in tags if one != value)
    return (*others, value) if act == "tag" else others
