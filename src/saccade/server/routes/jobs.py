"""Jobs and uploads: work that is left to the workers, and what it needs and makes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import FileResponse, PlainTextResponse, Response, StreamingResponse

from saccade.app.ingest.uploads import find_upload, new_upload, receive, remove_upload
from saccade.app.jobs.registry import KINDS, leave
from saccade.app.jobs.run_job import folder_of
from saccade.core.errors import NotAllowedError, NotFoundError
from saccade.core.roles import Role
from saccade.core.schema import FileRef, ImageRef, MediaRef, VideoRef
from saccade.server.dependencies.auth import Served, SignedIn, workspace_of
from saccade.server.permissions import API
from saccade.server.schemas.jobs import (
    FolderAnswer,
    HeldFiles,
    JobAnswer,
    JobPage,
    JobProgress,
    NewJob,
    Received,
    UploadAnswer,
    Wanted,
    WantedFiles,
)
from saccade.store.auth.service import Caller
from saccade.store.jobs.jobs import ENDED, Job
from saccade.store.maintenance.blob_lookup import held_files, identity

router = APIRouter(prefix=API)
_LOOK_AGAIN, _TAIL = 0.5, 1 << 20
_SHOWN = {".jpg": "image/jpeg", ".json": "application/json"}


def _needed(kind: str) -> Role:
    return KINDS[kind].needs if kind in KINDS else Role.MANAGER


def _is_hidden(job: Job, caller: Caller) -> bool:
    """Whether what came of a job is for others alone; whoever may look may see what managers do."""
    return _needed(job.kind) is Role.OWNER and caller.role is not Role.OWNER


def _answer(job: Job, caller: Caller) -> JobAnswer:
    answer = JobAnswer.model_validate(job)
    if _is_hidden(job, caller):
        return answer.model_copy(update={"result": {}, "error": "", "hint": "", "progress": JobProgress()})
    return answer


def _mine(job: str, served: Served, caller: SignedIn) -> Job:
    """A job whose outcome whoever asks may see and change."""
    found = served.jobs.get(job)
    if _is_hidden(found, caller):
        raise NotAllowedError(f"A {caller.role} may not do this.", hint=f"It takes an {Role.OWNER}.")
    return found


Mine = Annotated[Job, Depends(_mine)]


@router.get("/jobs", tags=["jobs"])
def jobs(
    served: Served,
    before: Annotated[str | None, Query(max_length=40)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    *,
    caller: SignedIn,
) -> JobPage:
    """Jobs, the newest first; ``next`` as ``before`` gives the next page."""
    found = served.jobs.list(before, limit)
    return JobPage(jobs=[_answer(one, caller) for one in found], next=found[-1].id if len(found) == limit else None)


@router.post("/jobs", tags=["jobs"], status_code=201)
def new_job(
    given: NewJob,
    request: Request,
    served: Served,
    caller: SignedIn,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> JobAnswer:
    """Leave work to the workers. Asked for again with the same Idempotency-Key, it is the same job."""
    if caller.role is None or not caller.role.covers(_needed(given.kind)):
        raise NotAllowedError(f"A {caller.role} may not do this.", hint=f"It takes an {_needed(given.kind)}.")
    source = given.parameters.get("source")
    if isinstance(source, dict) and isinstance(source.get("folder"), str):
        source["folder"] = str(_allowed(request, source["folder"]))
    return _answer(leave(served, given.kind, given.parameters, caller.person.id, idempotency_key), caller)


@router.get("/jobs/{job}", tags=["jobs"])
def job(job: str, served: Served, caller: SignedIn) -> JobAnswer:
    """A job as it stands."""
    return _answer(served.jobs.get(job), caller)


@router.get("/jobs/{job}/events", tags=["jobs"], response_class=StreamingResponse)
def events(job: str, request: Request, served: Served, caller: SignedIn) -> StreamingResponse:
    """A job as it stands, again whenever that changes, as server-sent events, until it has ended."""
    served.jobs.get(job)
    return StreamingResponse(_changes(job, request, caller), media_type="text/event-stream")


async def _changes(job: str, request: Request, caller: Caller) -> AsyncIterator[str]:
    jobs, told = workspace_of(request).jobs, ""
    while not await request.is_disconnected():
        found = await asyncio.to_thread(jobs.get, job)
        now = _answer(found, caller).model_dump_json()
        if now != told:
            told = now
            yield f"data: {now}\n\n"
        if found.state in ENDED:
            return
        await asyncio.sleep(_LOOK_AGAIN)


@router.get("/jobs/{job}/log", tags=["jobs"], response_class=Response)
def log(job: Mine, served: Served) -> PlainTextResponse:
    """What its processes said; of a long log the end."""
    path = folder_of(served, job.id) / "log.txt"
    if not path.exists():
        return PlainTextResponse("")
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        return PlainTextResponse(file.read().decode("utf-8", "replace"))


@router.get("/jobs/{job}/files/{name}", tags=["jobs"], response_class=Response)
def result(job: Mine, name: str, served: Served) -> FileResponse:
    """A file that a job made."""
    folder = folder_of(served, job.id) / "files"
    if name not in {one.name for one in folder.iterdir() if one.is_file()} if folder.exists() else set():
        raise NotFoundError(f"The job made no file {ascii(name)[:100]}.")
    kind = _SHOWN.get(Path(name).suffix, "application/octet-stream")
    return FileResponse(folder / name, media_type=kind, filename=None if kind == "image/jpeg" else name)


@router.post("/jobs/{job}/cancel", tags=["jobs"])
def cancel(job: Mine, served: Served, caller: SignedIn) -> JobAnswer:
    """End a job; one that runs ends within a second or two, and leaves nothing half done."""
    return _answer(served.jobs.cancel(job.id), caller)


@router.post("/jobs/{job}/retry", tags=["jobs"], status_code=201)
def retry(job: Mine, served: Served, caller: SignedIn) -> JobAnswer:
    """Ask once more for what failed or was cancelled."""
    return _answer(served.jobs.retry(job.id, caller.person.id), caller)


@router.post("/uploads", tags=["uploads"], status_code=201)
def begin_upload(served: Served, caller: SignedIn) -> UploadAnswer:
    """Begin to send files."""
    return UploadAnswer.model_validate(new_upload(served, caller.person.id))


@router.get("/uploads/{upload}", tags=["uploads"])
def upload(upload: str, served: Served, caller: SignedIn) -> UploadAnswer:
    """How much of an upload has arrived."""
    return UploadAnswer.model_validate(find_upload(served, upload, caller.person.id))


@router.post(
    "/uploads/{upload}/files",
    tags=["uploads"],
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        },
    },
)
async def send_files(upload: str, request: Request, served: Served, caller: SignedIn) -> Received:
    """Send files: for each a line ``{"name": "a.jpg", "size": 1234}`` and its bytes. They are kept when it answers."""
    await asyncio.to_thread(find_upload, served, upload, caller.person.id)
    return Received(files=await receive(served, upload, request.stream()))


@router.delete("/uploads/{upload}", tags=["uploads"], status_code=204)
def forget_upload(upload: str, served: Served, caller: SignedIn) -> None:
    """Let an upload go."""
    find_upload(served, upload, caller.person.id)
    remove_upload(served, upload)


@router.post("/files/held", tags=["uploads"])
def held(given: WantedFiles, served: Served) -> HeldFiles:
    """Which files the project has already: those that a version of one of its datasets refers to."""
    asked = [_named(one) for one in given.files]
    found = held_files(served, asked)
    return HeldFiles(held=[identity(one) in found for one in asked])


def _named(one: Wanted) -> MediaRef:
    if one.kind == "image":
        return ImageRef(one.digest, 0, "", 0, 0, "", frame=one.frame)
    if one.kind == "video":
        return VideoRef(one.digest, 0, "", 0, 0, 0, 0.0, 0.0, "", "")
    return FileRef(one.digest, 0, "")


@router.get("/folders", tags=["server"])
def folders(request: Request, path: Annotated[str | None, Query(max_length=2000)] = None) -> FolderAnswer:
    """What lies in a folder of the server that imports may read; without a path those folders themselves."""
    if path is None:
        roots = [str(one) for one in request.app.state.folders]
        return FolderAnswer(path=None, folders=roots, files=[])
    place = _allowed(request, path)
    if not place.is_dir():
        raise NotFoundError(f"There is no folder {path}.")
    inside = sorted(place.iterdir())[:1000]
    return FolderAnswer(
        path=str(place),
        folders=[str(one) for one in inside if one.is_dir()],
        files=[one.name for one in inside if one.is_file()],
    )


def _allowed(request: Request, path: str) -> Path:
    """A place below one of the folders that the server allows, after links have been followed."""
    roots: tuple[Path, ...] = request.app.state.folders
    try:
        place = Path(path).resolve()
    except (OSError, ValueError, RuntimeError):
        place = Path("/")
    if not any(place.is_relative_to(root) for root in roots):
        raise NotAllowedError(
            "The server does not read there.", hint="Whoever starts it allows folders: saccade serve --folder DIR"
        )
    return place
