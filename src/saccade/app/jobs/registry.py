"""Registry of job types, and the function that enqueues a job."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from saccade.app.ingest.importing import SplitRequest, check_source, import_dataset
from saccade.app.ingest.uploads import delete_upload, get_upload, upload_dir, upload_display_name, upload_source
from saccade.app.jobs.edits import EDIT_JOB_TYPES, author_name, previous_output
from saccade.app.jobs.job_type import JobContext, JobParameters, JobType
from saccade.app.jobs.maintenance import DOCTOR, GC
from saccade.app.jobs.pipelines import PIPELINE, PLAN
from saccade.app.ml.training_runs import is_resumable
from saccade.app.net.download import is_http_url
from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError, RecipeError, SaccadeError, suggest
from saccade.core.query import parse_query
from saccade.core.records.datasets import WriteMode
from saccade.core.records.jobs import Job
from saccade.core.schema import Kind, Schema
from saccade.core.urls import redact_url
from saccade.formats.base import FORMATS, Record
from saccade.store.workspace import Workspace

_MAX_FINDINGS = 200
"""The number of findings in a job's result; all are in ``report.json``."""
_MAX_PREVIEWS = 12
_PREVIEW_SIZE = 320
_PREVIEW_QUALITY = 85
_MAX_CHECKED = 20_000
"""About the number of images that an inspection checks, so that it ends soon on a large source."""
_MAX_FINDINGS_PER_REASON = 20
_MAX_CLASSES = 200


class ImportSource(JobParameters):
    """The source of an import: one of an upload, a URL and a folder of the server."""

    upload: str | None = Field(None, max_length=64, description="The id of an upload.")
    url: str | None = Field(None, max_length=2000, description="A URL that begins with http:// or https://.")
    folder: str | None = Field(None, max_length=2000, description="A folder or file of the server that it allows.")

    @model_validator(mode="after")
    def _require_one(self) -> ImportSource:
        if sum(value is not None for value in (self.upload, self.url, self.folder)) != 1:
            raise ValueError("give one of upload, url and folder")
        if self.url is not None and not is_http_url(self.url):
            raise ValueError("a URL must begin with http:// or https://")
        return self

    def display_name(self) -> str:
        return redact_url(self.url) if self.url is not None else self.folder or "an upload"

    def resolve(self, workspace: Workspace) -> Path | str:
        """Return the path or URL to import."""
        if self.upload is not None:
            return upload_source(workspace, self.upload)
        return self.url if self.url is not None else Path(self.folder or "")


class InspectParameters(JobParameters):
    source: ImportSource
    format: str = Field("auto", max_length=40)


class SplitOptions(JobParameters):
    """How items are assigned to splits."""

    shares: dict[str, float] = Field(description="Shares by name, such as train: 0.8.")
    group: str = Field("", max_length=500, description="A regular expression that finds an item's group in its key.")
    seed: int = 0


class ImportParameters(InspectParameters):
    dataset: str = Field(max_length=401, description="NAME or NAME@BRANCH.")
    link: bool = Field(False, description="Leave the files of a folder of the server where they are.")
    split: SplitOptions | None = None
    strict: bool = False
    options: dict[str, str] = Field({}, max_length=50, description="Options of the format, by name.")
    mode: Literal["create", "append", "merge", "replace"] = Field(
        "create", description="How the items are combined with those of an existing dataset."
    )
    replace: bool = Field(False, description="The same as the mode `replace`.")

    def write_mode(self) -> WriteMode:
        return "replace" if self.replace else self.mode


class WriteParameters(JobParameters):
    """Items and their files in an upload; see the guide."""

    upload: str = Field(
        max_length=64, description="An upload of items-….arrow, and media files by digest in the folder files."
    )
    dataset: str = Field(max_length=401, description="NAME or NAME@BRANCH.")
    mode: Literal["create", "append", "merge", "replace"]
    message: str = Field("", max_length=2000)
    branch: str | None = Field(None, max_length=200, description="The branch, if it is not part of `dataset`.")
    inputs: list[str] = Field([], max_length=100, description="The dataset versions that the items were made from.")
    expected_version: int | None = Field(
        None, ge=1, description="The number of the version that is expected to be the head of the branch."
    )


