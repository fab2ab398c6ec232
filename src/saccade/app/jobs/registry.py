"""What may be left to the server: for each kind of job its parameters, what it is called, and what does it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from saccade.app.ingest.importing import SplitRequest, at_hand, chosen_format, import_dataset
from saccade.app.ingest.uploads import find_upload, folder_of_upload, name_of_upload, remove_upload, source_of
from saccade.app.jobs.edits import CHANGES, author_of, made_before
from saccade.app.jobs.job_type import Doing, JobKind, Parameters
from saccade.app.jobs.maintenance import DOCTOR, GC
from saccade.app.jobs.pipelines import PIPELINE, PLAN
from saccade.app.net.download import is_web
from saccade.app.net.safe_http import shown
from saccade.core.errors import InvalidValueError, NotFoundError, RecipeError, SaccadeError, nearest
from saccade.core.query import parse_query
from saccade.core.report import Report
from saccade.core.schema import Kind as ColumnKind
from saccade.store.catalog.names import check_name
from saccade.store.datasets.rows import taken
from saccade.store.jobs.jobs import Job
from saccade.store.workspace import Workspace

_FINDINGS, _PREVIEW, _PREVIEW_SIZE, _COUNTED = 200, 12, 320, 20_000


class Source(Parameters):
    """Where to import from: one of an upload, an address of the web, and a folder of the server."""

    upload: str | None = Field(None, max_length=64, description="The id of an upload.")
    url: str | None = Field(None, max_length=2000, description="An address that begins with http:// or https://.")
    folder: str | None = Field(None, max_length=2000, description="A folder or file of the server that it allows.")

    @model_validator(mode="after")
    def _one(self) -> Source:
        given = [one for one in (self.upload, self.url, self.folder) if one is not None]
        if len(given) != 1:
            raise ValueError("give one of upload, url and folder")
        if self.url is not None and not is_web(self.url):
            raise ValueError("an address begins with http:// or https://")
        return self

    def name(self) -> str:
        return shown(self.url) if self.url is not None else self.folder or "an upload"

    def place(self, workspace: Workspace) -> Path | str:
        if self.upload is not None:
            return source_of(workspace, self.upload)
        return self.url if self.url is not None else Path(self.folder or "")


class LookParameters(Parameters):
    source: Source
    format: str = Field("auto", max_length=40)


class Split(Parameters):
    """Into which splits items are put."""

    shares: dict[str, float] = Field(description="Shares by name, such as train: 0.8.")
    group: str = Field("", max_length=500, description="A regular expression that finds an item's group in its key.")
    seed: int = 0


class ImportParameters(LookParameters):
    dataset: str = Field(max_length=100)
    link: bool = Field(False, description="Leave the files of a folder of the server where they are.")
    split: Split | None = None
    strict: bool = False
    options: dict[str, str] = Field({}, max_length=50, description="Options of the format, by name.")
    replace: bool = Field(False, description="Make it the next version of a dataset that is there.")


class WriteParameters(Parameters):
    """Items and their files, sent as an upload; see the guide."""

    upload: str = Field(max_length=64, description="Has items-….arrow, and files by their digests in the folder files.")
    dataset: str = Field(max_length=100)
    mode: Literal["create", "append", "merge", "replace"]
    message: str = Field("", max_length=2000)
    branch: str = Field("main", max_length=200)
    inputs: list[str] = Field([], max_length=100, description="Dataset versions that they were made from.")
    follows: int | None = Field(None, ge=1, description="The number of the version that it is to follow.")


class ExportParameters(Parameters):
    dataset: str = Field(max_length=200, description="NAME or NAME@VERSION.")
    format: str = Field(max_length=40)
    split: str | None = Field(None, max_length=100)
    where: str | None = Field(None, max_length=4000)


class TrainParameters(Parameters):
    recipe: str = Field(max_length=100_000, description="The recipe as YAML.")
    check: bool = Field(False, description="Only check recipe, data and model, and say what each check found.")


class EvaluateParameters(Parameters):
    model: str = Field(max_length=200)
    dataset: str = Field(max_length=200)
    split: str | None = Field(None, max_length=100)


class FilesParameters(Parameters):
    """A file of truth and one of predictions, both in COCO's format, sent as an upload."""

    upload: str = Field(max_length=64, description="The id of an upload.")
    truth: str = Field(max_length=1000, description="The name of a file of it.")
    predictions: str = Field(max_length=1000)
    kind: Literal["boxes", "masks", "keypoints"] = "boxes"


class BackboneParameters(Parameters):
    containing: str = Field("", max_length=200, description="Only names that contain this.")


