"""``saccade operations``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saccade.cli.options import JsonOption

operations = typer.Typer(help="List the operations of pipelines, and begin one of your own.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(operations, name="operations")


@operations.command("list")
def list_(json: JsonOption = False) -> None:
    """All operations."""
    from saccade.cli.console import print_json, print_table
    from saccade.operations.base import OPERATIONS, facts_of

    known = [OPERATIONS.get(name) for name in OPERATIONS.names()]
    if json:
        print_json([facts_of(one) for one in known])
        return
    print_table(
        ["Operation", "By", "What"], [[one.name, str(one.granularity), one.help.split("\n")[0]] for one in known]
    )


@operations.command("show")
def show(
    name: Annotated[str, typer.Argument(help="An operation, or FILE.py:NAME.", show_default=False)],
    json: JsonOption = False,
) -> None:
    """What an operation takes and gives."""
    from saccade.cli.console import out, print_json, print_table
    from saccade.operations.base import facts_of
    from saccade.pipeline.definition.loader import find_operation

    facts = facts_of(find_operation(name))
    if json:
        print_json(facts)
        return
    out.print(f"[bold]{facts['name']}[/] by {facts['granularity']}, gives a {facts['output']}", markup=True)
    out.print(facts["help"], markup=False)
    print_table(["Input", "Type", "What"], [[one["name"], one["type"], one["help"]] for one in facts["inputs"]])
    rows = [
        [
            name,
            str(one.get("type", one.get("anyOf", ""))),
            str(one.get("default", "needed")),
            one.get("description", ""),
        ]
        for name, one in facts["parameters"].get("properties", {}).items()
    ]
    print_table(["Parameter", "Type", "Default", "What"], rows)


@operations.command("template")
def template(
    file: Annotated[Path, typer.Argument(help="A new Python file.", show_default=False)],
    kind: Annotated[str, typer.Option(help="item, filter, many, group or whole.")] = "item",
    json: JsonOption = False,
) -> None:
    """Write a Python file with an operation to change."""
    from saccade.app.pipelines.templates import write_template
    from saccade.cli.console import print_json, say

    name = write_template(file, kind)
    if json:
        print_json({"file": str(file), "operation": name, "use": f"{file.name}:{name}"})
        return
    say(f"Written: {file}. Use it in a pipeline: 'use: {file.name}:{name}'.")
