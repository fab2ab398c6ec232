"""A server, as a workspace: its datasets, jobs, models and runs."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from saccade.client.http import Http
from saccade.client.version import RemoteVersion
from saccade.core.errors import NotFoundError, SaccadeError
from saccade.core.progress import Progress, Silent
from saccade.store.dataset_rows import DatasetInfo
from saccade.store.jobs import ENDED, Job
from saccade.store.version import VersionInfo

_BYTES, _FILES = 32 << 20, 1000
"""So much is sent in one request: what it has acknowledged is kept, and need not be sent again."""
_PIECE, _LOOK_AGAIN = 1 << 20, 0.3
_MOMENTS = ("created", "updated", "started", "finished")
DatasetList = list[DatasetInfo]
JobList = list[Job]
Facts = list[dict[str, Any]]


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
        self.datasets = RemoteDatasets(http)
        self.jobs = RemoteJobs(http)

    def close(self) -> None:
        self.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def models(self) -> list[dict[str, Any]]:
        """The models with their versions, aliases and metrics."""
        found: list[dict[str, Any]] = self.http.get("/models")
        return found

    def runs(self) -> list[dict[str, Any]]:
        """The runs, the newest first."""
        found: list[dict[str, Any]] = self.http.get("/runs")
        return found

    def upload(self, source: Path | str, progress: Progress | None = None) -> str:
        """Send a file, or all files of a folder; the id of the upload, for jobs."""
        place, progress = Path(source), progress or Silent()
        files = sorted(one for one in place.rglob("*") if one.is_file()) if place.is_dir() else [place]
        if not files or not place.exists():
            raise NotFoundError(f"There is nothing to send in '{place}'.")
        root = place if place.is_dir() else place.parent
        upload = str(self.http.post("/uploads")["id"])
        progress.start("Sending", len(files))
        for group in _grouped(files):
            heads = [_head(file.relative_to(root).as_posix(), file.stat().st_size) for file in group]
            length = sum(len(head) + file.stat().st_size for head, file in zip(heads, group, strict=True))
            self.http.send(
                "POST", f"/uploads/{upload}/files", content=_body(heads, group), headers={"Content-Length": str(length)}
            )
            progress.advance(len(group), group[-1].name)
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


class RemoteDatasets:
    """The datasets of a project on a server."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self) -> DatasetList:
        """All datasets, each at its latest version."""
        return [DatasetInfo(**_with_moments(one)) for one in self._http.get("/datasets")]

    def open(self, ref: str) -> RemoteVersion:
        """A version, as NAME, NAME@NUMBER or NAME@ALIAS."""
        return RemoteVersion(self._http, self._http.get(_path(ref)))

    def log(self, name: str) -> Iterable[VersionInfo]:
        """The versions of a dataset, the newest first; the runs and inputs that they came from are left out."""
        found = self._http.get(f"{_path(name)}/log")
        return [VersionInfo(**_with_moments(one), run_id=None, inputs=()) for one in found]

    def diff(self, before: str, after: str) -> dict[str, Any]:
        """What changed from a version to another: counts, columns and classes, and the first items of each sort."""
        found: dict[str, Any] = self._http.get(f"{_path(after)}/diff", against=before)
        return found

    def change(
        self, name: str, act: str, value: str = "", *, keys: Iterable[str] | None = None, where: str | None = None
    ) -> RemoteVersion:
        """Tag, untag, split or delete items, by keys or a query, as the next version."""
        body = {"act": act, "value": value, "keys": None if keys is None else list(keys), "where": where}
        return self.open(self._http.post(f"{_path(name)}/change", body)["ref"])

    def classes(self, ref: str) -> Facts:
        """The classes of a version with their colours and counts, column by column."""
        found: Facts = self._http.get(f"{_path(ref)}/classes")["classes"]
        return found

    def change_classes(
        self, name: str, acts: Iterable[Mapping[str, Any]], *, after: int, message: str = ""
    ) -> RemoteVersion:
        """Do acts on classes, as ``{"act": "rename", "name": "boat", "to": "ship"}``, all in the next version.

        Args:
            after: the number of the version that one looked at; ConflictError where it is not the latest any more.
        """
        body = {"after": after, "acts": list(map(dict, acts)), "message": message}
        return self.open(self._http.post(f"{_path(name)}/classes", body)["ref"])

    def tag(self, name: str, tag: str, number: int) -> None:
        """Give a version a name for good."""
        self._http.post(f"{_path(name)}/tags", {"name": tag, "number": number})

    def restore(self, name: str, number: int) -> RemoteVersion:
        """Make a new version that equals an old one."""
        return self.open(self._http.post(f"{_path(name)}/restore", {"number": number})["ref"])

    def remove(self, name: str) -> None:
        """Remove a dataset with all its versions, where nothing was made from it."""
        self._http.send("DELETE", _path(name))


