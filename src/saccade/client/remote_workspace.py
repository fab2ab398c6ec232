"""A project on a server, with the interface of a local workspace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from saccade.client.api import ApiClient
from saccade.client.datasets import RemoteDatasets
from saccade.client.jobs import RemoteJobs
from saccade.client.label_sets import RemoteLabelSets
from saccade.client.models import RemoteEvaluation, RemoteEvaluations, RemoteModels, RemoteModelVersion
from saccade.client.pipelines import RemotePipelines
from saccade.client.runs import RemoteRuns
from saccade.client.uploads import FileUpload, RemoteBlobs, create_upload, upload_files
from saccade.client.users import RemoteProjects, RemoteUsers
from saccade.client.version import RemoteVersion
from saccade.core.errors import NotFoundError
from saccade.core.progress import NullProgress, Progress
from saccade.io.atomic import PUBLIC_FILE_MODE, atomic_file

_CHUNK_BYTES = 1 << 20

RESOURCES: Mapping[str, type] = {
    "datasets": RemoteDatasets,
    "jobs": RemoteJobs,
    "models": RemoteModels,
    "runs": RemoteRuns,
    "evaluations": RemoteEvaluations,
    "label_sets": RemoteLabelSets,
    "pipelines": RemotePipelines,
    "blobs": RemoteBlobs,
    "users": RemoteUsers,
    "projects": RemoteProjects,
}
"""Classes of the resource attributes of :class:`RemoteWorkspace`, for the generated reference."""


def connect(address: str, token: str, project: str = "default") -> RemoteWorkspace:
    """Connect to a project of a server.

    Args:
        address: URL of the server as in a browser, such as ``https://labels.example.org``.
        token: API token of the project; created in the account settings of the web app, or with
            ``saccade users token``.
        project: Name of the project.

    Raises:
        AuthenticationError: The token is not valid for the project, or has expired.
        WorkspaceError: The server cannot be reached.
    """
    workspace = RemoteWorkspace(ApiClient(address, token, project))
    try:
        workspace.api.get("/session")
    except BaseException:
        workspace.close()
        raise
    return workspace


class RemoteWorkspace:
    """A project on a server; a context manager that closes the connections."""

    def __init__(self, api: ApiClient) -> None:
        self.api = api
        self.jobs = RemoteJobs(api)
        self.blobs = RemoteBlobs()
        self.datasets = RemoteDatasets(api, self.jobs, self.blobs)
        self.models = RemoteModels(api)
        self.evaluations = RemoteEvaluations(api)
        self.runs = RemoteRuns(api)
        self.label_sets = RemoteLabelSets(api)
        self.pipelines = RemotePipelines(self.jobs)
        self.users = RemoteUsers(api)
        self.projects = RemoteProjects(api)

    def close(self) -> None:
        """Close the connections and delete temporary files."""
        self.blobs.close()
        self.api.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def formats(self) -> tuple[dict[str, Any], ...]:
        """List the dataset formats for import and export, with what each supports."""
        return tuple(self.api.get("/formats"))

    def operations(self) -> tuple[dict[str, Any], ...]:
        """List the pipeline operations with their inputs, output and parameters."""
        return tuple(self.api.get("/operations"))

    def components(self) -> dict[str, list[str]]:
        """List the names of the model components and augmentations that recipes can use."""
        components: dict[str, list[str]] = self.api.get("/components")
        return components

    def backbones(self, containing: str = "") -> tuple[str, ...]:
        """List the encoders that recipes can use, optionally only those whose name contains a text."""
        return tuple(self.jobs.run("list-backbones", {"containing": containing}).result["names"])

    def recipe(self, dataset: str) -> str:
        """Return a starter recipe for training on a dataset, as YAML."""
        return str(self.api.get("/recipe", dataset=dataset)["recipe"])

    def train(self, recipe: str, progress: Progress | None = None) -> RemoteModelVersion:
        """Train a model with a recipe (YAML text), and wait for it."""
        return self.models.open(self.jobs.run("train", {"recipe": recipe}, progress).result["model"])

    def check_recipe(self, recipe: str) -> tuple[dict[str, Any], ...]:
        """Check a recipe (YAML text) with its data and model; returns the result of each check."""
        return tuple(self.jobs.run("train", {"recipe": recipe, "check": True}).result["checks"])

    def evaluate_model(
        self, model: str, dataset: str, *, split: str | None = None, progress: Progress | None = None
    ) -> RemoteEvaluation:
        """Evaluate a model on the labelled items of a dataset version.

        Args:
            model: Reference of the model.
            dataset: Reference of the dataset version.
            split: Only the items of this split.
            progress: Reports the progress of the job.
        """
        job = self.jobs.run("evaluate", {"model": model, "dataset": dataset, "split": split}, progress)
        return self.evaluations.get(job.result["evaluation"])

    def evaluate_coco_files(self, truth: Path | str, predictions: Path | str, kind: str = "boxes") -> dict[str, Any]:
        """Evaluate predictions against ground truth, both in COCO format.

        Args:
            truth: File with the ground truth.
            predictions: File with the results.
            kind: "boxes", "masks" or "keypoints".

        Returns:
            The metrics.
        """
        upload = create_upload(self.api)
        files = [FileUpload("truth.json", Path(truth)), FileUpload("predictions.json", Path(predictions))]
        for _ in upload_files(self.api, upload, files):
            pass
        parameters = {"upload": upload, "truth": "truth.json", "predictions": "predictions.json", "kind": kind}
        metrics: dict[str, Any] = self.jobs.run("evaluate-files", parameters).result["metrics"]
        return metrics

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
        """Run a model on a dataset, and write the predictions as a new dataset.

        Args:
            model: Reference of the model.
            dataset: Reference of the dataset version.
            into: Name of the new dataset.
            split: Only the items of this split.
            min_score: Confidence threshold in [0, 1].
            progress: Reports the progress of the job.
        """
        parameters = {"model": model, "dataset": dataset, "into": into, "split": split, "min_score": min_score}
        return self.datasets.open(self.jobs.run("predict", parameters, progress).result["dataset"])

    def doctor(self, *, repair: bool = False, deep: bool = False) -> dict[str, Any]:
        """Check the integrity of the server's workspace; requires the role of owner.

        Args:
            repair: Repair what is safe to repair.
            deep: Also read every stored file and compare its digest.

        Returns:
            The problems, and whether the workspace is ``sound``.
        """
        return dict(self.jobs.run("doctor", {"repair": repair, "deep": deep}).result)

    def gc(self, *, dry_run: bool = False, cache: bool = False) -> dict[str, Any]:
        """Delete unreferenced files from the server's storage; requires the role of owner.

        Args:
            dry_run: Only report what would be deleted.
            cache: Delete the pipeline cache as well.

        Returns:
            The number of files, and their bytes.
        """
        return dict(self.jobs.run("gc", {"dry_run": dry_run, "cache": cache}).result)

    def upload(self, source: Path | str, progress: Progress | None = None) -> str:
        """Upload a file, or all files of a folder; returns the id of the upload, which jobs refer to.

        Raises:
            NotFoundError: The source does not exist, or is an empty folder.
        """
        path = Path(source)
        progress = progress or NullProgress()
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        if not files or not path.exists():
            raise NotFoundError(f"There are no files to upload in '{path}'.")
        root = path if path.is_dir() else path.parent
        upload = create_upload(self.api)
        progress.start("Uploading", len(files))
        uploads = [FileUpload(file.relative_to(root).as_posix(), file) for file in files]
        for batch in upload_files(self.api, upload, uploads):
            progress.advance(len(batch), batch[-1].path.name)
        progress.finish()
        return upload

    def import_dataset(
        self, source: Path | str, dataset: str, progress: Progress | None = None, **parameters: Any
    ) -> RemoteVersion:
        """Import files as a dataset. Local files are uploaded; an http(s) URL is downloaded by the server.

        Args:
            source: A file, a folder or a URL.
            dataset: Name of the dataset.
            progress: Reports the upload and the import.
            parameters: Parameters of the job, such as ``format``, ``split`` or ``replace``.
        """
        text = str(source)
        if text.startswith(("http://", "https://")):
            job_source = {"url": text}
        else:
            job_source = {"upload": self.upload(source, progress)}
        job = self.jobs.run("import", {"source": job_source, "dataset": dataset, **parameters}, progress)
        return self.datasets.open(job.result["dataset"])

    def export_dataset(
        self, dataset: str, format: str, folder: Path | str, progress: Progress | None = None, **parameters: Any
    ) -> Path:
        """Export a dataset version on the server, and download the archive.

        Args:
            dataset: Reference of the version.
            format: Name of the format.
            folder: Folder for the archive.
            progress: Reports the progress of the job.
            parameters: Further parameters of the job.

        Returns:
            The path of the archive.
        """
        job = self.jobs.run("export", {"dataset": dataset, "format": format, **parameters}, progress)
        name = str(job.result["file"])
        target = Path(folder) / Path(name).name
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            self.api.stream(f"/jobs/{job.id}/files/{quote(name)}") as response,
            atomic_file(target, mode=PUBLIC_FILE_MODE) as file,
        ):
            for chunk in response.iter_bytes(_CHUNK_BYTES):
                file.write(chunk)
        return target
