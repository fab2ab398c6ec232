"""Python files with an operation to begin from."""

from __future__ import annotations

from pathlib import Path

from saccade.core.errors import ConflictError, NotFoundError, nearest

_HEAD = '''"""{what}"""

from pydantic import Field

from saccade.operations import {names}


class Settings(Parameters):
    """What can be set in the pipeline, under 'with:'."""

    {setting}


'''
_ITEM = '''@per_item(
    "brightness",
    parameters=Settings,
    reads=lambda settings, schema: ["image"],
    writes=lambda settings, schema: [Column(settings.column, Kind.NUMBER)],
    libraries=["numpy", "opencv-python-headless"],
)
def brightness(item: Item, settings: Settings, context: Context) -> dict[str, float]:
    """The mean brightness of an image, from 0 to 255."""
    pixels = read_image(context, item["image"])
    return {settings.column: float(pixels.mean())}
'''
_FILTER = '''@keeping("labelled", parameters=Settings, reads=lambda settings, schema: ["objects"])
def labelled(item: Item, settings: Settings, context: Context) -> bool:
    """Keep items with so many objects or more."""
    return len(item["objects"] or ()) >= settings.at_least
'''
_MANY = '''@one_to_many(
    "copies", parameters=Settings, reads=lambda settings, schema: [],
    writes=lambda settings, schema: [Column("copy", Kind.NUMBER)],
)
def copies(item: Item, settings: Settings, context: Context) -> list[Item]:
    """Every item so many times; columns that are not written are those of the item."""
    return [Item(f"{item.key}-{number}", {"copy": float(number)}) for number in range(settings.times)]
'''
_GROUP = '''@by_group(
    "count", parameters=Settings, reads=lambda settings, schema: [settings.by],
    writes=lambda settings, schema: [Column("count", Kind.NUMBER)], group_by=lambda settings: settings.by,
)
def count(whole: Item | None, items: list[Item], settings: Settings, context: Context) -> dict[str, float]:
    """How many items belong together."""
    return {"count": float(len(items))}
'''
_WHOLE = '''@on_whole("newest", parameters=Settings)
def newest(inputs: dict, settings: Settings, context: Context) -> Chosen:
    """The last items."""
    return Chosen(np.arange(len(inputs["data"]))[-settings.most:])
'''
_KINDS = {
    "item": (
        "brightness",
        "Column, Context, Item, Kind, Parameters, per_item",
        'column: str = Field("brightness", description="The column for the result.")',
        _ITEM,
    ),
    "filter": (
        "labelled",
        "Context, Item, Parameters, keeping",
        'at_least: int = Field(1, ge=0, description="Objects.")',
        _FILTER,
    ),
    "many": (
        "copies",
        "Column, Context, Item, Kind, Parameters, one_to_many",
        'times: int = Field(2, ge=1, description="Copies of each.")',
        _MANY,
    ),
    "group": (
        "count",
        "Column, Context, Item, Kind, Parameters, by_group",
        'by: str = Field("group", description="The column that says what belongs together.")',
        _GROUP,
    ),
    "whole": (
        "newest",
        "Chosen, Context, Parameters, on_whole",
        'most: int = Field(100, ge=1, description="Items at most.")',
        _WHOLE,
    ),
}


def write_template(file: Path, kind: str) -> str:
    """Write a new Python file with an operation of a granularity; returns its name."""
    if kind not in _KINDS:
        raise NotFoundError(f"There is no template '{kind}'.", hint=nearest(kind, _KINDS))
    if file.exists():
        raise ConflictError(f"{file} is there already.", hint="Choose another name.")
    name, names, setting, body = _KINDS[kind]
    head = _HEAD.format(what="A step of a pipeline.", names=names, setting=setting)
    if kind == "item":
        head = head.replace("\n\n\nclass", "\nfrom saccade.media.loader import read_image\n\n\nclass", 1)
    if kind == "whole":
        head = head.replace("from pydantic", "import numpy as np\nfrom pydantic", 1)
    file.write_text(head + body, encoding="utf-8")
    return name
