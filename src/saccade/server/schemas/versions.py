"""Branches, tags, aliases, restores and merges of dataset versions."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from saccade.app.jobs.edits import MAX_MESSAGE_LENGTH, MergeOptions
from saccade.core.merge import Side
from saccade.server.schemas.base import RequestModel, ResponseModel


class RefsResponse(ResponseModel):
    """The refs of a dataset: branches, tags and aliases with the version numbers that they name."""

    branches: dict[str, int]
    tags: dict[str, int]
    aliases: dict[str, int]


class VersionNumber(RequestModel):
    """Number of a version."""

    number: int = Field(ge=1, lt=1 << 31)


class RestoreRequest(VersionNumber):
    """Version to restore, and the message of the new version."""

    message: str = Field("", max_length=MAX_MESSAGE_LENGTH)


class TagCreate(VersionNumber):
    """Name of a new tag, and its version."""

    name: str = Field(max_length=100)


class BranchCreate(TagCreate):
    """Name of a new branch, and the version where it starts."""


class AliasUpdate(TagCreate):
    """Name of an alias, and the version it is to name."""


class MergeRequest(MergeOptions):
    """Target branch, and the resolution of conflicts: ``choices`` for single ones, ``resolution`` for all others.

    With ``dry_run`` nothing is written. ``start`` and ``limit`` select the page of conflicts in the response.
    """

    dry_run: bool = False
    start: int = Field(0, ge=0, le=1 << 40)
    limit: int = Field(1000, ge=0, le=10_000)


class ConflictResponse(ResponseModel):
    """A merge conflict: both sides changed the same thing differently.

    ``column`` is null if one side removed the item and the other changed it. ``object`` is null if the conflict is
    about the whole value. ``class`` is set if it is about a class definition. ``resolution`` is the chosen side, null
    if the conflict is unresolved.
    """

    model_config = ConfigDict(from_attributes=True, populate_by_name=True)

    key: str
    column: str | None
    object: str | None
    class_: str | None = Field(alias="class")
    ours: Literal["added", "changed", "removed"]
    theirs: Literal["added", "changed", "removed"]
    resolution: Side | None


class MergeResponse(ResponseModel):
    """Result of a merge or a dry run.

    ``base`` (the common ancestor), ``ours`` and ``theirs`` are exact references. ``added``, ``removed`` and ``changed``
    count items. ``total`` counts all conflicts, ``unresolved`` those without a resolution. ``version`` is null for a
    dry run.
    """

    version: str | None
    base: str
    ours: str
    theirs: str
    added: int
    removed: int
    changed: int
    conflicts: list[ConflictResponse]
    total: int
    unresolved: int


class ModelAliasUpdate(RequestModel):
    """Name of an alias of a model."""

    name: str = Field(max_length=100)


class VersionCreated(ResponseModel):
    """A new version of a dataset."""

    ref: str
    number: int
    items: int
