"""A server, as a workspace: its datasets, jobs, models and runs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from saccade.client.api import Http
from saccade.client.datasets import RemoteDatasets
from saccade.client.jobs import RemoteJobs
from saccade.client.members import RemotePeople, RemoteProjects
from saccade.client.models import RemoteEvaluation, RemoteEvaluations, RemoteModels, RemoteModelVersion
from saccade.client.pipelines import RemotePipelines
from saccade.client.runs import RemoteRuns
from saccade.client.uploads import Outgoing, RemoteObjects, new_upload, send_files
from saccade.client.version import RemoteVersion
from saccade.core.errors import NotFoundError
from saccade.core.progress import Progress, Silent

_PIECE = 1 << 20


PARTS: Mapping[str, type] = {
    "datasets": RemoteDatasets,
    "jobs": RemoteJobs,
    "models": RemoteModels,
    "runs": RemoteRuns,
    "evaluations": RemoteEvaluations,
    "pipelines": RemotePipelines,
    "objects": RemoteObjects,
    "people": RemotePeople,
    "projects": RemoteProjects,
}
"""What a :class:`Site` has, by name."""


def connect(address: str, token: str, project: str = "default") -> Site:
    """A project of a server, to be used as a workspace on this machine is.

    Args:
        address: as in a browser, such as ``https://labels.example.org``.
        token: of that project; made under one's name in the browser, or by ``saccade users token``.

    Raises:
        NotSignedInError: the token is none of that project, or its time is over.
        WorkspaceError: the server does not answer.
    """
    site = Site(Http(address, token, project))
    try:
        site.http.get("/session")
    except BaseException:
        site.close()
        raise
    return site


class Site:
    """A project of a server."""

    def __init__(self, http: Http) -> None:
        self.http = http
        self.jobs = RemoteJobs(http)
        self.objects = RemoteObjects()
        self.datasets = RemoteDatasets(http, self.jobs, self.objects)
        self.models = RemoteModels(http)
        self.evaluations = RemoteEvaluations(http)
        self.runs = RemoteRuns(http)
        self.pipelines = RemotePipelines(self.jobs)
        self.people = RemotePeople(http)
        self.projects = RemoteProjects(http)

    def close(self) -> None:
        self.objects.close()
        self.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def formats(self) -> tuple[dict[str, Any], ...]:
        """The formats that can be imported and exported, and what each can hold."""
        return tuple(self.http.get("/formats"))

    def operations(self) -> tuple[dict[str, Any], ...]:
        """The operations of which pipelines are made, with what they take and give."""
        return tuple(self.http.get("/operations"))

    def components(self) -> dict[str, list[str]]:
        """The names of the parts of models and of augmentations that a recipe may use."""
        found: dict[str, list[str]] = self.http.get("/components")
        return found

    def backbones(self, containing: str = "") -> tuple[str, ...]:
        """The encoders that a recipe may name."""
        return tuple(self.jobs.run("backbones", {"containing": containing}).result["names"])

    def recipe(self, dataset: str) -> str:
        """A recipe to begin with, for a dataset."""
        return str(self.http.get("/recipe", dataset=dataset)["recipe"])

    def train(self, recipe: str, progress: Progress | None = None) -> RemoteModelVersion:
        """Train a recipe, which is YAML, and wait for the model."""
        return self.models.open(self.jobs.run("train", {"recipe": recipe}, progress).result["model"])

    def check_recipe(self, recipe: str) -> tuple[dict[str, Any], ...]:
        """Check a recipe with its data and model; what each check found."""
        return tuple(self.jobs.run("train", {"recipe": recipe, "check": True}).result["checks"])

    def evaluate_model(
        self, model: str, dataset: str, *, split: str | None = None, progress: Progress | None = None
    ) -> RemoteEvaluation:
        """Measure a model on the labelled items of a dataset version, of one split where given."""
        done = self.jobs.run("evaluate", {"model": model, "dataset": dataset, "split": split}, progress)
        return self.evaluations.get(done.result["evaluation"])

    def evaluate_coco_files(self, truth: Path | str, predictions: Path | str, kind: str = "boxes") -> dict[str, Any]:
        """Send a file of truth and one of predictions, both in COCO's format, and measure; the metrics."""
        upload = new_upload(self.http)
        named = {"truth.json": Path(truth), "predictions.json": Path(predictions)}
        for _ in send_files(self.http, upload, [Outgoing(name, path) for name, path in named.items()]):
            pass
        given = {"upload": upload, "truth": "truth.json", "predictions": "predictions.json", "kind": kind}
        found: dict[str, Any] = self.jobs.run("evaluate-files", given).result["metrics"]
        return found

    def predict(
        self,
        model: str,
        dataset: str,
        into: str,
        *,
        split: str | None = None,
        min_score: float = 0.25,
        progress: Progress | None = None,
    ) -> RemoteVersion:
        """Run a model on a dataset; what it finds becomes a new dataset."""
        given = {"model": model, "dataset": dataset, "into": into, "split": split, "min_score": min_score}
        return self.datasets.open(self.jobs.run("predict", given, progress).result["dataset"])

    def doctor(self, *, repair: bool = False, deep: bool = False) -> dict[str, Any]:
        """Check the server's workspace, for owners; the problems, and whether it is ``sound``."""
        return dict(self.jobs.run("doctor", {"repair": repair, "deep": deep}).result)

    def gc(self, *, dry_run: bool = False, cache: bool = False) -> dict[str, Any]:
        """Remove stored files that nothing needs, for owners; how many, and their bytes."""
        return dict(self.jobs.run("gc", {"dry_run": dry_run, "cache": cache}).result)

    def upload(self, source: Path | str, progress: Progress | None = None) -> str:
        """Send a file, or all files of a folder; the id of the upload, for jobs."""
        place, progress = Path(source), progress or Silent()
        files = sorted(one for one in place.rglob("*") if one.is_file()) if place.is_dir() else [place]
        if not files or not place.exists():
            raise NotFoundError(f"There is nothing to send in '{place}'.")
        root = place if place.is_dir() else place.parent
        upload = new_upload(self.http)
        progress.start("Sending", len(files))
        outgoing = [Outgoing(file.relative_to(root).as_posix(), file) for file in files]
        for group in send_files(self.http, upload, outgoing):
            progress.advance(len(group), group[-1].path.name)
        progress.finish()
        return upload

    def import_dataset(
        self, source: Path | str, dataset: str, progress: Progress | None = None, **parameters: Any
    ) -> RemoteVersion:
        """Send files and import them as a dataset; an address of the web is fetched by the server.

        Args:
            parameters: of the job, such as ``format``, ``split`` or ``replace``.
        """
        text = str(source)
        given = {"url": text} if text.startswith(("http://", "https://")) else {"upload": self.upload(source, progress)}
        done = self.jobs.run("import", {"source": given, "dataset": dataset, **parameters}, progress)
        return self.datasets.open(done.result["dataset"])

    def export_dataset(
        self, dataset: str, format: str, folder: Path | str, progress: Progress | None = None, **parameters: Any
    ) -> Path:
        """Write a version in an outside format on the server and fetch it; the archive in the folder."""
        done = self.jobs.run("export", {"dataset": dataset, "format": format, **parameters}, progress)
        name = str(done.result["file"])
        target = Path(folder) / Path(name).name
        target.parent.mkdir(parents=True, exist_ok=True)
        making = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            with self.http.stream(f"/jobs/{done.id}/files/{quote(name)}") as answer, making.open("xb") as file:
                for piece in answer.iter_bytes(_PIECE):
                    file.write(piece)
            making.replace(target)
        finally:
            making.unlink(missing_ok=True)
        return target
