"""Panels: functions that turn a dataset, an item or a project into blocks, with their declaration.

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

from saccade.app.panels.blocks import Block, build_field
from saccade.core.errors import InvalidValueError
from saccade.core.reader import Item
from saccade.core.records.datasets import DatasetInfo
from saccade.core.registry import Registry
from saccade.core.roles import Role
from saccade.store.datasets.version import DatasetVersion
from saccade.store.registry.models import ModelVersion
from saccade.store.workspace import Workspace

_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_MAX_HELP_LENGTH = 1000


class PanelParameters(BaseModel):
    """Base of the parameters of a panel. Each parameter needs a default; the web app makes a form of them."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NoParameters(PanelParameters):
    """For a panel without parameters."""


class PanelSlot(StrEnum):
    """Where a panel is displayed: on the page of a dataset, beside an item, or on the dashboard."""

    DATASET = "dataset"
    ITEM = "item"
    DASHBOARD = "dashboard"


class DashboardContext:
    """Read access to the datasets and models of one project.

    Attributes:
        project: The name of the project.
        role: The viewer's role in it.
    """

    def __init__(self, workspace: Workspace, role: Role) -> None:
        self.project = workspace.project
        self.role = role
        self._workspace = workspace

    def datasets(self) -> list[DatasetInfo]:
        """List the datasets of the project, each at its latest version."""
        return self._workspace.datasets.list()

    def open(self, ref: str) -> DatasetVersion:
        """Open a dataset version by NAME, NAME@NUMBER or NAME@ALIAS. Raises NotFoundError if there is none."""
        return self._workspace.datasets.open(ref)

    def models(self) -> list[ModelVersion]:
        """List the models of the project, each at its latest version."""
        return self._workspace.models.list()


class DatasetContext(DashboardContext):
    """Context of a panel on the page of a dataset.

    Attributes:
        version: The displayed version, a :class:`~saccade.core.reader.Reader` that also answers queries.
    """

    def __init__(self, workspace: Workspace, role: Role, version: DatasetVersion) -> None:
        super().__init__(workspace, role)
        self.version = version


class ItemContext(DatasetContext):
    """Context of a panel beside an item.

    Attributes:
        item: The displayed item, with the values of all columns.
    """

    def __init__(self, workspace: Workspace, role: Role, version: DatasetVersion, item: Item) -> None:
        super().__init__(workspace, role, version)
        self.item = item


PanelOutput = Block | Iterable[Block]


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel. Use :func:`dataset_panel`, :func:`item_panel` or :func:`dashboard_panel` to make one from a function.

    Attributes:
        name: The identifier, of small letters, digits and '_'.
        title: The heading in the web app.
        slot: Where it is displayed.
        render: The function from a context and parameters to blocks.
        parameters: The model of its parameters.
        role: The least role that may see it.
        help: What it shows, in a sentence.
    """

    name: str
    title: str
    slot: PanelSlot
    render: Callable[[Any, Any], PanelOutput]
    parameters: type[PanelParameters] = NoParameters
    role: Role = Role.VIEWER
    help: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidValueError(
                f"Invalid panel name {self.name!r}.", hint="Use small letters, digits and '_', at most 100."
            )
        if not self.title.strip() or len(self.title) > 100:
            raise InvalidValueError(f"The panel '{self.name}' needs a title of 1 to 100 characters.")
        for name, field in self.parameters.model_fields.items():
            if field.is_required():
                raise InvalidValueError(
                    f"The parameter '{name}' of the panel '{self.name}' has no default.",
                    hint="A panel is first rendered before its form is filled in.",
                )
            build_field(name, field)


PANELS: Registry[Panel] = Registry("panel", "saccade.panels")


def dataset_panel(
    name: str, title: str, *, parameters: type[PanelParameters] = NoParameters, role: Role = Role.VIEWER
) -> Callable[[Callable[[DatasetContext, Any], PanelOutput]], Panel]:
    """Decorate a function as a panel on the page of a dataset. Its docstring becomes the help text.

    Args:
        name: The identifier.
        title: The heading.
        parameters: The model of the parameters.
        role: The least role that may see it.

    Raises:
        InvalidValueError: The name, the title or the parameters are invalid.
    """
    return lambda render: Panel(name, title, PanelSlot.DATASET, render, parameters, role, _summary(render))


def item_panel(
    name: str, title: str, *, parameters: type[PanelParameters] = NoParameters, role: Role = Role.VIEWER
) -> Callable[[Callable[[ItemContext, Any], PanelOutput]], Panel]:
    """Decorate a function as a panel beside an item; see :func:`dataset_panel`."""
    return lambda render: Panel(name, title, PanelSlot.ITEM, render, parameters, role, _summary(render))


def dashboard_panel(
    name: str, title: str, *, parameters: type[PanelParameters] = NoParameters, role: Role = Role.VIEWER
) -> Callable[[Callable[[DashboardContext, Any], PanelOutput]], Panel]:
    """Decorate a function as a panel on the dashboard; see :func:`dataset_panel`."""
    return lambda render: Panel(name, title, PanelSlot.DASHBOARD, render, parameters, role, _summary(render))


def _summary(render: Callable[..., Any]) -> str:
    return (inspect.getdoc(render) or "").split("\n\n")[0].replace("\n", " ")[:_MAX_HELP_LENGTH]
