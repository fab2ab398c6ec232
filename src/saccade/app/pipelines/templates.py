"""Templates of Python files with an operation."""

from __future__ import annotations

from pathlib import Path

from saccade.core.errors import ConflictError, NotFoundError, suggest
from saccade.runtime.permissions import apply_user_umask

_HEADER = '''"""{what}"""

from pydantic import Field

from saccade.operations import {names}


class Settings(Parameters):
    """The parameters: what a pipeline sets under 'with:'."""

    {setting}


'''
_ITEM = '''@per_item(
    "brightness",
    parameters=Settings,
    input_columns=lambda settings, schema: ["image"],
    output_columns=lambda settings, schema: [Column(settings.column, Kind.NUMBER)],
    libraries=["numpy", "opencv-python-headless"],
)
def brightness(item: Item, settings: Settings, context: Context) -> dict[str, float]:
    """Compute the mean brightness of an image, from 0 to 255."""
    pixels = read_image(context, item["image"])
    return {settings.column: float(pixels.mean())}
'''
_FILTER = '''@filter_op("labelled", parameters=Settings, input_columns=lambda settings, schema: ["objects"])
def labelled(item: Item, settings: Settings, context: Context) -> bool:
    """Keep items with at least this many objects."""
    return len(item["objects"] or ()) >= settings.at_least
'''
_MANY = '''@one_to_many(
    "copies", parameters=Settings, input_columns=lambda settings, schema: [],
    output_columns=lambda settings, schema: [Column("copy", Kind.NUMBER)],
)
def copies(item: Item, settings: Settings, context: Context) -> list[Item]:
    """Copy each item several times; columns that are not output columns are copied from the item."""
    return [Item(f"{item.key}-{number}", {"copy": float(number)}) for number in range(settings.times)]
'''
_GROUP = '''@by_group(
    "count", parameters=Settings, input_columns=lambda settings, schema: [settings.by],
    output_columns=lambda settings, schema: [Column("count", Kind.NUMBER)], group_by=lambda settings: settings.by,
)
def count(target: Item | None, items: list[Item], settings: Settings, context: Context) -> dict[str, float]:
    """Count the items of each group."""
    return {"count": float(len(items))}
'''
_WHOLE = '''@dataset_op("newest", parameters=Settings)
def newest(inputs: dict, settings: Settings, context: Context) -> Selection:
    """Keep the last items."""
    return Selection(np.arange(len(inputs["data"]))[-settings.most:])
'''
_TEMPLATES = {
    "item": (
        "brightness",
        "Column, Context, Item, Kind, Parameters, per_item",
        'column: str = Field("brightness", description="The output column.")',
        _ITEM,
    ),
    "filter": (
        "labelled",
        "Context, Item, Parameters, filter_op",
        'at_least: int = Field(1, ge=0, description="The minimal number of objects.")',
        _FILTER,
    ),
    "many": (
        "copies",
        "Column, Context, Item, Kind, Parameters, one_to_many",
        'times: int = Field(2, ge=1, description="The number of copies of each item.")',
        _MANY,
    ),
    "group": (
        "count",
        "Column, Context, Item, Kind, Parameters, by_group",
        'by: str = Field("group", description="The column that defines the groups.")',
        _GROUP,
    ),
    "dataset": (
        "newest",
        "Selection, Context, Parameters, dataset_op",
        'most: int = Field(100, ge=1, description="The maximal number of items.")',
        _WHOLE,
    ),
}


def write_template(file: Path, kind: str) -> str:
    """Write a new Python file with an operation.

    Args:
        file: The file to create.
        kind: The granularity of the operation: item, filter, many, group or dataset.

    Returns:
        The name of the operation.

    Raises:
        NotFoundError: There is no such template.
        ConflictError: The file exists.
    """
    if kind not in _TEMPLATES:
        raise NotFoundError(f"There is no template '{kind}'.", hint=suggest(kind, _TEMPLATES))
    if file.exists():
        raise ConflictError(f"{file} already exists.", hint="Choose another name.")
    name, names, setting, body = _TEMPLATES[kind]
    head = _HEADER.format(what="A pipeline operation.", names=names, setting=setting)
    if kind == "item":
        head = head.replace("\n\n\nclass", "\nfrom saccade.media.loader import read_image\n\n\nclass", 1)
    if kind == "dataset":
        head = head.replace("from pydantic", "import numpy as np\nfrom pydantic", 1)
    file.write_text(head + body, encoding="utf-8")
    apply_user_umask(file)
    return name
