"""Steps that bring data in and out of pipelines."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from saccade.app.ingest.exporting import reading_of
from saccade.app.ingest.importing import import_dataset
from saccade.app.io.atomic_dir import new_folder
from saccade.app.pipelines.steps.external import content_digest
from saccade.core.errors import ConflictError
from saccade.core.report import Action, Report
from saccade.core.schema import Schema
from saccade.formats.base import FORMATS
from saccade.operations.base import Context, Inputs, Kept, Parameters, PortType, on_whole, the_dataset
from saccade.pipeline.data.sources import Origins
from saccade.pipeline.data.table import TableReader
from saccade.pipeline.execution.environment import cache_of
from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace

_MARK = ".saccade-export.json"


class DatasetParameters(Parameters):
    name: str = Field(description="A dataset, at its latest version or at NAME@VERSION.")


def _exact(parameters: DatasetParameters, workspace: Workspace) -> str:
    return workspace.datasets.open(parameters.name).ref


@on_whole("dataset", parameters=DatasetParameters, inputs=(), needs_workspace=True, fingerprint=_exact)
def dataset(inputs: Inputs, parameters: DatasetParameters, context: Context) -> Kept:
    """The items of a dataset of the workspace."""
    return Kept(context.workspace.datasets.open(parameters.name).ref)


class ImportParameters(Parameters):
    source: Path = Field(description="A folder, file or archive.")
    dataset: str = Field(description="The dataset to write; what is read becomes its next version.")
    format: str = Field("auto", description="The format; found out where it is not given.")
    link: bool = Field(False, description="Refer to the images where they lie instead of copying them.")
    strict: bool = Field(False, description="Refuse what cannot be read without loss.")
    options: dict[str, Any] = Field({}, description="Options of the format.")


def _content(parameters: ImportParameters, workspace: Workspace) -> str:
    return content_digest(workspace, parameters.source)


@on_whole("import", parameters=ImportParameters, inputs=(), needs_workspace=True, fingerprint=_content)
def import_source(inputs: Inputs, parameters: ImportParameters, context: Context) -> Kept:
    """Read a source in any format into a dataset, again when its files have another content."""
    result = import_dataset(
        context.workspace,
        parameters.source,
        parameters.dataset,
        format=parameters.format,
        link=parameters.link,
        strict=parameters.strict,
        options=parameters.options,
        progress=context.progress,
        replace=True,
    )
    return Kept(result.version.ref)


class MaterialiseParameters(Parameters):
    name: str = Field(description="The dataset to write; the items become its next version.")
    message: str = Field("", description="What is noted with the version.")


@on_whole("materialise", parameters=MaterialiseParameters, needs_workspace=True, has_effect=True)
def materialise(inputs: Inputs, parameters: MaterialiseParameters, context: Context) -> Kept:
    """Keep the items as a version of a dataset; where they are those of its latest version, that one."""
    return Kept(written(context, the_dataset(inputs), parameters.name, parameters.message).ref)


def written(context: Context, reader: Any, name: str, message: str = "") -> DatasetVersion:
    """The version of a dataset that holds just these items; made where the latest one does not."""
    workspace: Workspace = context.workspace
    is_there = workspace.datasets.exists(name)
    if is_there and isinstance(reader, TableReader):
        latest = workspace.datasets.open(name)
        if Origins(cache_of(workspace), workspace.datasets).table(latest).id == reader.table.id:
            return latest
    return workspace.datasets.write(
        name,
        reader.schema,
        reader.items(),
        mode="replace" if is_there else "create",
        message=message or "made by a pipeline",
        progress=context.progress,
    )


class ExportParameters(Parameters):
    destination: Path = Field(description="A new or empty folder, or the one that this step has written before.")
    format: str = Field(description="The format to write.")
    split: str | None = Field(None, description="Only the items of this split.")
    options: dict[str, Any] = Field({}, description="Options of the format.")


def _destination(parameters: ExportParameters, workspace: Workspace) -> str:
    return str(parameters.destination)


def _is_written(workspace: Workspace, value: Mapping[str, Any]) -> bool:
    return _facts(Path(value["folder"])) == {name: value[name] for name in ("files", "bytes")}


def _facts(folder: Path) -> dict[str, int]:
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    return {"files": len(sizes), "bytes": sum(sizes)}


def _every_column(parameters: ExportParameters, schema: Schema) -> Sequence[str]:
    return schema.names


@on_whole(
    "export",
    parameters=ExportParameters,
    output=PortType.FOLDER,
    needs_workspace=True,
    has_effect=True,
    fingerprint=_destination,
    is_there=_is_written,
    reads=_every_column,
)
def export(inputs: Inputs, parameters: ExportParameters, context: Context) -> dict[str, Any]:
    """Write the items in an outside format; a folder of an earlier run is replaced as a whole."""
    reader, report = the_dataset(inputs), Report()
    destination = parameters.destination
    earlier = _set_aside(destination)
    try:
        with new_folder(destination) as folder:
            context.progress.start("Exporting", len(reader))
            reading = reading_of(reader, context.progress, report, parameters.split)
            FORMATS.get(parameters.format).write(reading, folder, report, **parameters.options)
            (folder / _MARK).write_text(json.dumps({"format": parameters.format}), encoding="utf-8")
    except BaseException:
        if earlier is not None and not destination.exists():
            earlier.replace(destination)
        raise
    finally:
        context.progress.finish()
    if earlier is not None:
        shutil.rmtree(earlier)
    losses = {
        f"{action}: {reason}": count
        for (action, reason), count in report.counts().items()
        if action is not Action.NOTICED
    }
    return {"folder": str(destination), **_facts(destination), "losses": losses}


def _set_aside(destination: Path) -> Path | None:
    """Move an earlier export out of the way; ConflictError where there is something else."""
    if not destination.is_dir() or not any(destination.iterdir()):
        return None
    if not (destination / _MARK).is_file():
        raise ConflictError(
            f"{destination} is there, and was not written by a pipeline.", hint="Name a new or an empty folder."
        )
    earlier = destination.with_name(f".{destination.name}.earlier")
    shutil.rmtree(earlier, ignore_errors=True)
    destination.replace(earlier)
    return earlier
