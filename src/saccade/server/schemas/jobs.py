"""Jobs, uploads and folders of the server."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import AliasChoices, Field

from saccade.server.schemas.base import RequestModel, ResponseModel


class JobCreate(RequestModel):
    """A job to enqueue; ``parameters`` depend on ``kind``."""

    kind: str = Field(max_length=40)
    parameters: dict[str, Any]


class JobProgress(ResponseModel):
    """Progress of a job: the current phase, and as ``message`` the last item."""

    # Jobs of version 0.1.0 have the names "what" and "note".
    phase: str = Field("", validation_alias=AliasChoices("phase", "what"))
    done: int = 0
    total: int | None = None
    message: str = Field("", validation_alias=AliasChoices("message", "note"))


class JobResponse(ResponseModel):
    """A job with its progress, and its result or error; ``cancel_requested``: cancellation was requested."""

    id: str
    user: str | None
    kind: str
    title: str
    parameters: dict[str, Any]
    state: Literal["queued", "running", "finished", "failed", "cancelled"]
    attempts: int
    cancel_requested: bool
    progress: JobProgress
    result: dict[str, Any]
    error: str
    hint: str
    created: datetime
    started: datetime | None
    finished: datetime | None


class JobPage(ResponseModel):
    """A page of jobs, newest first. Pass ``next`` as ``before`` for the next page."""

    jobs: list[JobResponse]
    next: str | None


class BlobReference(RequestModel):
    """A media file by its content digest; ``frame`` selects an image in a file with several."""

    kind: Literal["image", "video", "file"]
    digest: str = Field(pattern="^[0-9a-f]{64}$")
    frame: int | None = Field(None, ge=0, lt=1 << 40)


class BlobsQuery(RequestModel):
    """Media files to look up."""

    files: list[BlobReference] = Field(max_length=5000, fail_fast=True)


class BlobsResponse(ResponseModel):
    """For each requested file, whether the project has it already and the client need not upload it."""

    existing: list[bool]


class UploadResponse(ResponseModel):
    """An upload with the number of files and bytes received so far."""

    id: str
    files: int
    bytes: int


class FilesReceived(ResponseModel):
    """Number of files of one upload request that are stored."""

    files: int


class FolderResponse(ResponseModel):
    """A folder of the server: paths of its subfolders, and names of its files."""

    path: str | None
    folders: list[str]
    files: list[str]
