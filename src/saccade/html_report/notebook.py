"""HTML of datasets, items, diffs and reports for notebooks: small, self-contained and without scripts.

Colours derive from the text colour of the page, so that the output is readable in light and dark notebooks. Keys, class
names and values are user input: everything is escaped.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from markupsafe import Markup

from saccade.core.errors import SaccadeError
from saccade.core.reader import Item
from saccade.core.records.datasets import SchemaChange
from saccade.core.report import ConversionReport
from saccade.core.schema import ImageRef, Kind, Schema, VideoRef
from saccade.html_report.figures import OverlayShape, render_shape

_MAX_ITEMS = 6
_MAX_DRAWN_OBJECTS = 200
_MAX_KEYS = 20
_MAX_TEXT_LENGTH = 80
_THUMBNAIL_SIDE = 240
_JPEG_QUALITY = 75
_COLORS = ("#ff8a1f", "#13c8b5", "#7f9cff", "#ff5c8a", "#b5d334", "#d68bef")
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
# No braces of nested rules: notebooks keep the style element of an output, but scope nothing.
_STYLE = Markup(
    "<style>"
    ".saccade-nb{font:13px/1.45 system-ui,sans-serif;color:inherit;margin:4px 0}"
    ".saccade-nb .head{font-weight:600;overflow-wrap:anywhere}"
    ".saccade-nb .soft{opacity:.7}"
    ".saccade-nb .grid{display:flex;flex-wrap:wrap;gap:10px;margin-top:8px}"
    ".saccade-nb figure{margin:0;width:200px}"
    ".saccade-nb figure svg{display:block;width:200px;height:150px;background:rgba(127,127,127,.18)}"
    ".saccade-nb figcaption{overflow-wrap:anywhere}"
    ".saccade-nb .shape,.saccade-nb .under{fill:none;stroke-width:2;vector-effect:non-scaling-stroke}"
    ".saccade-nb .shape{stroke:var(--stroke,#ff8a1f)}"
    ".saccade-nb .under{stroke:#000;stroke-opacity:.45;stroke-width:4}"
    ".saccade-nb .wash{fill:var(--stroke,#ff8a1f);fill-opacity:.18}"
    ".saccade-nb .dot{fill:var(--stroke,#ff8a1f)}"
    ".saccade-nb .missing{fill:currentColor;font-size:13px}"
    ".saccade-nb table{border-collapse:collapse;margin-top:8px;color:inherit}"
    ".saccade-nb th,.saccade-nb td{padding:3px 10px;text-align:left;border-bottom:1px solid rgba(127,127,127,.35);"
    "background:none;color:inherit}"
    "</style>"
)


def dataset_html(reader: Any, title: str, items: Iterable[Item]) -> str:
    """Return a gallery of the first items.

    Args:
        reader: the version, for the schema and the images.
        title: the heading.
        items: the items; only the first few are read.
    """
    shown = list(islice(items, _MAX_ITEMS))
    figures = [
        Markup('<figure>{}<figcaption>{}<br><span class="soft">{}</span></figcaption></figure>').format(
            _thumbnail(reader, reader.schema, item), _shorten(item.key), _summary(item)
        )
        for item in shown
    ]
    columns = ", ".join(f"{column.name}: {column.kind}" for column in reader.schema.columns)
    return _block(
        Markup('<div class="head">{}</div><div class="soft">{}</div><div class="grid">{}</div>').format(
            title, columns, Markup("").join(figures)
        )
    )


def item_html(item: Item) -> str:
    """Return the values of an item, with its image and objects if the item knows its version."""
    rows = [[name, _describe(value)] for name, value in item.values.items()]
    figure: str | Markup = ""
    if item.source is not None:
        figure = Markup("<figure>{}</figure>").format(_thumbnail(item.source, item.source.schema, item))
    return _block(Markup('<div class="head">{}</div>{}{}').format(_shorten(item.key), figure, _table((), rows)))


def diff_html(
    before: str,
    after: str,
    counts: Mapping[str, int],
    added: Sequence[str],
    removed: Sequence[str],
    changed: Mapping[str, Any],
    schema: SchemaChange,
) -> str:
    """Return the counts of a diff and its first keys, and what became of the classes.

    Args:
        before, after: references of the versions.
        counts: numbers of items by type of change.
        added, removed: keys.
        changed: the changes by key.
        schema: the changes of columns and classes.
    """
    rows = [
        ["added", str(counts["added"]), _join(added)],
        ["removed", str(counts["removed"]), _join(removed)],
        [
            "changed",
            str(counts["changed"]),
            _join([f"{key} ({', '.join(change.columns)})" for key, change in islice(changed.items(), _MAX_KEYS + 1)]),
        ],
    ]
    head = Markup('<div class="head">{} → {}</div>').format(before, after)
    content = head + _table(("Change", "Items", "Keys"), rows)
    if classes := _class_rows(schema):
        content += _table(("Classes", "Column", "Names"), classes)
    return _block(content)


def _class_rows(schema: SchemaChange) -> list[list[str]]:
    rows = [
        [change.action, column, _shorten(f"{', '.join(change.before)} → {', '.join(change.after)}")]
        for column, changes in schema.classes_renamed.items()
        for change in changes
    ]
    rows += [["added", column, _join(names)] for column, names in schema.classes_added.items()]
    rows += [["removed", column, _join(names)] for column, names in schema.classes_removed.items()]
    return rows


def report_html(report: ConversionReport) -> str:
    """Return the findings of a conversion, counted by type and reason, with the first key of each."""
    examples: dict[tuple[str, str], str] = {}
    for finding in islice(report, 10_000):
        examples.setdefault((finding.action, finding.reason), f"{finding.key} {finding.detail}".strip())
    rows = [
        [str(action), reason, str(count), _shorten(examples.get((action, reason), ""))]
        for (action, reason), count in report.counts().items()
    ]
    if not rows:
        return _block(Markup('<div class="soft">No findings: nothing was dropped, repaired or skipped.</div>'))
    return _block(_table(("Type", "Reason", "Count", "First example"), rows))


def _block(content: Markup) -> str:
    return str(Markup('{}<div class="saccade-nb">{}</div>').format(_STYLE, content))


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    head = Markup("").join(Markup("<th>{}</th>").format(heading) for heading in headings)
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(Markup("").join(Markup("<td>{}</td>").format(cell) for cell in row))
        for row in rows
    )
    return Markup("<table>{}{}</table>").format(Markup("<tr>{}</tr>").format(head) if headings else "", body)


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_TEXT_LENGTH else text[: _MAX_TEXT_LENGTH - 1] + "…"


def _join(keys: Sequence[str]) -> str:
    names = [_shorten(key) for key in keys[:_MAX_KEYS]]
    return ", ".join(names) + (", …" if len(keys) > _MAX_KEYS else "")


def _describe(value: Any) -> str:
    """Describe the value of a column in one line."""
    match value:
        case None:
            return "–"
        case ImageRef():
            return f"{_shorten(value.name)}, {value.width} x {value.height}"
        case VideoRef():
            return f"{_shorten(value.name)}, {value.frames} frames"
        case tuple() if value and hasattr(value[0], "class_name"):
            names = [obj.class_name for obj in value]
            counts = {name: names.count(name) for name in dict.fromkeys(names)}
            return _shorten(", ".join(f"{count} {name}" for name, count in counts.items()))
        case ():
            return "none"
        case _:
            return _shorten(value if isinstance(value, str) else repr(value))


def _summary(item: Item) -> str:
    values = [_describe(value) for value in item.values.values() if not isinstance(value, ImageRef | VideoRef)]
    return _shorten(" · ".join(value for value in values if value != "–"))


def _thumbnail(reader: Any, schema: Schema, item: Item) -> Markup:
    """Render the first image of an item with its objects; the reason if it cannot be read, nothing without image."""
    ref = next((item.values.get(column.name) for column in schema.columns_of_kind(Kind.IMAGE)), None)
    if not isinstance(ref, ImageRef):
        return Markup("")
    from saccade.media.image import encode
    from saccade.media.loader import read_image

    try:
        pixels = read_image(reader, ref, max_size=_THUMBNAIL_SIDE)
        data = base64.b64encode(encode(pixels, "jpeg", _JPEG_QUALITY)).decode()
    except (SaccadeError, OSError) as error:
        return Markup(
            '<svg viewBox="0 0 200 150" role="img"><title>{}</title><text class="missing" x="12" y="80">{}</text></svg>'
        ).format(str(error), "Image not available")
    width = ref.width or pixels.shape[1]
    height = ref.height or pixels.shape[0]
    shapes = Markup("").join(_draw_objects(schema, item, max(width, height) / 90))
    return Markup(
        '<svg viewBox="0 0 {0} {1}" role="img" aria-label="{2}"><image width="{0}" height="{1}" '
        'preserveAspectRatio="none" href="data:image/jpeg;base64,{3}"/>{4}</svg>'
    ).format(width, height, item.key, data, shapes)


def _draw_objects(schema: Schema, item: Item, dot_radius: float) -> list[Markup]:
    shapes = []
    for column in schema.columns_of_kind(Kind.OBJECTS):
        colors = {
            info.name: info.color if info.color and _COLOR.fullmatch(info.color) else _COLORS[index % len(_COLORS)]
            for index, info in enumerate(column.classes)
        }
        objects: Any = item.values.get(column.name) or ()
        shapes += [
            Markup('<g style="--stroke:{}"><title>{}</title>{}</g>').format(
                colors.get(obj.class_name, _COLORS[0]),
                obj.class_name,
                render_shape(OverlayShape(obj, "same"), dot_radius),
            )
            for obj in objects[:_MAX_DRAWN_OBJECTS]
        ]
    return shapes