class ExportParameters(JobParameters):
    dataset: str = Field(max_length=200, description="NAME or NAME@VERSION.")
    format: str = Field(max_length=40)
    split: str | None = Field(None, max_length=100)
    where: str | None = Field(None, max_length=4000)


class TrainParameters(JobParameters):
    recipe: str = Field(max_length=100_000, description="The recipe as YAML.")
    check: bool = Field(False, description="Only check recipe, data and model, and report each check.")
    resume_run: str | None = Field(None, max_length=100, description="Continue this run, which has ended early.")


class EvaluateParameters(JobParameters):
    model: str = Field(max_length=200)
    dataset: str = Field(max_length=200)
    split: str | None = Field(None, max_length=100)


class EvaluateFilesParameters(JobParameters):
    """A file of ground truth and a file of predictions, both in COCO format, in an upload."""

    upload: str = Field(max_length=64, description="The id of an upload.")
    truth: str = Field(max_length=1000, description="The name of the file with the ground truth.")
    predictions: str = Field(max_length=1000, description="The name of the file with the predictions.")
    kind: Literal["boxes", "masks", "keypoints"] = "boxes"


class BackbonesParameters(JobParameters):
    containing: str = Field("", max_length=200, description="Only names that contain this.")


class PredictParameters(EvaluateParameters):
    into: str = Field(max_length=401, description="The dataset with the predictions: NAME or NAME@BRANCH.")
    mode: Literal["create", "replace", "append", "merge"] = Field("create", description="How to write the dataset.")
    min_score: float = Field(0.25, ge=0, le=1)


def inspect_source(context: JobContext, params: InspectParameters) -> dict[str, Any]:
    """Check a source as an import would, count its classes, and render previews, without importing anything."""
    class_counts: Counter[str] = Counter()
    previews: list[dict[str, Any]] = []

    def inspect_record(record: Record, schema: Schema) -> None:
        label_columns = schema.columns_of_kind(Kind.OBJECTS, Kind.LABEL, Kind.LABELS)
        names = _class_names(record.values.get(label_columns[0].name)) if label_columns else []
        class_counts.update(names)
        if len(previews) < _MAX_PREVIEWS:
            file = _write_preview(context.output_dir, len(previews), record, schema)
            previews.append({"key": record.key, "file": file, "labels": len(names)})

    check = check_source(
        context.workspace,
        params.source.resolve(context.workspace),
        format=params.format,
        max_images=_MAX_CHECKED,
        on_record=inspect_record,
        progress=context.progress,
    )
    refusal = check.refusal
    return {
        "format": check.format,
        "reason": check.reason,
        "items": check.items,
        "checked": check.checked,
        "unusable": check.skipped,
        "refusal": None if refusal is None else {"message": refusal.message, "hint": refusal.hint},
        "columns": {column.name: str(column.kind) for column in check.schema.columns},
        "classes": dict(class_counts.most_common(_MAX_CLASSES)),
        "preview": previews,
        "report": check.report.to_json(_MAX_FINDINGS, max_per_reason=_MAX_FINDINGS_PER_REASON),
    }