class RemoteJobs:
    """The jobs of a project on a server."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self, limit: int = 100) -> JobList:
        """Jobs, the newest first."""
        return [_job(one) for one in self._http.get("/jobs", limit=limit)["jobs"]]

    def get(self, job: str) -> Job:
        """A job as it stands."""
        return _job(self._http.get(f"/jobs/{quote(job, safe='')}"))

    def leave(self, kind: str, parameters: Mapping[str, Any], key: str | None = None) -> Job:
        """Leave work to the workers. Asked for again with the same key, it is the same job."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return _job(self._http.post("/jobs", {"kind": kind, "parameters": dict(parameters)}, headers=headers))

    def run(self, kind: str, parameters: Mapping[str, Any], progress: Progress | None = None) -> Job:
        """Leave work to the workers and wait for its end; Ctrl-C cancels it. SaccadeError where it fails."""
        job = self.leave(kind, parameters)
        try:
            return self.wait(job.id, progress)
        except KeyboardInterrupt:
            self.cancel(job.id)
            raise

    def wait(self, job: str, progress: Progress | None = None) -> Job:
        """A job when it has ended; SaccadeError where it failed or was cancelled."""
        shown = progress or Silent()
        what, done = "", 0
        while (found := self.get(job)).state not in ENDED:
            now = found.progress
            if now.get("what") and now["what"] != what:
                what, done = str(now["what"]), 0
                shown.start(what, now.get("total"))
            if int(now.get("done") or 0) > done:
                shown.advance(int(now["done"]) - done, str(now.get("note") or ""))
                done = int(now["done"])
            time.sleep(_LOOK_AGAIN)
        shown.finish()
        if found.state != "finished":
            raise SaccadeError(found.error or f"The job {job} was {found.state}.", hint=found.hint)
        return found

    def cancel(self, job: str) -> Job:
        """End a job."""
        return _job(self._http.post(f"/jobs/{quote(job, safe='')}/cancel"))

    def retry(self, job: str) -> Job:
        """Ask once more for what failed or was cancelled."""
        return _job(self._http.post(f"/jobs/{quote(job, safe='')}/retry"))


def _path(ref: str) -> str:
    return f"/datasets/{quote(ref, safe='')}"


def _with_moments(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: datetime.fromisoformat(value) if name in _MOMENTS and value is not None else value
        for name, value in facts.items()
    }


def _job(facts: Mapping[str, Any]) -> Job:
    return Job(**_with_moments(facts), project=0)


def _grouped(files: Iterable[Path]) -> Iterator[list[Path]]:
    group: list[Path] = []
    size = 0
    for file in files:
        if group and (size > _BYTES or len(group) == _FILES):
            yield group
            group, size = [], 0
        group.append(file)
        size += file.stat().st_size
    if group:
        yield group


def _head(name: str, size: int) -> bytes:
    return json.dumps({"name": name, "size": size}).encode() + b"\n"


def _body(heads: Iterable[bytes], files: Iterable[Path]) -> Iterator[bytes]:
    for head, file in zip(heads, files, strict=True):
        yield head
        with file.open("rb") as stream:
            while piece := stream.read(_PIECE):
                yield piece
