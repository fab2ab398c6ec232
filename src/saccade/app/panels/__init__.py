"""Panels: what plugins add to the web app, as blocks of plain values."""

from saccade.app.panels.blocks import (
    Block,
    Button,
    Figure,
    Figures,
    Form,
    Link,
    Pictures,
    Plot,
    Series,
    Table,
    Text,
    form_of,
)
from saccade.app.panels.panel import (
    PANELS,
    DatasetContext,
    HomeContext,
    ItemContext,
    Panel,
    PanelParameters,
    Place,
    dataset_panel,
    home_panel,
    item_panel,
)

__all__ = [
    "PANELS", "Block", "Button", "DatasetContext", "Figure", "Figures", "Form", "HomeContext", "ItemContext", "Link",
    "Panel", "PanelParameters", "Pictures", "Place", "Plot", "Series", "Table", "Text", "dataset_panel", "form_of",
    "home_panel", "item_panel",
]  # fmt: skip
