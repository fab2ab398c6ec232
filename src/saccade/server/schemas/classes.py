"""Classes of a dataset."""

from __future__ import annotations

from saccade.server.schemas.base import ResponseModel


class ClassResponse(ResponseModel):
    """A class of a column, with its number of objects (or labels) and of items that have at least one."""

    column: str
    name: str
    color: str
    parent: str | None
    keypoints: list[str]
    objects: int
    items: int


class ClassesResponse(ResponseModel):
    """The classes of a version, by column, in the order of the column."""

    ref: str
    number: int
    classes: list[ClassResponse]
