"""``saccade datasets query|histogram``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from saccade.cli.datasets.app import RefArgument, datasets
from saccade.cli.options import JsonOption, WorkspaceOption
from saccade.core.text import format_count

_BAR_WIDTH = 40
_MAX_ROWS = 30


@datasets.command("query")
def query(
    ref: RefArgument,
    expression: Annotated[
        str,
        typer.Argument(
            help="""Such as 'any(objects, class == "ship" and area > 400) and split == "val"'; with --sql a SQL query \
of the table "items".""",
            show_default=False,
        ),
    ],
    limit: Annotated[int, typer.Option(min=0, help="Maximum number of items to show; 0 for all.")] = 20,
    count: Annotated[bool, typer.Option("--count", help="Only show the number of matching items.")] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Use DuckDB SQL instead of the query language.")] = False,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the items that match a query, or the result of a SQL query."""
    from saccade.cli.console import print_json, print_message, print_table
    from saccade.cli.datasets.formatting import item_rows
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        version = workspace.datasets.open(ref)
        if sql:
            _print_sql_result(version.sql(expression), as_json)
            return
        keys = version.where(expression)
        page = keys[: limit or None]
        if as_json:
            result = {"dataset": version.ref, "query": expression, "count": len(keys)}
            print_json(result if count else {**result, "keys": page})
            return
        if page and not count:
            print_table(["Key", *version.schema.names], item_rows(version.items(keys=page)))
            if len(keys) > len(page):
                print_message(f"… and {len(keys) - len(page):,} more (--limit 0 shows all)")
        print_message(f"{len(keys):,} of {format_count(len(version), 'item')}")


def _print_sql_result(table: Any, as_json: bool) -> None:
    from saccade.cli.console import print_json, print_table

    rows = table.to_pylist()
    if as_json:
        print_json(rows)
    else:
        print_table(table.column_names, [list(row.values()) for row in rows])


@datasets.command("histogram")
def histogram(
    ref: RefArgument,
    expression: Annotated[
        str, typer.Argument(help="A number, text or condition, such as image.width or, with --over, area.")
    ],
    over: Annotated[
        str | None, typer.Option(help="Count the objects of this column instead of the items.", show_default=False)
    ] = None,
    where: Annotated[str | None, typer.Option(help="Only the items that match this query.", show_default=False)] = None,
    bins: Annotated[int, typer.Option(min=1, max=1000, help="Number of bins for numbers.")] = 20,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the histogram of an expression over the items or their objects."""
    from saccade.cli.console import print_json, print_message, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        version = workspace.datasets.open(ref)
        result = version.histogram(expression, objects_column=over, where=where, bins=bins)
    if as_json:
        print_json({"dataset": version.ref, "expression": expression, "objects_column": over, "where": where, **result})
        return
    rows = _bin_rows(result) if result["type"] == "number" else _value_rows(result)
    if rows:
        highest = max(count for _, count in rows)
        bars = [[label, count, "█" * round(_BAR_WIDTH * count / max(highest, 1))] for label, count in rows]
        print_table(["Value", "Count", ""], bars)
    hidden = result.get("distinct", 0) - len(rows) if result["type"] != "number" else 0
    if hidden > 0:
        print_message(f"… and {hidden:,} more values (--json shows up to 1,000)")
    print_message(_summary(result, "objects" if over else "items"))


def _bin_rows(result: dict[str, Any]) -> list[tuple[str, int]]:
    return [(f"{bin['from']:g} – {bin['to']:g}", bin["count"]) for bin in result["bins"]]


def _value_rows(result: dict[str, Any]) -> list[tuple[str, int]]:
    return [(str(entry["value"]), entry["count"]) for entry in result["values"][:_MAX_ROWS]]


def _summary(result: dict[str, Any], unit: str) -> str:
    parts = [f"{result['count']:,} {unit}"]
    if result["missing"]:
        parts.append(f"{result['missing']:,} without a value")
    if result.get("infinite"):
        parts.append(f"{result['infinite']:,} infinite")
    if result.get("mean") is not None:
        parts.append(f"mean {result['mean']:g}")
    return ", ".join(parts)
