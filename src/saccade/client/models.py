"""The models of a project on a server, and what they scored."""

from __future__ import annotations

import shutil
import tempfile
import uuid
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from saccade.client.api import Http
from saccade.client.decoding import made, path_of
from saccade.core.errors import ConflictError, NotFoundError, WorkspaceError, nearest
from saccade.store.registry.evaluations import EvaluationFacts
from saccade.store.registry.models import AliasChange, ModelFacts

_PIECE = 1 << 20


@dataclass(frozen=True)
class RemoteModelVersion(ModelFacts):
    """A version of a model on a server."""

    http: Http = field(repr=False, compare=False)

    def read_file(self, name: str) -> bytes:
        """The bytes of one file."""
        if name not in self.files:
            raise NotFoundError(f"The model {self.ref} has no file '{name}'.", hint=nearest(name, self.files))
        return self.http.send("GET", path_of("models", self.ref, "file"), params={"name": name}).content


ModelList = list[RemoteModelVersion]


class RemoteModels:
    """The models of a project on a server."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self) -> ModelList:
        """The newest version of every model, by name."""
        return [self.open(one["ref"]) for one in self._http.get("/models")]

    def open(self, ref: str) -> RemoteModelVersion:
        """The version of a reference: ``ships``, ``ships@3`` or ``ships@alias``."""
        found = self._http.get(path_of("models", ref))
        return made(RemoteModelVersion, found, run_id=found["run"], http=self._http)

    def versions(self, name: str) -> ModelList:
        """All versions of a model, the newest first."""
        return [self.open(one["ref"]) for one in self._http.get(path_of("models", name))["versions"]]

    def promote(self, ref: str, alias: str) -> int | None:
        """Let an alias name a version; returns the number that it named before."""
        name = ref.partition("@")[0]
        before = {one.alias: one.number for one in self.alias_changes(name)}
        self._http.post(path_of("models", ref, "aliases"), {"name": alias})
        return before.get(alias)

    def alias_changes(self, name: str) -> tuple[AliasChange, ...]:
        """Every move of the aliases of a model, the oldest first."""
        return tuple(made(AliasChange, one) for one in self._http.get(path_of("models", name))["changes"])

    def compare(self, first: str, second: str) -> dict[str, Any]:
        """Metrics where both were evaluated on the same, and settings that differ."""
        found: dict[str, Any] = self._http.get(path_of("models", first, "compare"), other=second)
        return found

    def lineage(self, ref: str) -> dict[str, Any]:
        """Everything that a version came from."""
        found: dict[str, Any] = self._http.get(path_of("models", ref, "lineage"))
        return found

    def export(self, ref: str, destination: Path | str) -> RemoteModelVersion:
        """Write the files and ``manifest.json`` into a new or empty folder, all or nothing."""
        version, target = self.open(ref), Path(destination)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise ConflictError(f"'{target}' is not an empty folder.", hint="Choose another destination.")
        making = target.resolve().with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            with tempfile.TemporaryFile() as archive:
                with self._http.stream(path_of("models", version.ref, "export")) as answer:
                    for piece in answer.iter_bytes(_PIECE):
                        archive.write(piece)
                with zipfile.ZipFile(archive) as packed:
                    packed.extractall(making)
            target.parent.mkdir(parents=True, exist_ok=True)
            (making / f"{version.name}-{version.number}").replace(target)
        except OSError as error:
            raise WorkspaceError(f"'{target}' cannot be written: {error}.") from error
        finally:
            shutil.rmtree(making, ignore_errors=True)
        return version

    def remove(self, ref: str, *, force: bool = False) -> None:
        """Remove one version (``ships@3``) or the whole model; ConflictError where an alias names it, unless forced."""
        self._http.send("DELETE", path_of("models", ref), params={"force": force or None})


@dataclass(frozen=True)
class RemoteEvaluation(EvaluationFacts):
    """An evaluation on a server."""

    http: Http = field(repr=False, compare=False)

    @property
    def report(self) -> bytes | None:
        """The report as HTML, where one was kept."""
        try:
            return self.http.send("GET", path_of("evaluations", self.id, "report")).content
        except NotFoundError:
            return None


EvaluationList = list[RemoteEvaluation]


class RemoteEvaluations:
    """The evaluations of a project on a server."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self, model: str | None = None, dataset: str | None = None) -> EvaluationList:
        """Evaluations, the newest first; of a model or dataset by name (all versions) or by reference."""
        found = self._http.get("/evaluations", model=model, dataset=dataset)
        return [made(RemoteEvaluation, one, http=self._http) for one in found]

    def get(self, evaluation: str) -> RemoteEvaluation:
        """The evaluation of that id; NotFoundError where there is none."""
        return made(RemoteEvaluation, self._http.get(path_of("evaluations", evaluation)), http=self._http)

    def compare(self, first: str, second: str) -> dict[str, Any]:
        """The numbers that both have, and whether they are of the same data."""
        found: dict[str, Any] = self._http.get(path_of("evaluations", first, "compare"), other=second)
        return found
