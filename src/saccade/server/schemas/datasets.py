"""Datasets, versions, items and saved views."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from saccade.core.schema import Kind, Schema
from saccade.media.colors import palette
from saccade.server.schemas.base import RequestModel, ResponseModel
from saccade.server.schemas.encoding import to_jsonable


class DatasetResponse(ResponseModel):
    """A dataset at its latest version; ``columns`` maps names to kinds."""

    name: str
    latest: int
    items: int
    created: datetime
    updated: datetime
    columns: dict[str, str]


class ColumnResponse(ResponseModel):
    """A column with its kind and, if it is labelled, its classes."""

    name: str
    kind: Kind
    classes: list[dict[str, Any]] = Field([])


class VersionResponse(ResponseModel):
    """A version of a dataset with its columns; ``added``, ``removed`` and ``changed`` count items."""

    ref: str
    number: int
    items: int
    message: str
    author: str
    created: datetime
    columns: list[ColumnResponse]
    branch: str
    parent: int | None
    merged: int | None
    added: int
    removed: int
    changed: int
    run_id: str | None
    inputs: list[str]


class VersionSummary(ResponseModel):
    """An entry of a dataset's history; ``added``, ``removed`` and ``changed`` count items."""

    number: int
    branch: str
    parent: int | None
    message: str
    author: str
    created: datetime
    items: int
    added: int
    removed: int
    changed: int
    run_id: str | None
    inputs: list[str]
    merged: int | None


class TimelineResponse(ResponseModel):
    """The frames of a video in presentation order, by their numbers in the video.

    ``times`` are in seconds from the first frame of the video, and ``end`` is when the last of these frames ends. If
    the frames are items, ``keys`` are their keys. ``objects`` counts their objects: null if not labelled.
    """

    frames: list[int]
    times: list[float]
    end: float
    keys: list[str] | None
    objects: list[int | None] | None


class _PageQuery(BaseModel):
    """Filter, order and start of a page."""

    where: str | None = Field(None, max_length=4000)
    cursor: str | None = Field(None, max_length=20)
    start: int = Field(0, ge=0, le=1 << 40)
    order: str | None = Field(None, max_length=2000)
    descending: bool = False


class ItemsQuery(_PageQuery):
    """A page of items."""

    limit: int = Field(100, ge=1, le=1000)


class KeysQuery(_PageQuery):
    """A page of keys."""

    limit: int = Field(1000, ge=0, le=10_000)


class ItemResponse(ResponseModel):
    """An item: its key, and its values by column."""

    key: str
    values: dict[str, Any]


class ItemPage(ResponseModel):
    """A page of items. ``total`` counts all matching items; pass ``next`` as ``cursor`` for the next page."""

    items: list[ItemResponse]
    total: int
    next: str | None


class KeyPage(ResponseModel):
    """A page of keys. ``total`` counts all matching items; pass ``next`` as ``cursor`` for the next page."""

    keys: list[str]
    total: int
    next: str | None


def column_responses(schema: Schema) -> list[ColumnResponse]:
    """Describe the columns of a schema; classes without a color get one from the palette."""
    responses = []
    for column in schema.columns:
        colors = palette(column.class_names)
        classes = [to_jsonable(info.to_json()) | {"color": info.color or colors[info.name]} for info in column.classes]
        responses.append(ColumnResponse(name=column.name, kind=column.kind, classes=classes))
    return responses


class ViewResponse(ResponseModel):
    """A saved view; ``filters`` are query parameters of the web app's item grid."""

    name: str
    filters: dict[str, str]
    author: str
    created: datetime


class ViewCreate(RequestModel):
    """Content of a saved view."""

    filters: dict[str, Annotated[str, Field(max_length=4000)]] = Field(max_length=20)