class PredictParameters(EvaluateParameters):
    into: str = Field(max_length=100, description="The name of the new dataset with what the model finds.")
    min_score: float = Field(0.25, ge=0, le=1)


def look(doing: Doing, given: LookParameters) -> dict[str, Any]:
    """Say what a source is, and show the first of what an import would take, before anything is imported."""
    from saccade.formats.base import FORMATS

    workspace, report = doing.workspace, Report()
    with at_hand(workspace, given.source.place(workspace), False, report, doing.progress, False) as place:
        chosen, reason = chosen_format(place, given.format)
        reading = FORMATS.get(chosen).read(place, report)
        doing.progress.start("Looking", reading.total)
        counts: dict[str, int] = {}
        shown: list[dict[str, Any]] = []
        seen = 0
        labels = next(iter(reading.schema.of_kind(ColumnKind.OBJECTS, ColumnKind.LABEL, ColumnKind.LABELS)), None)
        for one in islice(reading.records, _COUNTED):
            seen += 1
            names = _classes(None if labels is None else one.values.get(labels.name))
            for name in names:
                counts[name] = counts.get(name, 0) + 1
            if len(shown) < _PREVIEW:
                file = _preview(doing.folder, len(shown), one, reading.schema)
                shown.append({"key": one.key, "file": file, "labels": len(names)})
            doing.progress.advance(1, one.key)
        doing.progress.finish()
    return {
        "format": chosen,
        "reason": reason,
        "items": seen if reading.total is None else reading.total,
        "counted": seen,
        "columns": {column.name: str(column.kind) for column in reading.schema.columns},
        "classes": dict(sorted(counts.items(), key=lambda entry: -entry[1])[:200]),
        "preview": shown,
        "report": report.to_json(_FINDINGS),
    }


