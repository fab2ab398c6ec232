"""Versions of datasets: their names, and what makes new ones."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from saccade.app.jobs.edits import MESSAGE, MergeChange
from saccade.core.merge import Side
from saccade.server.schemas.base import Answer, Given


class DatasetNames(Answer):
    """Names of versions and the numbers that they stand for."""

    branches: dict[str, int]
    tags: dict[str, int]
    aliases: dict[str, int]


class OldVersion(Given):
    number: int = Field(ge=1, lt=1 << 31)


class Restoring(OldVersion):
    message: str = Field("", max_length=MESSAGE)


class NewTag(OldVersion):
    name: str = Field(max_length=100)


class NewBranch(NewTag):
    pass


class MovedAlias(NewTag):
    pass


class NewMerge(MergeChange):
    """What is merged into which branch, and which side is taken in conflicts: as chosen one by one, else ``take``.

    With ``dry_run`` it is only said what would be done. Of the conflicts some are listed: ``limit`` from ``start`` on.
    """

    dry_run: bool = False
    start: int = Field(0, ge=0, le=1 << 40)
    limit: int = Field(1000, ge=0, le=10_000)


class ConflictAnswer(Answer):
    """Something that both sides changed, each in its own way.

    ``column`` is null where one side removed the item that the other changed; ``object`` where it is the value as a
    whole; ``class`` is for its definition. ``take`` is the side that was chosen, null while nobody has.
    """

    model_config = ConfigDict(from_attributes=True, populate_by_name=True)

    key: str
    column: str | None
    object: str | None
    class_: str | None = Field(alias="class")
    ours: Literal["added", "changed", "removed"]
    theirs: Literal["added", "changed", "removed"]
    take: Side | None


class MergeAnswer(Answer):
    """What a merge did, or would do: exact references, items, and conflicts with how many there are and are open.

    ``version`` is null where nothing was done yet.
    """

    version: str | None
    base: str
    ours: str
    theirs: str
    added: int
    removed: int
    changed: int
    conflicts: list[ConflictAnswer]
    total: int
    open: int


class NewAlias(Given):
    name: str = Field(max_length=100)


class VersionMade(Answer):
    ref: str
    number: int
    items: int
