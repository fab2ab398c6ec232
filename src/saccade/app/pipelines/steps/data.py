"""Pipeline operations that read and write datasets and external formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from saccade.app.ingest.exporting import open_records
from saccade.app.ingest.importing import import_dataset
from saccade.app.pipelines.steps.external import fingerprint_path
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Schema
from saccade.formats.base import FORMATS
from saccade.io.atomic import atomic_output_dir
from saccade.operations.base import Context, ExistingVersion, Inputs, Parameters, PortType, dataset_op, single_dataset
from saccade.pipeline.data.sources import DatasetSources
from saccade.pipeline.data.table import TableReader
from saccade.pipeline.execution.environment import open_cache
from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace


class DatasetParameters(Parameters):
    name: str = Field(description="A dataset, at its latest version or at NAME@VERSION.")


def _version_ref(parameters: DatasetParameters, workspace: Workspace) -> str:
    return workspace.datasets.open(parameters.name).ref


@dataset_op("dataset", parameters=DatasetParameters, inputs=(), needs_workspace=True, fingerprint=_version_ref)
def dataset(inputs: Inputs, parameters: DatasetParameters, context: Context) -> ExistingVersion:
    """Read a dataset of the workspace."""
    return ExistingVersion(context.workspace.datasets.open(parameters.name).ref)


class ImportParameters(Parameters):
    source: Path = Field(description="A folder, file or archive.")
    dataset: str = Field(description="The dataset or NAME@BRANCH to write; the import becomes its next version.")
    format: str = Field("auto", description="The format; detected by default.")
    link: bool = Field(False, description="Refer to the images at their present paths instead of copying them.")
    strict: bool = Field(False, description="Fail if data would be lost.")
    options: dict[str, Any] = Field({}, description="Options of the format.")


def _source_fingerprint(parameters: ImportParameters, workspace: Workspace) -> str:
    return fingerprint_path(workspace, parameters.source)


@dataset_op("import", parameters=ImportParameters, inputs=(), needs_workspace=True, fingerprint=_source_fingerprint)
def import_source(inputs: Inputs, parameters: ImportParameters, context: Context) -> ExistingVersion:
    """Import a source of any format as a dataset, again if the content of its files has changed."""
    result = import_dataset(
        context.workspace,
        parameters.source,
        parameters.dataset,
        format=parameters.format,
        link=parameters.link,
        strict=parameters.strict,
        options=parameters.options,
        progress=context.progress,
        mode="replace",
    )
    return ExistingVersion(result.version.ref)


class MaterialiseParameters(Parameters):
    name: str = Field(description="The dataset or NAME@BRANCH to write; the items become its next version.")
    message: str = Field("", description="The message of the version.")


@dataset_op("materialise", parameters=MaterialiseParameters, needs_workspace=True, has_side_effects=True)
def materialise(inputs: Inputs, parameters: MaterialiseParameters, context: Context) -> ExistingVersion:
    """Write the items as the next version of a dataset or branch, unless they are equal to its latest version."""
    return ExistingVersion(write_if_changed(context, single_dataset(inputs), parameters.name, parameters.message).ref)


def write_if_changed(context: Context, reader: Any, name: str, message: str = "") -> DatasetVersion:
    """Write items as the next version of a dataset or branch, unless its latest version has exactly these items.

    Args:
        context: The context of the step.
        reader: The items.
        name: The dataset, or NAME@BRANCH.
        message: The message of a new version.

    Returns:
        The new version, or the latest one if it is equal.
    """
    workspace: Workspace = context.workspace
    name, branch = workspace.datasets.resolve_target(name, "replace")
    if workspace.datasets.exists(name) and isinstance(reader, TableReader):
        latest = workspace.datasets.open(f"{name}@{branch}")
        if DatasetSources(open_cache(workspace), workspace.datasets).table(latest).id == reader.table.id:
            return latest
    return workspace.datasets.write(
        name,
        reader.schema,
        reader.items(),
        mode="replace",
        branch=branch,
        message=message or "written by a pipeline",
        progress=context.progress,
    )


class ExportParameters(Parameters):
    destination: Path = Field(description="A new or empty folder, or the output of an earlier run of this step.")
    format: str = Field(description="The format to write.")
    split: str | None = Field(None, description="Only the items of this split.")
    options: dict[str, Any] = Field({}, description="Options of the format.")


def _destination(parameters: ExportParameters, workspace: Workspace) -> str:
    return str(parameters.destination)


def _is_unchanged(workspace: Workspace, value: Mapping[str, Any]) -> bool:
    return _folder_stats(Path(value["folder"])) == {name: value[name] for name in ("files", "bytes")}


def _folder_stats(folder: Path) -> dict[str, int]:
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    return {"files": len(sizes), "bytes": sum(sizes)}


def _every_column(parameters: ExportParameters, schema: Schema) -> Sequence[str]:
    return schema.names


@dataset_op(
    "export",
    parameters=ExportParameters,
    output=PortType.FOLDER,
    needs_workspace=True,
    has_side_effects=True,
    fingerprint=_destination,
    exists=_is_unchanged,
    input_columns=_every_column,
)
def export(inputs: Inputs, parameters: ExportParameters, context: Context) -> dict[str, Any]:
    """Export the items to an external format. The output of an earlier run is replaced."""
    reader = single_dataset(inputs)
    report = ConversionReport()
    destination = parameters.destination
    try:
        with atomic_output_dir(destination, replaceable=True, overwrite=True) as folder:
            context.progress.start("Exporting", len(reader))
            records = open_records(reader, context.progress, report, parameters.split)
            FORMATS.get(parameters.format).write(records, folder, report, **parameters.options)
    finally:
        context.progress.finish()
    losses = {
        f"{action}: {reason}": count
        for (action, reason), count in report.counts().items()
        if action is not FindingType.WARNING
    }
    return {"folder": str(destination), **_folder_stats(destination), "losses": losses}
