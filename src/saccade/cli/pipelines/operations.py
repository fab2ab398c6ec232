"""``saccade operations``: list pipeline operations, and create your own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saccade.cli.options import JsonOption

app = typer.Typer(help="List and show pipeline operations, and create your own.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="operations")


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List all operations."""
    from saccade.cli.console import print_json, print_table
    from saccade.operations.base import OPERATIONS, describe_operation

    operations = [OPERATIONS.get(name) for name in OPERATIONS.names()]
    if as_json:
        print_json([describe_operation(operation) for operation in operations])
        return
    rows = [[operation.name, str(operation.granularity), operation.help.split("\n")[0]] for operation in operations]
    print_table(["Operation", "Granularity", "Description"], rows)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Name of an operation, or FILE.py:NAME.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Show the inputs, output and parameters of an operation."""
    from saccade.cli.console import out, print_json, print_table
    from saccade.operations.base import describe_operation
    from saccade.pipeline.definition.loader import load_operation

    description = describe_operation(load_operation(name))
    if as_json:
        print_json(description)
        return
    out.print(f"[bold]{description['name']}[/] by {description['granularity']}, outputs a {description['output']}")
    out.print(description["help"], markup=False)
    inputs = [[port["name"], port["type"], port["help"]] for port in description["inputs"]]
    print_table(["Input", "Type", "Description"], inputs)
    parameters = [
        [
            parameter,
            str(schema.get("type", schema.get("anyOf", ""))),
            str(schema.get("default", "required")),
            schema.get("description", ""),
        ]
        for parameter, schema in description["parameters"].get("properties", {}).items()
    ]
    print_table(["Parameter", "Type", "Default", "Description"], parameters)


@app.command("template")
def template(
    file: Annotated[Path, typer.Argument(help="Python file to create.", show_default=False)],
    kind: Annotated[str, typer.Option(help="item, filter, many, group or dataset.")] = "item",
    as_json: JsonOption = False,
) -> None:
    """Create a Python file with an example operation to edit."""
    from saccade.app.pipelines.templates import write_template
    from saccade.cli.console import print_json, print_message

    name = write_template(file, kind)
    if as_json:
        print_json({"file": str(file), "operation": name, "use": f"{file.name}:{name}"})
        return
    print_message(f"Created {file}. Use it in a pipeline: 'use: {file.name}:{name}'.")
