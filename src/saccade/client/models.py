"""Models and evaluations of a project on a server."""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from saccade.client.api import ApiClient
from saccade.client.decoding import api_path, from_json
from saccade.core.errors import NotFoundError, WorkspaceError, suggest
from saccade.core.records.models import AliasChange, EvaluationInfo, ModelVersionInfo
from saccade.io.atomic import atomic_output_dir

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class RemoteModelVersion(ModelVersionInfo):
    """A version of a model on a server."""

    api: ApiClient = field(repr=False, compare=False)

    def read_file(self, name: str) -> bytes:
        """Download a file of the version.

        Raises:
            NotFoundError: The version has no such file.
        """
        if name not in self.files:
            raise NotFoundError(f"The model {self.ref} has no file '{name}'.", hint=suggest(name, self.files))
        return self.api.send("GET", api_path("models", self.ref, "file"), params={"name": name}).content


ModelList = list[RemoteModelVersion]


class RemoteModels:
    """Models of a project on a server."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    def list(self) -> ModelList:
        """List the latest version of every model, by name."""
        return [self.open(model["ref"]) for model in self._api.get("/models")]

    def open(self, ref: str) -> RemoteModelVersion:
        """Open a version by its reference: ``ships``, ``ships@3`` or ``ships@alias``."""
        data = self._api.get(api_path("models", ref))
        return from_json(RemoteModelVersion, data, run_id=data["run"], api=self._api)

    def versions(self, name: str) -> ModelList:
        """List all versions of a model, newest first."""
        return [self.open(version["ref"]) for version in self._api.get(api_path("models", name))["versions"]]

    def promote(self, ref: str, alias: str) -> int | None:
        """Point an alias to a version; returns the number of the version that it named before, if any."""
        name = ref.partition("@")[0]
        previous = {change.alias: change.number for change in self.alias_changes(name)}
        self._api.post(api_path("models", ref, "aliases"), {"name": alias})
        return previous.get(alias)

    def alias_changes(self, name: str) -> tuple[AliasChange, ...]:
        """Return the history of a model's aliases, oldest first."""
        changes = self._api.get(api_path("models", name))["changes"]
        return tuple(from_json(AliasChange, change) for change in changes)

    def compare(self, first: str, second: str) -> dict[str, Any]:
        """Compare two versions: metrics on the dataset versions both were evaluated on, and settings that differ."""
        comparison: dict[str, Any] = self._api.get(api_path("models", first, "compare"), other=second)
        return comparison

    def lineage(self, ref: str) -> dict[str, Any]:
        """Return the lineage of a version: its run, the dataset versions it was trained on, and their history."""
        lineage: dict[str, Any] = self._api.get(api_path("models", ref, "lineage"))
        return lineage

    def export(self, ref: str, destination: Path | str, *, overwrite: bool = False) -> RemoteModelVersion:
        """Download the files and ``manifest.json`` of a version into a folder, all or nothing.

        Args:
            ref: An exact reference or an alias.
            destination: A new or empty folder, or an earlier export with ``overwrite``.
            overwrite: Replace an earlier export; other folders are never replaced.

        Raises:
            ConflictError: The destination is not an empty folder.
            WorkspaceError: The destination cannot be written.
        """
        version = self.open(ref)
        target = Path(destination)
        try:
            with (
                atomic_output_dir(target, replaceable=True, overwrite=overwrite) as folder,
                tempfile.TemporaryFile() as archive,
            ):
                with self._api.stream(api_path("models", version.ref, "export")) as response:
                    for chunk in response.iter_bytes(_CHUNK_BYTES):
                        archive.write(chunk)
                with zipfile.ZipFile(archive) as zip_file:
                    zip_file.extractall(folder)
                root = folder / f"{version.name}-{version.number}"
                for path in list(root.iterdir()):
                    path.replace(folder / path.name)
                root.rmdir()
        except OSError as error:
            raise WorkspaceError(f"Cannot write '{target}': {error}.") from error
        return version

    def remove(self, ref: str, *, force: bool = False) -> None:
        """Delete a version (``ships@3``) or a whole model (``ships``).

        Raises:
            ConflictError: An alias names a version, and ``force`` is not set.
        """
        self._api.send("DELETE", api_path("models", ref), params={"force": force or None})


@dataclass(frozen=True)
class RemoteEvaluation(EvaluationInfo):
    """An evaluation on a server."""

    api: ApiClient = field(repr=False, compare=False)

    @property
    def report(self) -> bytes | None:
        """The report as HTML, None if the evaluation has none."""
        try:
            return self.api.send("GET", api_path("evaluations", self.id, "report")).content
        except NotFoundError:
            return None


EvaluationList = list[RemoteEvaluation]


class RemoteEvaluations:
    """Evaluations of a project on a server."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    def list(self, model: str | None = None, dataset: str | None = None) -> EvaluationList:
        """List evaluations, newest first.

        Args:
            model: Only those of this model, by name (all versions) or reference.
            dataset: Only those on this dataset, by name (all versions) or reference.
        """
        evaluations = self._api.get("/evaluations", model=model, dataset=dataset)
        return [from_json(RemoteEvaluation, evaluation, api=self._api) for evaluation in evaluations]

    def get(self, evaluation: str) -> RemoteEvaluation:
        """Return an evaluation.

        Raises:
            NotFoundError: There is no such evaluation.
        """
        return from_json(RemoteEvaluation, self._api.get(api_path("evaluations", evaluation)), api=self._api)

    def compare(self, first: str, second: str) -> dict[str, Any]:
        """Compare the metrics of two evaluations, and say whether they used the same data."""
        comparison: dict[str, Any] = self._api.get(api_path("evaluations", first, "compare"), other=second)
        return comparison
