"""Jobs, uploads and folders of the server."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from saccade.server.schemas.base import Answer, Given


class NewJob(Given):
    """``parameters`` are those of the kind."""

    kind: str = Field(max_length=40)
    parameters: dict[str, Any]


class JobProgress(Answer):
    what: str = ""
    done: int = 0
    total: int | None = None
    note: str = ""


class JobAnswer(Answer):
    id: str
    person: str | None
    kind: str
    title: str
    parameters: dict[str, Any]
    state: Literal["queued", "running", "finished", "failed", "cancelled"]
    attempts: int
    is_cancelled: bool
    progress: JobProgress
    result: dict[str, Any]
    error: str
    hint: str
    created: datetime
    started: datetime | None
    finished: datetime | None


class JobPage(Answer):
    jobs: list[JobAnswer]
    next: str | None


class Wanted(Given):
    """A file as an item names it; ``frame`` where an image is one of several in it."""

    kind: Literal["image", "video", "file"]
    digest: str = Field(pattern="^[0-9a-f]{64}$")
    frame: int | None = Field(None, ge=0, lt=1 << 40)


class WantedFiles(Given):
    files: list[Wanted] = Field(max_length=5000)


class HeldFiles(Answer):
    """For each file that was asked for, whether the project has it already, so that it need not be sent."""

    held: list[bool]


class UploadAnswer(Answer):
    id: str
    files: int
    bytes: int


class Received(Answer):
    files: int


class FolderAnswer(Answer):
    """A folder of the server: the folders in it as paths, and its files by name."""

    path: str | None
    folders: list[str]
    files: list[str]