def _classes(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    return [one if isinstance(one, str) else one.class_name for one in value]


def _preview(folder: Path, number: int, record: Any, schema: Any) -> str | None:
    """A small picture of a record with its objects; None where there is none that can be shown."""
    from dataclasses import replace

    import numpy as np

    from saccade.core.geometry import transform_geometry
    from saccade.media.draw import draw_objects
    from saccade.media.image import decode, encode

    if record.media is None or schema.first(ColumnKind.IMAGE, ColumnKind.VIDEO).kind is ColumnKind.VIDEO:
        return None
    try:
        data = record.media.path or record.media.read()
        pixels = decode(data, frame=record.frame or 0)
        columns = schema.of_kind(ColumnKind.OBJECTS)
        height, width = pixels.shape[:2]
        scale = min(1.0, _PREVIEW_SIZE / max(width, height))
        small = decode(data, frame=record.frame or 0, max_size=_PREVIEW_SIZE) if scale < 1 else pixels
        objects = record.values.get(columns[0].name) if columns else None
        if objects:
            matrix = np.array([[small.shape[1] / width, 0, 0], [0, small.shape[0] / height, 0]])
            size = small.shape[1], small.shape[0]
            moved = [replace(one, geometry=transform_geometry(one.geometry, matrix, size)) for one in objects]
            small = draw_objects(small, moved, classes={info.name: info for info in columns[0].classes}, labels=False)
    except (SaccadeError, OSError):
        return None
    name = f"preview-{number}.jpg"
    (folder / name).write_bytes(encode(small, "jpeg", 85))
    return name


def import_(doing: Doing, given: ImportParameters) -> dict[str, Any]:
    """Import a source as a dataset. Done again after its worker died, it finds what it had finished."""
    workspace = doing.workspace
    for run in workspace.runs.of_job(doing.job.id):
        made = workspace.runs.version_made(run.id)
        if made is not None:
            return {"dataset": made, "items": len(workspace.datasets.open(made)), "format": run.config["format"]}
    split = None
    if given.split is not None:
        split = SplitRequest(given.split.shares, given.split.group, given.split.seed)
    result = import_dataset(
        workspace,
        given.source.place(workspace),
        given.dataset,
        format=given.format,
        link=given.link,
        split=split,
        strict=given.strict,
        options=given.options,
        progress=doing.progress,
        replace=given.replace,
        called="" if given.source.upload is None else name_of_upload(workspace, given.source.upload),
    )
    with (doing.folder / "report.json").open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(result.report.text())
    if given.source.upload is not None:
        remove_upload(workspace, given.source.upload)
    return {
        "dataset": result.version.ref,
        "items": len(result.version),
        "format": result.format,
        "reason": result.reason,
        "set_aside": result.set_aside,
        "splits": dict(result.splits),
        "report": result.report.to_json(_FINDINGS),
    }


def write(doing: Doing, given: WriteParameters) -> dict[str, Any]:
    """Write items that were sent. Done again after its worker died, it finds what it had finished."""
    from saccade.app.ingest.remote_write import write_sent

    workspace = doing.workspace
    made = made_before(doing)
    if made is None:
        made = write_sent(
            workspace,
            folder_of_upload(workspace, given.upload),
            given.dataset,
            mode=given.mode,
            message=given.message,
            branch=given.branch,
            inputs=given.inputs,
            follows=given.follows,
            progress=doing.progress,
            author=author_of(doing),
        ).ref
    remove_upload(workspace, given.upload)
    version = workspace.datasets.open(made)
    return {"dataset": version.ref, "number": version.number, "items": len(version)}


def export(doing: Doing, given: ExportParameters) -> dict[str, Any]:
    """Write a dataset version in an outside format, as one archive to be fetched."""
    from saccade.app.ingest.exporting import export_dataset

    version = doing.workspace.datasets.open(given.dataset)
    name = f"{version.ref.replace('@', '-')}-{given.format}"
    with doing.workspace.scratch.working() as scratch:
        report = export_dataset(
            doing.workspace,
            version.ref,
            scratch / name,
            given.format,
            split=given.split,
            where=given.where,
            progress=doing.progress,
        )
        files = sorted(one for one in (scratch / name).rglob("*") if one.is_file())
        doing.progress.start("Packing", len(files))
        making = scratch / "archive"
        with zipfile.ZipFile(making, "x", zipfile.ZIP_STORED, strict_timestamps=False) as packed:
            for file in files:
                packed.write(file, f"{name}/{file.relative_to(scratch / name).as_posix()}")
                doing.progress.advance(1, file.name)
        doing.progress.finish()
        making.replace(doing.folder / f"{name}.zip")
    return {"dataset": version.ref, "format": given.format, "file": f"{name}.zip", "report": report.to_json(_FINDINGS)}


def train(doing: Doing, given: TrainParameters) -> dict[str, Any]:
    """Train a recipe; taken up again where its worker died."""
    from saccade.app.ml.train import check_recipe
    from saccade.app.ml.train import train as train_recipe

    recipe = _recipe(given.recipe)
    if given.check:
        return {"checks": [asdict(one) for one in check_recipe(doing.workspace, recipe)]}
    began = next(iter(doing.workspace.runs.of_job(doing.job.id)), None)
    if began is not None and began.state == "finished":
        return {"run": began.id, "model": _model_of(began.outputs), "metrics": dict(began.metrics)}
    resume = began is not None and began.state in ("interrupted", "stopped")
    result = train_recipe(doing.workspace, recipe, resume=resume, progress=doing.progress, tensorboard=False)
    return {
        "run": result.run.id,
        "model": None if result.model is None else result.model.ref,
        "metrics": dict(result.run.metrics),
        "stopped": result.outcome.reason == "stopped",
    }


def evaluate(doing: Doing, given: EvaluateParameters) -> dict[str, Any]:
    """Measure a model on a dataset."""
    from saccade.app.ml.evaluate import evaluate_model

    result = evaluate_model(doing.workspace, given.model, given.dataset, split=given.split, progress=doing.progress)
    (doing.folder / "report.html").write_text(result.report, "utf-8")
    return {"evaluation": result.stored.id, "metrics": dict(result.metrics.to_json()), "file": "report.html"}


def evaluate_files(doing: Doing, given: FilesParameters) -> dict[str, Any]:
    """Measure a file of predictions against one of truth."""
    from saccade.evaluation.detection import evaluate_coco_files

    folder = folder_of_upload(doing.workspace, given.upload)
    sent = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    for name in (given.truth, given.predictions):
        if name not in sent:
            raise NotFoundError(f"No file was sent as {ascii(name)[:100]}.", hint=nearest(name, sent))
    doing.progress.start("Measuring")
    metrics = evaluate_coco_files(sent[given.truth], sent[given.predictions], given.kind).to_json()
    remove_upload(doing.workspace, given.upload)
    (doing.folder / "metrics.json").write_text(json.dumps(metrics, ensure_ascii=False), "utf-8")
    return {"metrics": {name: value for name, value in metrics.items() if name != "curves"}, "file": "metrics.json"}


def backbones(doing: Doing, given: BackboneParameters) -> dict[str, Any]:
    """The encoders that a recipe may name; a job, since torch is loaded for it."""
    from saccade.models.components.encoders import backbone_names

    return {"names": [name for name in backbone_names() if given.containing in name]}


def predict(doing: Doing, given: PredictParameters) -> dict[str, Any]:
    """Run a model on a dataset; what it finds becomes a dataset of its own."""
    from saccade.app.ml.predict import predict as predict_on

    workspace = doing.workspace
    source = workspace.datasets.open(given.dataset).ref  # a dataset, never a path of the server
    result = predict_on(
        workspace,
        given.model,
        source,
        dataset=given.into,
        split=given.split,
        min_score=given.min_score,
        progress=doing.progress,
    )
    return {"dataset": result.dataset, "model": result.model, "items": len(result.predictions)}


def _recipe(text: str) -> Any:
    from saccade.training.recipe import parse_recipe

    try:
        return parse_recipe(yaml.safe_load(text))
    except (yaml.YAMLError, RecursionError) as error:
        raise RecipeError(f"The recipe is not valid YAML: {error}.") from None


def _model_of(outputs: Any) -> str | None:
    return next((one.removeprefix("model:") for one in outputs if one.startswith("model:")), None)


def _check_import(workspace: Workspace, given: ImportParameters) -> None:
    check_name("dataset", given.dataset)
    if given.link and given.source.folder is None:
        raise InvalidValueError("Only the files of a folder of the server can be linked.")


def _check_write(workspace: Workspace, given: WriteParameters) -> None:
    check_name("dataset", given.dataset)
    if given.mode == "create" and workspace.datasets.exists(given.dataset):
        raise taken(given.dataset)
    if given.mode in ("append", "merge"):
        workspace.datasets.open(f"{given.dataset}@{given.branch}")


def _check_export(workspace: Workspace, given: ExportParameters) -> None:
    from saccade.formats.base import FORMATS

    FORMATS.get(given.format)
    version = workspace.datasets.open(given.dataset)
    if given.where is not None:
        parse_query(given.where, version.schema)


KINDS: Mapping[str, JobKind] = {
    "look": JobKind(LookParameters, lambda given: f"Look at {given.source.name()}", look),
    "import": JobKind(
        ImportParameters, lambda given: f"Import {given.source.name()} as {given.dataset}", import_, _check_import
    ),
    "write": JobKind(WriteParameters, lambda given: f"Write {given.dataset} ({given.mode})", write, _check_write),
    **CHANGES,
    "export": JobKind(
        ExportParameters, lambda given: f"Export {given.dataset} as {given.format}", export, _check_export
    ),
    "train": JobKind(
        TrainParameters,
        lambda given: f"{'Check' if given.check else 'Train'} {_recipe(given.recipe).name}",
        train,
        lambda workspace, given: workspace.datasets.open(_recipe(given.recipe).data.dataset),
    ),
    "pipeline": PIPELINE,
    "plan": PLAN,
    "evaluate": JobKind(
        EvaluateParameters,
        lambda given: f"Evaluate {given.model} on {given.dataset}",
        evaluate,
        lambda workspace, given: (workspace.models.open(given.model), workspace.datasets.open(given.dataset)),
    ),
    "predict": JobKind(
        PredictParameters,
        lambda given: f"Predict {given.dataset} with {given.model}",
        predict,
        lambda workspace, given: (workspace.models.open(given.model), workspace.datasets.open(given.dataset)),
    ),
    "evaluate-files": JobKind(
        FilesParameters, lambda given: f"Evaluate {given.predictions} against {given.truth}", evaluate_files
    ),
    "backbones": JobKind(BackboneParameters, lambda given: "List the backbones", backbones),
    "doctor": DOCTOR,
    "gc": GC,
}


def leave(
    workspace: Workspace,
    kind: str,
    parameters: Mapping[str, Any],
    person: str | None = None,
    request: str | None = None,
) -> Job:
    """Leave work to the workers, after what can be seen at once has been checked."""
    if kind not in KINDS:
        raise NotFoundError(f"There is no kind of job '{kind}'.", hint=nearest(kind, KINDS))
    part = KINDS[kind]
    try:
        given = part.parameters.model_validate(parameters)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidValueError(f"The parameters of the {kind} are wrong: {place}: {first['msg']}.") from None
    plain = given.model_dump(mode="json")
    if request is not None and (earlier := workspace.jobs.asked(kind, plain, person, request)) is not None:
        return earlier  # not checked again: by now the job may have used up its upload and made its dataset
    source = getattr(given, "source", given)
    if (upload := getattr(source, "upload", None)) is not None:
        find_upload(workspace, upload, person or "")
    part.check(workspace, given)
    return workspace.jobs.add(kind, part.title(given), plain, person, request)
