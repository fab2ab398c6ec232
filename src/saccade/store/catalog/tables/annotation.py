"""Label sets: the working copies in which people label a dataset, and the log of their edits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Double, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from saccade.store.catalog.tables.base import Base, ProjectScoped, now


class LabelSetRow(ProjectScoped, Base):
    """A label set.

    ``source`` is the version whose items it has, those that match ``query``; ``base`` the version that it was last
    committed as. ``seq`` is the number of the last edit, ``committed_seq`` that of the last edit in ``base``.
    ``classes_version`` counts the changes of its classes. ``predictions`` is the exact reference of the version with
    the predictions that it starts with, in ``prediction_column``; ``prediction_classes`` maps their class names to ids.
    Ids are never reused: servers cache the label set of an id.
    """

    __tablename__ = "label_sets"
    __table_args__ = (UniqueConstraint("project_id", "name"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"), index=True)
    branch: Mapped[str]
    column: Mapped[str]
    start: Mapped[str] = mapped_column(String(16))
    query: Mapped[str | None] = mapped_column(Text)
    source: Mapped[int]
    base: Mapped[int]
    seq: Mapped[int] = mapped_column(default=0)
    committed_seq: Mapped[int] = mapped_column(default=0)
    classes_version: Mapped[int] = mapped_column(default=0)
    predictions: Mapped[str | None] = mapped_column(Text)
    prediction_column: Mapped[str | None]
    prediction_model: Mapped[str | None]
    prediction_classes: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    min_score: Mapped[float | None] = mapped_column(Double)
    author_id: Mapped[str] = mapped_column(String(32), default="")
    author: Mapped[str] = mapped_column(default="")
    created: Mapped[datetime] = mapped_column(default=now)


class LabelClassRow(Base):
    """A class of a label set. Edits refer to its id, so that it can be renamed.

    ``dataset_name`` is its name in the base version, None if it is new. ``successor`` is the id of the class that it
    was merged into.
    """

    __tablename__ = "label_classes"
    set_id: Mapped[int] = mapped_column(ForeignKey("label_sets.id"), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int]
    name: Mapped[str]
    dataset_name: Mapped[str | None]
    color: Mapped[str] = mapped_column(String(7))
    hotkey: Mapped[str | None] = mapped_column(String(1))
    parent: Mapped[str | None] = mapped_column(String(64))
    attributes: Mapped[list[Any]] = mapped_column(JSON(none_as_null=True))
    keypoints: Mapped[list[str]]
    skeleton: Mapped[list[Any]] = mapped_column(JSON(none_as_null=True))
    deleted: Mapped[bool] = mapped_column(default=False)
    successor: Mapped[str | None] = mapped_column(String(64))


class LabelItemRow(Base):
    """An item that was edited; its objects are in ``label_objects``. Others are as in the base version.

    ``objects`` counts its objects, ``next_order`` is above the order of each. ``seq`` is its last edit, ``edit_seq``
    its last edit by a person: merges with other commits are edits, too. ``state_seq``, ``state_author_id`` and
    ``state_author`` describe the last change of the state.
    """

    __tablename__ = "label_items"
    __table_args__ = (Index(None, "set_id", "seq"),)
    set_id: Mapped[int] = mapped_column(ForeignKey("label_sets.id"), primary_key=True)
    item: Mapped[str] = mapped_column(Text, primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(Text)
    objects: Mapped[int]
    next_order: Mapped[float] = mapped_column(Double)
    seq: Mapped[int]
    edit_seq: Mapped[int]
    state_seq: Mapped[int]
    state_author_id: Mapped[str] = mapped_column(String(32))
    state_author: Mapped[str]
    updated: Mapped[datetime]
    updated_by: Mapped[str]


class LabelObjectRow(Base):
    """The current state of an object; a deleted one can be restored. A prediction is ``accepted`` or not decided yet.

    ``stamps`` maps each edited field to the number and the author (id and name) of its last edit.
    """

    __tablename__ = "label_objects"
    set_id: Mapped[int] = mapped_column(ForeignKey("label_sets.id"), primary_key=True)
    item: Mapped[str] = mapped_column(Text, primary_key=True)
    object: Mapped[str] = mapped_column(Text, primary_key=True)
    class_id: Mapped[str] = mapped_column(String(64))
    geometry: Mapped[dict[str, Any]]
    attributes: Mapped[dict[str, Any]]
    score: Mapped[float | None] = mapped_column(Double)
    track: Mapped[str | None] = mapped_column(Text)
    order: Mapped[float] = mapped_column(Double)
    source: Mapped[str]
    deleted: Mapped[bool]
    accepted: Mapped[bool] = mapped_column(default=True)
    stamps: Mapped[dict[str, Any]]


class LabelEditRow(Base):
    """An edit of the log. Rows are added and never changed; ``id`` is made by the client, ``seq`` by the server.

    ``before`` has the values that the edit replaced. ``is_merge`` marks what came from the branch at a commit.
    """

    __tablename__ = "label_edits"
    __table_args__ = (UniqueConstraint("set_id", "id"), Index(None, "set_id", "item", "seq"))
    set_id: Mapped[int] = mapped_column(ForeignKey("label_sets.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(String(36))
    item: Mapped[str] = mapped_column(Text)
    object: Mapped[str | None] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(8))
    fields: Mapped[dict[str, Any]]
    before: Mapped[dict[str, Any]]
    overwrote: Mapped[list[Any]] = mapped_column(JSON(none_as_null=True))
    deleted_by: Mapped[str | None]
    base: Mapped[int]
    group: Mapped[str] = mapped_column(String(36))
    undoes: Mapped[str | None] = mapped_column(String(36))
    redoes: Mapped[str | None] = mapped_column(String(36))
    author_id: Mapped[str] = mapped_column(String(32))
    author: Mapped[str]
    time: Mapped[datetime]
    is_merge: Mapped[bool]
