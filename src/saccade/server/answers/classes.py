"""The classes of a dataset, and acts on them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from saccade.core.classes import AddClass, ClassAct, MergeClass, RecolorClass, RemoveClass, RenameClass
from saccade.server.answers.base import Answer, Given


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


_ClassName = Annotated[str, Field(max_length=1000)]


class _OfClass(Given):
    """What is done to a class; in one column, or in all that have it."""

    name: _ClassName
    column: str | None = Field(None, max_length=200)


class ClassAdded(_OfClass):
    act: Literal["add"]
    color: str | None = Field(None, max_length=20)

    def on(self) -> ClassAct:
        return AddClass(name=self.name, column=self.column, color=self.color)


class ClassRenamed(_OfClass):
    act: Literal["rename"]
    to: _ClassName

    def on(self) -> ClassAct:
        return RenameClass(name=self.name, column=self.column, to=self.to)


class ClassRecolored(_OfClass):
    act: Literal["recolor"]
    color: str = Field(max_length=20)

    def on(self) -> ClassAct:
        return RecolorClass(name=self.name, column=self.column, color=self.color)


class ClassMerged(_OfClass):
    act: Literal["merge"]
    into: _ClassName

    def on(self) -> ClassAct:
        return MergeClass(name=self.name, column=self.column, into=self.into)


class ClassRemoved(_OfClass):
    """``with_objects``: also what is of it; else it is refused where there is something."""

    act: Literal["remove"]
    with_objects: bool = False

    def on(self) -> ClassAct:
        return RemoveClass(name=self.name, column=self.column, with_objects=self.with_objects)


class ClassesChange(Given):
    """Acts on classes, done one after another and all together."""

    acts: list[
        Annotated[ClassAdded | ClassRenamed | ClassRecolored | ClassMerged | ClassRemoved, Field(discriminator="act")]
    ] = Field(min_length=1, max_length=1000)
    message: str = Field("", max_length=1000)
