"""Background jobs, uploads, and folders of the server to import from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Header, Query, Request
from fastapi.responses import FileResponse, PlainTextResponse, Response, StreamingResponse

from saccade.app.ingest import uploads
from saccade.app.jobs import queue
from saccade.app.jobs.former_names import current_result
from saccade.app.jobs.registry import JOB_TYPES, enqueue
from saccade.app.jobs.run_job import job_dir
from saccade.core.errors import NotFoundError, PermissionDeniedError
from saccade.core.records.jobs import FINAL_STATES, Job
from saccade.core.roles import Role
from saccade.core.schema import FileRef, ImageRef, MediaRef, VideoRef
from saccade.server.dependencies.auth import CurrentUser, CurrentWorkspace, current_workspace
from saccade.server.routes.router import ApiRouter
from saccade.server.schemas.jobs import (
    BlobReference,
    BlobsQuery,
    BlobsResponse,
    FilesReceived,
    FolderResponse,
    JobCreate,
    JobPage,
    JobProgress,
    JobResponse,
    UploadResponse,
)
from saccade.store.auth.service import Principal
from saccade.store.maintenance.blob_lookup import blob_id, existing_blobs

router = ApiRouter()
_POLL_INTERVAL_S = 0.5
_LOG_TAIL_BYTES = 1 << 20
_MAX_FOLDER_ENTRIES = 1000
# Browsers may display these files of a job; all others are downloads.
_INLINE_TYPES = {".jpg": "image/jpeg", ".json": "application/json"}


def _required_role(kind: str) -> Role:
    return JOB_TYPES[kind].required_role if kind in JOB_TYPES else Role.MANAGER


def _is_hidden(job: Job, principal: Principal) -> bool:
    """Return whether the outcome of a job is hidden: only owners see that of jobs that require an owner."""
    return _required_role(job.kind) is Role.OWNER and principal.role is not Role.OWNER


def _job_response(job: Job, principal: Principal) -> JobResponse:
    response = JobResponse.model_validate(replace(job, result=current_result(job.result)))
    if _is_hidden(job, principal):
        return response.model_copy(update={"result": {}, "error": "", "hint": "", "progress": JobProgress()})
    return response


def _visible_job(job: str, workspace: CurrentWorkspace, principal: CurrentUser) -> Job:
    """Return a job whose outcome the caller may see and change.

    Raises:
        NotFoundError: There is no such job.
        PermissionDeniedError: The job requires an owner, and the caller is not one.
    """
    record = workspace.jobs.get(job)
    if _is_hidden(record, principal):
        raise _permission_denied(principal, Role.OWNER)
    return record


def _permission_denied(principal: Principal, required: Role) -> PermissionDeniedError:
    return PermissionDeniedError(
        f"The role '{principal.role}' does not permit this.", hint=f"It requires '{required}'."
    )


VisibleJob = Annotated[Job, Depends(_visible_job)]


@router.get("/jobs", tags=["jobs"])
def list_jobs(
    workspace: CurrentWorkspace,
    before: Annotated[str | None, Query(max_length=40)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    *,
    principal: CurrentUser,
) -> JobPage:
    """List jobs, newest first. Pass ``next`` as ``before`` for the next page."""
    jobs = workspace.jobs.list(before, limit)
    next_cursor = jobs[-1].id if len(jobs) == limit else None
    return JobPage(jobs=[_job_response(job, principal) for job in jobs], next=next_cursor)


@router.post("/jobs", tags=["jobs"], status_code=201)
def create_job(
    body: JobCreate,
    request: Request,
    workspace: CurrentWorkspace,
    principal: CurrentUser,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> JobResponse:
    """Enqueue a job for the workers. A repeated request with the same Idempotency-Key returns the same job."""
    if principal.role is None or not principal.role.covers(_required_role(body.kind)):
        raise _permission_denied(principal, _required_role(body.kind))
    source = body.parameters.get("source")
    if isinstance(source, dict) and isinstance(source.get("folder"), str):
        source["folder"] = str(_resolve_import_path(request, source["folder"]))
    job = enqueue(workspace, body.kind, body.parameters, principal.user.id, idempotency_key)
    return _job_response(job, principal)


@router.get("/jobs/{job}", tags=["jobs"])
def get_job(job: str, workspace: CurrentWorkspace, principal: CurrentUser) -> JobResponse:
    """Get the current state of a job."""
    return _job_response(workspace.jobs.get(job), principal)


@router.get("/jobs/{job}/events", tags=["jobs"], response_class=StreamingResponse)
def stream_job(job: str, request: Request, workspace: CurrentWorkspace, principal: CurrentUser) -> StreamingResponse:
    """Stream a job as server-sent events: its current state, then each change, until it ends."""
    workspace.jobs.get(job)
    return StreamingResponse(_job_events(job, request, principal), media_type="text/event-stream")


async def _job_events(job_id: str, request: Request, principal: Principal) -> AsyncIterator[str]:
    jobs = current_workspace(request).jobs
    last_sent = ""
    while not await request.is_disconnected():
        job = await asyncio.to_thread(jobs.get, job_id)
        data = _job_response(job, principal).model_dump_json()
        if data != last_sent:
            last_sent = data
            yield f"data: {data}\n\n"
        if job.state in FINAL_STATES:
            return
        await asyncio.sleep(_POLL_INTERVAL_S)


@router.get("/jobs/{job}/log", tags=["jobs"], response_class=Response)
def get_job_log(job: VisibleJob, workspace: CurrentWorkspace) -> PlainTextResponse:
    """Get the output of a job's processes; only the last MiB if the log is longer."""
    path = job_dir(workspace, job.id) / "log.txt"
    if not path.exists():
        return PlainTextResponse("")
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LOG_TAIL_BYTES))
        return PlainTextResponse(file.read().decode("utf-8", "replace"))


