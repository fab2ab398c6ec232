"""``saccade datasets query|histogram``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from saccade.cli.datasets.app import Ref, datasets
from saccade.cli.options import JsonOption, WorkspaceOption

_WIDTH = 40
_MOST_ROWS = 30


@datasets.command("query")
def query(
    ref: Ref,
    question: Annotated[
        str,
        typer.Argument(
            help="""Such as 'any(objects, class == "ship" and area > 400) and split == "val"'; with --sql a query \
over the table "items".""",
            show_default=False,
        ),
    ],
    limit: Annotated[int, typer.Option(min=0, help="How many items to show; 0 for all.")] = 20,
    count: Annotated[bool, typer.Option("--count", help="Only how many items there are.")] = False,
    sql: Annotated[bool, typer.Option("--sql", help="The question is in DuckDB's SQL.")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """The items for which a question is answered with yes; or whatever an SQL query gives."""
    from saccade.cli.console import print_json, print_table, say
    from saccade.cli.datasets.formatting import rows_of_items
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        version = found.datasets.open(ref)
        if sql:
            _print_sql(version.sql(question), json)
            return
        keys = version.where(question)
        shown = keys[: limit or None]
        if json:
            print_json(
                {"dataset": version.ref, "query": question, "count": len(keys), **({} if count else {"keys": shown})}
            )
            return
        if shown and not count:
            print_table(["Key", *version.schema.names], rows_of_items(version.items(keys=shown)))
            if len(keys) > len(shown):
                say(f"… and {len(keys) - len(shown):,} more (--limit 0 shows all)")
        say(f"{len(keys):,} of {len(version):,} items")


def _print_sql(table: Any, json: bool) -> None:
    from saccade.cli.console import print_json, print_table

    rows = table.to_pylist()
    if json:
        print_json(rows)
    else:
        print_table(table.column_names, [list(row.values()) for row in rows])


@datasets.command("histogram")
def histogram(
    ref: Ref,
    expression: Annotated[
        str, typer.Argument(help="A number, text or condition, such as image.width or, with --over, area.")
    ],
    over: Annotated[
        str | None, typer.Option(help="Count the objects of this column, not the items.", show_default=False)
    ] = None,
    where: Annotated[str | None, typer.Option(help="A query for the items to take.", show_default=False)] = None,
    bins: Annotated[int, typer.Option(min=1, max=1000, help="For numbers.")] = 20,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """How often each value of an expression occurs, over the items or over their objects."""
    from saccade.cli.console import print_json, print_table, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        version = found.datasets.open(ref)
        counted = version.histogram(expression, over=over, where=where, bins=bins)
    if json:
        print_json({"dataset": version.ref, "expression": expression, "over": over, "where": where, **counted})
        return
    rows = _bins(counted) if counted["type"] == "number" else _values(counted)
    if rows:
        most = max(rows, key=lambda row: row[1])[1]
        print_table(["Value", "Count", ""], [[*row, "█" * round(_WIDTH * row[1] / max(most, 1))] for row in rows])
    hidden = counted.get("distinct", 0) - len(rows) if counted["type"] != "number" else 0
    if hidden > 0:
        say(f"… and {hidden:,} more values (--json gives up to 1,000)")
    say(_summary(counted, "objects" if over else "items"))


def _bins(counted: dict[str, Any]) -> list[tuple[str, int]]:
    return [(f"{each['from']:g} – {each['to']:g}", each["count"]) for each in counted["bins"]]


def _values(counted: dict[str, Any]) -> list[tuple[str, int]]:
    return [(str(each["value"]), each["count"]) for each in counted["values"][:_MOST_ROWS]]


def _summary(counted: dict[str, Any], what: str) -> str:
    parts = [f"{counted['count']:,} {what}"]
    if counted["missing"]:
        parts.append(f"{counted['missing']:,} without a value")
    if counted.get("infinite"):
        parts.append(f"{counted['infinite']:,} infinite")
    if counted.get("mean") is not None:
        parts.append(f"mean {counted['mean']:g}")
    return ", ".join(parts)
