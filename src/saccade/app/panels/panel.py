"""What a panel is: a function that looks at a dataset, an item or a project, and a declaration of where it stands.

Built-in panels and those of plugins register by entry points of the group ``saccade.panels``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from saccade.app.panels.blocks import Block, field_of
from saccade.core.errors import InvalidValueError
from saccade.core.reader import Item
from saccade.core.registry import Registry
from saccade.core.roles import Role
from saccade.store.datasets.rows import DatasetInfo
from saccade.store.datasets.version import DatasetVersion
from saccade.store.registry.models import ModelVersion
from saccade.store.workspace import Workspace

_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")


class PanelParameters(BaseModel):
    """The parameters of a panel, each with a default, in pydantic's terms; a form is made of them."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NoParameters(PanelParameters):
    """For a panel that needs none."""


class Place(StrEnum):
    """Where a panel stands: among those of a dataset, beside an item, or on the dashboard."""

    DATASET = "dataset"
    ITEM = "item"
    HOME = "home"


class HomeContext:
    """What a panel may look at: the datasets and models of one project. It can change nothing.

    Attributes:
        project: its name.
        role: what whoever looks may do in it.
    """

    def __init__(self, workspace: Workspace, role: Role) -> None:
        self.project = workspace.project
        self.role = role
        self._workspace = workspace

    def datasets(self) -> list[DatasetInfo]:
        """All datasets of the project, each at its latest version."""
        return self._workspace.datasets.list()

    def open(self, ref: str) -> DatasetVersion:
        """A version of a dataset, as NAME, NAME@NUMBER or NAME@ALIAS; NotFoundError where there is none."""
        return self._workspace.datasets.open(ref)

    def models(self) -> list[ModelVersion]:
        """All models of the project, each at its latest version."""
        return self._workspace.models.list()


class DatasetContext(HomeContext):
    """The same, with the version of a dataset that is looked at.

    Attributes:
        version: a :class:`~saccade.core.reader.Reader`, which also answers queries.
    """

    def __init__(self, workspace: Workspace, role: Role, version: DatasetVersion) -> None:
        super().__init__(workspace, role)
        self.version = version


class ItemContext(DatasetContext):
    """The same, with the item that is looked at.

    Attributes:
        item: its key and the values of all columns.
    """

    def __init__(self, workspace: Workspace, role: Role, version: DatasetVersion, item: Item) -> None:
        super().__init__(workspace, role, version)
        self.item = item


Shown = Block | Iterable[Block]


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel; see :func:`dataset_panel`, :func:`item_panel` and :func:`home_panel`, which make one of a function.

    Attributes:
        show: from a context and parameters to blocks.
        role: who may see it, and all who may more.
    """

    name: str
    title: str
    place: Place
    show: Callable[[Any, Any], Shown]
    parameters: type[PanelParameters] = NoParameters
    role: Role = Role.VIEWER
    help: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidValueError(
                f"A panel may not be called {self.name!r}.", hint="Use small letters, digits and '_', at most 100."
            )
        if not self.title.strip() or len(self.title) > 100:
            raise InvalidValueError(f"The panel '{self.name}' needs a title of 1 to 100 characters.")
        for name, field in self.parameters.model_fields.items():
            if field.is_required():
                raise InvalidValueError(
                    f"The parameter '{name}' of the panel '{self.name}' has no default.",
                    hint="A panel is first shown without anybody having filled in a form.",
                )
            field_of(name, field)


PANELS: Registry[Panel] = Registry("panel", "saccade.panels")


def dataset_panel(
    name: str, title: str, *, parameters: type[PanelParameters] = NoParameters, role: Role = Role.VIEWER
) -> Callable[[Callable[[DatasetContext, Any], Shown]], Panel]:
    """Make a panel among those of a dataset of a function; its docstring says what it shows."""
    return lambda show: Panel(name, title, Place.DATASET, show, parameters, role, _first_lines(show))


def item_panel(
    name: str, title: str, *, parameters: type[PanelParameters] = NoParameters, role: Role = Role.VIEWER
) -> Callable[[Callable[[ItemContext, Any], Shown]], Panel]:
    """Make a panel beside each item of a function."""
    return lambda show: Panel(name, title, Place.ITEM, show, parameters, role, _first_lines(show))


def home_panel(
    name: str, title: str, *, parameters: type[PanelParameters] = NoParameters, role: Role = Role.VIEWER
) -> Callable[[Callable[[HomeContext, Any], Shown]], Panel]:
    """Make a panel on the dashboard of a function."""
    return lambda show: Panel(name, title, Place.HOME, show, parameters, role, _first_lines(show))


def _first_lines(show: Callable[..., Any]) -> str:
    return (inspect.getdoc(show) or "").split("\n\n")[0].replace("\n", " ")[:1000]