@router.get("/jobs/{job}/files/{name}", tags=["jobs"], response_class=Response)
def download_job_file(job: VisibleJob, name: str, workspace: CurrentWorkspace) -> FileResponse:
    """Download an output file of a job."""
    folder = job_dir(workspace, job.id) / "files"
    # Compared with the folder's listing instead of joined to its path, so that no name can leave the folder.
    names = {file.name for file in folder.iterdir() if file.is_file()} if folder.exists() else set()
    if name not in names:
        raise NotFoundError(f"The job has no file {ascii(name)[:100]}.")
    media_type = _INLINE_TYPES.get(Path(name).suffix, "application/octet-stream")
    return FileResponse(folder / name, media_type=media_type, filename=None if media_type == "image/jpeg" else name)


@router.post("/jobs/{job}/cancel", tags=["jobs"])
def cancel_job(job: VisibleJob, workspace: CurrentWorkspace, principal: CurrentUser) -> JobResponse:
    """Cancel a job. A running job stops within a second or two, and leaves no partial result."""
    return _job_response(queue.cancel_job(workspace, job.id), principal)


@router.post("/jobs/{job}/retry", tags=["jobs"], status_code=201)
def retry_job(job: VisibleJob, workspace: CurrentWorkspace, principal: CurrentUser) -> JobResponse:
    """Enqueue a failed or cancelled job again, as a new job."""
    return _job_response(queue.retry_job(workspace, job.id, principal.user.id), principal)


@router.post("/uploads", tags=["uploads"], status_code=201)
def create_upload(workspace: CurrentWorkspace, principal: CurrentUser) -> UploadResponse:
    """Start an upload."""
    return UploadResponse.model_validate(uploads.create_upload(workspace, principal.user.id))


@router.get("/uploads/{upload}", tags=["uploads"])
def get_upload(upload: str, workspace: CurrentWorkspace, principal: CurrentUser) -> UploadResponse:
    """Get the number of files and bytes that an upload has received."""
    return UploadResponse.model_validate(uploads.get_upload(workspace, upload, principal.user.id))


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
async def upload_files(
    upload: str, request: Request, workspace: CurrentWorkspace, principal: CurrentUser
) -> FilesReceived:
    """Upload files. The body has, for each file, a line ``{"name": "a.jpg", "size": 1234}`` followed by its bytes.

    All files are stored durably before the response is sent.
    """
    await asyncio.to_thread(uploads.get_upload, workspace, upload, principal.user.id)
    return FilesReceived(files=await uploads.receive_files(workspace, upload, request.stream()))


@router.delete("/uploads/{upload}", tags=["uploads"], status_code=204)
def delete_upload(upload: str, workspace: CurrentWorkspace, principal: CurrentUser) -> None:
    """Delete an upload and its files."""
    uploads.get_upload(workspace, upload, principal.user.id)
    uploads.delete_upload(workspace, upload)


@router.post("/blobs/exists", tags=["uploads"])
def check_blobs(body: BlobsQuery, workspace: CurrentWorkspace) -> BlobsResponse:
    """Check which media files the project has already, in any version of its datasets."""
    refs = [_media_ref(file) for file in body.files]
    existing = existing_blobs(workspace, refs)
    return BlobsResponse(existing=[blob_id(ref) in existing for ref in refs])


def _media_ref(file: BlobReference) -> MediaRef:
    """Return a reference to look up: only the kind, digest and frame matter."""
    if file.kind == "image":
        return ImageRef(file.digest, 0, "", 0, 0, "", frame=file.frame)
    if file.kind == "video":
        return VideoRef(file.digest, 0, "", 0, 0, 0, 0.0, 0.0, "", "")
    return FileRef(file.digest, 0, "")


@router.get("/folders", tags=["server"])
def list_folder(request: Request, path: Annotated[str | None, Query(max_length=2000)] = None) -> FolderResponse:
    """List a folder of the server that imports may read; without ``path``, list the allowed folders."""
    if path is None:
        roots = [str(root) for root in request.app.state.import_roots]
        return FolderResponse(path=None, folders=roots, files=[])
    folder = _resolve_import_path(request, path)
    if not folder.is_dir():
        raise NotFoundError(f"There is no folder {path}.")
    entries = sorted(folder.iterdir())[:_MAX_FOLDER_ENTRIES]
    return FolderResponse(
        path=str(folder),
        folders=[str(entry) for entry in entries if entry.is_dir()],
        files=[entry.name for entry in entries if entry.is_file()],
    )


def _resolve_import_path(request: Request, path: str) -> Path:
    """Resolve a path, with its symbolic links, and check that it is below one of the allowed folders.

    Raises:
        PermissionDeniedError: The path is outside the allowed folders, or cannot be resolved.
    """
    roots: tuple[Path, ...] = request.app.state.import_roots
    try:
        resolved = Path(path).resolve()
    except (OSError, ValueError, RuntimeError):
        resolved = Path("/")
    if not any(resolved.is_relative_to(root) for root in roots):
        raise PermissionDeniedError(
            "The server may not read this folder.",
            hint="Allow it when starting the server: saccade serve --folder DIR",
        )
    return resolved