def _class_names(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    return [label if isinstance(label, str) else label.class_name for label in value]


def _write_preview(folder: Path, number: int, record: Record, schema: Schema) -> str | None:
    """Write a small image of a record with its objects. Returns None if there is no image or it is not readable."""
    from dataclasses import replace

    import numpy as np

    from saccade.core.geometry import transform_geometry
    from saccade.media.draw import draw_objects
    from saccade.media.image import decode, encode

    if record.media is None or schema.first(Kind.IMAGE, Kind.VIDEO).kind is Kind.VIDEO:
        return None
    try:
        data = record.media.path or record.media.read()
        pixels = decode(data, frame=record.frame or 0)
        columns = schema.columns_of_kind(Kind.OBJECTS)
        height, width = pixels.shape[:2]
        scale = min(1.0, _PREVIEW_SIZE / max(width, height))
        small = decode(data, frame=record.frame or 0, max_size=_PREVIEW_SIZE) if scale < 1 else pixels
        objects = record.values.get(columns[0].name) if columns else None
        if objects:
            size_wh = small.shape[1], small.shape[0]
            matrix = np.array([[size_wh[0] / width, 0, 0], [0, size_wh[1] / height, 0]])
            scaled = [replace(obj, geometry=transform_geometry(obj.geometry, matrix, size_wh)) for obj in objects]
            small = draw_objects(small, scaled, classes={info.name: info for info in columns[0].classes}, labels=False)
    except (SaccadeError, OSError):
        return None
    name = f"preview-{number}.jpg"
    (folder / name).write_bytes(encode(small, "jpeg", _PREVIEW_QUALITY))
    return name


def run_import(context: JobContext, params: ImportParameters) -> dict[str, Any]:
    """Import a source as a dataset. If an earlier attempt of the job has finished the import, return its result."""
    workspace = context.workspace
    for run in workspace.runs.list_for_job(context.job.id):
        output = workspace.runs.output_version(run.id)
        if output is not None:
            return {"dataset": output, "items": len(workspace.datasets.open(output)), "format": run.config["format"]}
    split = None
    if params.split is not None:
        split = SplitRequest(params.split.shares, params.split.group, params.split.seed)
    upload = params.source.upload
    result = import_dataset(
        workspace,
        params.source.resolve(workspace),
        params.dataset,
        format=params.format,
        link=params.link,
        split=split,
        strict=params.strict,
        options=params.options,
        progress=context.progress,
        mode=params.write_mode(),
        display_name="" if upload is None else upload_display_name(workspace, upload),
    )
    with (context.output_dir / "report.json").open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(result.report.iter_json())
    if upload is not None:
        delete_upload(workspace, upload)
    return {
        "dataset": result.version.ref,
        "items": len(result.version),
        "format": result.format,
        "reason": result.reason,
        "skipped": result.skipped,
        "splits": dict(result.splits),
        "report": result.report.to_json(_MAX_FINDINGS, max_per_reason=_MAX_FINDINGS_PER_REASON),
    }


def run_write(context: JobContext, params: WriteParameters) -> dict[str, Any]:
    """Write uploaded items. If an earlier attempt of the job has written them, return its result."""
    from saccade.app.ingest.remote_write import write_uploaded

    workspace = context.workspace
    output = previous_output(context)
    if output is None:
        output = write_uploaded(
            workspace,
            upload_dir(workspace, params.upload),
            params.dataset,
            mode=params.mode,
            message=params.message,
            branch=params.branch,
            inputs=params.inputs,
            expected_version=params.expected_version,
            progress=context.progress,
            author=author_name(context),
        ).ref
    delete_upload(workspace, params.upload)
    version = workspace.datasets.open(output)
    return {"dataset": version.ref, "number": version.number, "items": len(version)}


def run_export(context: JobContext, params: ExportParameters) -> dict[str, Any]:
    """Export a dataset version as a ZIP archive for download."""
    from saccade.app.ingest.exporting import export_dataset

    version = context.workspace.datasets.open(params.dataset)
    name = f"{version.ref.replace('@', '-')}-{params.format}"
    with context.workspace.scratch.shared() as scratch:
        report = export_dataset(
            context.workspace,
            version.ref,
            scratch / name,
            params.format,
            split=params.split,
            where=params.where,
            replaceable=False,
            progress=context.progress,
        )
        files = sorted(path for path in (scratch / name).rglob("*") if path.is_file())
        context.progress.start("Packing", len(files))
        archive = scratch / "archive"
        with zipfile.ZipFile(archive, "x", zipfile.ZIP_STORED, strict_timestamps=False) as packed:
            for file in files:
                packed.write(file, f"{name}/{file.relative_to(scratch / name).as_posix()}")
                context.progress.advance(1, file.name)
        context.progress.finish()
        archive.replace(context.output_dir / f"{name}.zip")
    return {
        "dataset": version.ref,
        "format": params.format,
        "file": f"{name}.zip",
        "report": report.to_json(_MAX_FINDINGS),
    }


def run_train(context: JobContext, params: TrainParameters) -> dict[str, Any]:
    """Train a recipe, or resume the training of an earlier attempt of the job."""
    from saccade.app.ml.train import check_recipe, train
    from saccade.training.hooks import LineHook

    recipe = _parse_recipe(params.recipe)
    if params.check:
        return {"checks": [asdict(check) for check in check_recipe(context.workspace, recipe)]}
    earlier = next(iter(context.workspace.runs.list_for_job(context.job.id)), None)
    if earlier is not None and earlier.state == "finished":
        return {"run": earlier.id, "model": _model_ref(earlier.outputs), "metrics": dict(earlier.metrics)}
    resume = earlier is not None and earlier.state in ("interrupted", "stopped")
    result = train(
        context.workspace,
        recipe,
        resume=resume,
        resume_run=params.resume_run if earlier is None else None,
        progress=context.progress,
        hooks=[LineHook(partial(print, flush=True), recipe.train)],  # to the log of the job
        tensorboard=False,
    )
    return {
        "run": result.run.id,
        "model": None if result.model is None else result.model.ref,
        "metrics": dict(result.run.metrics),
        "stopped": result.outcome.reason == "stopped",
    }


def run_evaluate(context: JobContext, params: EvaluateParameters) -> dict[str, Any]:
    """Evaluate a model on a dataset."""
    from saccade.app.ml.evaluate import evaluate_model

    result = evaluate_model(
        context.workspace, params.model, params.dataset, split=params.split, progress=context.progress
    )
    (context.output_dir / "report.html").write_text(result.report, "utf-8")
    return {
        "evaluation": result.evaluation.id,
        "metrics": dict(result.metrics.to_json()),
        "warnings": list(result.warnings),
        "file": "report.html",
    }


def run_evaluate_files(context: JobContext, params: EvaluateFilesParameters) -> dict[str, Any]:
    """Evaluate a file of predictions against a file of ground truth."""
    from saccade.evaluation.detection import evaluate_coco_files

    folder = upload_dir(context.workspace, params.upload)
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for name in (params.truth, params.predictions):
        if name not in files:
            raise NotFoundError(f"The upload has no file {ascii(name)[:100]}.", hint=suggest(name, files))
    context.progress.start("Evaluating")
    metrics = evaluate_coco_files(files[params.truth], files[params.predictions], params.kind).to_json()
    delete_upload(context.workspace, params.upload)
    (context.output_dir / "metrics.json").write_text(json.dumps(metrics, ensure_ascii=False), "utf-8")
    return {"metrics": {name: value for name, value in metrics.items() if name != "curves"}, "file": "metrics.json"}


def list_backbones(context: JobContext, params: BackbonesParameters) -> dict[str, Any]:
    """List the encoders that a recipe may name. This is a job because it imports torch."""
    from saccade.models.components.encoders import backbone_names

    return {"names": [name for name in backbone_names() if params.containing in name]}


def run_predict(context: JobContext, params: PredictParameters) -> dict[str, Any]:
    """Run a model on a dataset and write the predictions as a new dataset."""
    from saccade.app.ml.predict import predict

    workspace = context.workspace
    # Resolved to a version first: the source of predict() may be a path, and clients must not read files.
    source = workspace.datasets.open(params.dataset).ref
    result = predict(
        workspace,
        params.model,
        source,
        dataset=params.into,
        mode=params.mode,
        split=params.split,
        min_score=params.min_score,
        progress=context.progress,
    )
    return {"dataset": result.dataset, "model": result.model, "items": len(result.predictions)}


def _parse_recipe(text: str) -> Any:
    from saccade.training.recipe import parse_recipe

    try:
        return parse_recipe(yaml.safe_load(text))
    except (yaml.YAMLError, RecursionError) as error:
        raise RecipeError(f"The recipe is not valid YAML: {error}.") from None


def _model_ref(outputs: Sequence[str]) -> str | None:
    return next((output.removeprefix("model:") for output in outputs if output.startswith("model:")), None)


def _check_import(workspace: Workspace, params: ImportParameters) -> None:
    workspace.datasets.resolve_target(params.dataset, params.write_mode())
    if params.link and params.source.folder is None:
        raise InvalidValueError("Only the files of a folder of the server can be linked.")


def _check_write(workspace: Workspace, params: WriteParameters) -> None:
    workspace.datasets.resolve_target(params.dataset, params.mode, params.branch)


def _check_export(workspace: Workspace, params: ExportParameters) -> None:
    FORMATS.get(params.format)
    version = workspace.datasets.open(params.dataset)
    if params.where is not None:
        parse_query(params.where, version.schema)


def _train_title(params: TrainParameters) -> str:
    verb = "Check" if params.check else "Train" if params.resume_run is None else "Resume"
    return f"{verb} {_parse_recipe(params.recipe).name}"


def _check_train(workspace: Workspace, params: TrainParameters) -> None:
    recipe = _parse_recipe(params.recipe)
    if params.resume_run is None:
        workspace.datasets.open(recipe.data.dataset)
        return
    run = workspace.runs.get(params.resume_run)
    if not is_resumable(run):
        raise ConflictError(
            f"The run {run.id} cannot be resumed: it is {run.state}.",
            hint="Only a training that ended early and has a checkpoint can be resumed.",
        )


def _check_model_and_dataset(workspace: Workspace, params: EvaluateParameters) -> None:
    workspace.models.open(params.model)
    workspace.datasets.open(params.dataset)


def _check_predict(workspace: Workspace, params: PredictParameters) -> None:
    _check_model_and_dataset(workspace, params)
    workspace.datasets.resolve_target(params.into, params.mode)


JOB_TYPES: Mapping[str, JobType] = {
    "inspect-source": JobType(
        InspectParameters, lambda params: f"Inspect {params.source.display_name()}", inspect_source
    ),
    "import": JobType(
        ImportParameters,
        lambda params: f"Import {params.source.display_name()} as {params.dataset}",
        run_import,
        _check_import,
    ),
    "write-items": JobType(
        WriteParameters, lambda params: f"Write {params.dataset} ({params.mode})", run_write, _check_write
    ),
    **EDIT_JOB_TYPES,
    "export": JobType(
        ExportParameters, lambda params: f"Export {params.dataset} as {params.format}", run_export, _check_export
    ),
    "train": JobType(
        TrainParameters,
        _train_title,
        run_train,
        _check_train,
    ),
    "pipeline": PIPELINE,
    "plan": PLAN,
    "evaluate": JobType(
        EvaluateParameters,
        lambda params: f"Evaluate {params.model} on {params.dataset}",
        run_evaluate,
        _check_model_and_dataset,
    ),
    "predict": JobType(
        PredictParameters,
        lambda params: f"Predict {params.dataset} with {params.model}",
        run_predict,
        _check_predict,
    ),
    "evaluate-files": JobType(
        EvaluateFilesParameters,
        lambda params: f"Evaluate {params.predictions} against {params.truth}",
        run_evaluate_files,
    ),
    "list-backbones": JobType(BackbonesParameters, lambda params: "List the backbones", list_backbones),
    "doctor": DOCTOR,
    "gc": GC,
}


def enqueue(
    workspace: Workspace,
    kind: str,
    parameters: Mapping[str, Any],
    user_id: str | None = None,
    idempotency_key: str | None = None,
) -> Job:
    """Enqueue a job, after its parameters have been validated and checked.

    Args:
        workspace: The workspace.
        kind: The kind of job.
        parameters: The parameters of this kind as JSON.
        user_id: The user who enqueues it, or None for the system.
        idempotency_key: If this user has enqueued a job with this key, that job is returned.

    Raises:
        NotFoundError: There is no such kind of job, or it refers to something that does not exist.
        InvalidValueError: The parameters are invalid.
        ConflictError: The key was used for a different job, or the job cannot succeed.
    """
    if kind not in JOB_TYPES:
        raise NotFoundError(f"There is no kind of job '{kind}'.", hint=suggest(kind, JOB_TYPES))
    job_type = JOB_TYPES[kind]
    try:
        params = job_type.parameters.model_validate(parameters)
    except ValidationError as error:
        first = error.errors()[0]
        location = ".".join(map(str, first["loc"]))
        raise InvalidValueError(f"Invalid parameters of the {kind} job: {location}: {first['msg']}.") from None
    plain = params.model_dump(mode="json")
    if idempotency_key is not None:
        earlier = workspace.jobs.find_by_key(kind, plain, user_id, idempotency_key)
        if earlier is not None:
            # Not checked again: the job may have used up its upload and created its dataset by now.
            return earlier
    source = getattr(params, "source", params)
    if (upload := getattr(source, "upload", None)) is not None:
        get_upload(workspace, upload, user_id or "")  # the upload must belong to this user
    job_type.precheck(workspace, params)
    return workspace.jobs.add(kind, job_type.title(params), plain, user_id, idempotency_key)
