"""The classes of a dataset."""

from __future__ import annotations

from saccade.server.schemas.base import Answer


class ClassAnswer(Answer):
    """A class of a column; ``objects`` counts the objects or labels that are of it, ``items`` the items with one."""

    column: str
    name: str
    color: str
    parent: str | None
    keypoints: list[str]
    objects: int
    items: int


class ClassesAnswer(Answer):
    """The classes of a version, column by column, each in its order."""

    ref: str
    number: int
    classes: list[ClassAnswer]
