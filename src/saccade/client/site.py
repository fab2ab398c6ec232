"""A server, as a workspace: its datasets, jobs, models and runs."""

from __future__ import annotations

import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from saccade.client.datasets import RemoteDatasets
from saccade.client.http import Http
from saccade.client.jobs import RemoteJobs
from saccade.client.sending import Outgoing, RemoteObjects, new_upload, send_files
from saccade.client.version import RemoteVersion
from saccade.core.errors import NotFoundError
from saccade.core.progress import Progress, Silent

_PIECE = 1 << 20


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

    def close(self) -> None:
        self.objects.close()
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
