"""Datasets: versions, statistics, pages of items, images and files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse

from saccade import __version__
from saccade.core.errors import InvalidValueError, NotFoundError
from saccade.core.schema import Kind
from saccade.server.dependencies.auth import CurrentWorkspace
from saccade.server.dependencies.concurrency import limit_concurrency
from saccade.server.dependencies.version_cache import Rows, get_version_conditional, version_cache
from saccade.server.routes.router import ApiRouter
from saccade.server.schemas.base import HealthResponse
from saccade.server.schemas.datasets import (
    DatasetResponse,
    ItemPage,
    ItemResponse,
    ItemsQuery,
    KeyPage,
    KeysQuery,
    TimelineResponse,
    VersionResponse,
    VersionSummary,
    column_responses,
)
from saccade.server.schemas.encoding import item_to_jsonable, orjson_response, to_jsonable
from saccade.server.streaming.arrow import stream_arrow
from saccade.server.streaming.files import iter_chunks
from saccade.store.datasets.version import DatasetVersion

router = ApiRouter()
TILE_SIZE = 512
MAX_FRAMES = 64
"""Limit of the frames of one request."""
_JPEG_QUALITY = 85
_IMMUTABLE = "private, max-age=31536000, immutable"


@router.get("/health", tags=["server"])
async def get_health() -> HealthResponse:
    """Check that the server responds."""
    return HealthResponse(status="ok", version=__version__)


@router.get("/datasets", tags=["datasets"])
def list_datasets(workspace: CurrentWorkspace) -> list[DatasetResponse]:
    """List all datasets, each at its latest version."""
    return [DatasetResponse.model_validate(dataset) for dataset in workspace.datasets.list()]


@router.get("/datasets/{ref}", tags=["datasets"])
def get_dataset(ref: str, request: Request) -> VersionResponse:
    """Get a version of a dataset (NAME or NAME@VERSION) with its columns."""
    version = get_version_conditional(request, ref)
    info = version.info
    return VersionResponse(
        ref=version.ref,
        number=version.number,
        items=len(version),
        message=info.message,
        author=info.author,
        created=info.created,
        columns=column_responses(version.schema),
        branch=info.branch,
        parent=info.parent,
        merged=info.merged,
        added=info.added,
        removed=info.removed,
        changed=info.changed,
        run_id=info.run_id,
        inputs=list(info.inputs),
    )


@router.get("/datasets/{ref}/versions", tags=["datasets"])
def list_versions(
    ref: str, workspace: CurrentWorkspace, branch: Annotated[str | None, Query(max_length=200)] = None
) -> list[VersionSummary]:
    """List the versions of a dataset, newest first; with ``branch``, only that branch and its ancestors."""
    versions = workspace.datasets.log(ref.partition("@")[0], branch)
    return [VersionSummary.model_validate(version) for version in versions]


@router.get("/datasets/{ref}/stats", tags=["datasets"])
def get_statistics(ref: str, request: Request) -> dict[str, Any]:
    """Count items by split and class, and summarize sizes."""
    statistics: dict[str, Any] = to_jsonable(get_version_conditional(request, ref).stats())
    return statistics


@router.get("/datasets/{ref}/histogram", tags=["datasets"])
def get_histogram(
    ref: str,
    request: Request,
    expression: Annotated[str, Query(max_length=2000)],
    objects_column: Annotated[str | None, Query(max_length=200)] = None,
    where: Annotated[str | None, Query(max_length=4000)] = None,
    bins: Annotated[int, Query(ge=1, le=500)] = 20,
) -> dict[str, Any]:
    """Compute the histogram of an expression over the items, or over the objects of a column (``objects_column``)."""
    version = get_version_conditional(request, ref)
    histogram: dict[str, Any] = to_jsonable(
        version.histogram(expression, objects_column=objects_column, where=where, bins=bins)
    )
    return histogram


@router.get("/datasets/{ref}/items", tags=["datasets"], response_model=ItemPage)
@limit_concurrency
def list_items(ref: str, request: Request, query: Annotated[ItemsQuery, Query()]) -> Response:
    """List a page of items, optionally filtered by a query and sorted by an expression."""
    version = get_version_conditional(request, ref)
    rows, total, next_cursor = _select_page(request, version, query)
    items = [item_to_jsonable(item) for item in version.items_at(rows)]
    return orjson_response({"items": items, "total": total, "next": next_cursor})


@router.get("/datasets/{ref}/keys", tags=["datasets"], response_model=KeyPage)
@limit_concurrency
def list_keys(ref: str, request: Request, query: Annotated[KeysQuery, Query()]) -> Response:
    """List a page of item keys; like ``items``, without the values. With ``limit=0`` only the total is returned."""
    version = get_version_conditional(request, ref)
    rows, total, next_cursor = _select_page(request, version, query)
    return orjson_response({"keys": version.keys_at(rows), "total": total, "next": next_cursor})


def _select_page(
    request: Request, version: DatasetVersion, query: ItemsQuery | KeysQuery
) -> tuple[Rows, int, str | None]:
    """Select the rows of a page.

    Returns:
        Row positions, the total number of matching items, and the cursor of the next page (None for the last page).
    """
    cursor = query.cursor
    if cursor is not None and not (cursor.isascii() and cursor.isdigit()):
        raise InvalidValueError(f"Invalid cursor '{cursor}'.", hint="Use the value of 'next' of the previous page.")
    start = int(cursor or query.start)
    end = start + query.limit
    rows, total = version_cache(request).select_rows(
        version, query.where, query.order, query.descending, start, query.limit
    )
    return rows, total, str(end) if query.limit and end < total else None


@router.get("/datasets/{ref}/arrow", tags=["datasets"], response_class=Response)
def stream_items(
    ref: str,
    request: Request,
    column: Annotated[list[str] | None, Query(max_length=1000)] = None,
    only_keys: bool = False,
    key: Annotated[list[str] | None, Query(max_length=1000)] = None,
    where: Annotated[str | None, Query(max_length=4000)] = None,
    order: Annotated[str | None, Query(max_length=2000)] = None,
    descending: bool = False,
    limit: Annotated[int | None, Query(ge=0, le=1 << 40)] = None,
) -> StreamingResponse:
    """Stream items losslessly as Arrow record batches; all of them, or selected columns, keys or query results."""
    version = get_version_conditional(request, ref)
    columns = [] if only_keys else list(version.schema.names if column is None else version.schema.select(column).names)
    rows = version.select_rows(key, where, order, descending=descending)
    chunks = stream_arrow(version, columns, rows[:limit])
    return StreamingResponse(chunks, media_type="application/vnd.apache.arrow.stream")


@router.get("/datasets/{ref}/item", tags=["datasets"], response_model=ItemResponse)
def get_item(ref: str, request: Request, key: Annotated[str, Query(max_length=1000)]) -> Response:
    """Get an item by key."""
    return orjson_response(item_to_jsonable(get_version_conditional(request, ref).get(key)))


@router.get("/datasets/{ref}/image", tags=["datasets"], response_class=Response)
def get_image(
    ref: str,
    request: Request,
    workspace: CurrentWorkspace,
    key: Annotated[str, Query(max_length=1000)],
    size: Annotated[int, Query(ge=16, le=4096)] = 256,
    objects: bool = False,
) -> Response:
    """Get the image of an item as a JPEG, scaled down to at most ``size`` pixels a side.

    With ``objects`` the objects are drawn on it. For a video, the first frame is returned.
    """
    from saccade.app.datasets.render_item import render_item

    version = get_version_conditional(request, ref)
    if not version.schema.columns_of_kind(Kind.IMAGE) and version.schema.columns_of_kind(Kind.VIDEO):
        return get_frame(ref, request, key, 0, size)
    pixels = render_item(workspace, version, key, max_size=size, with_objects=objects)
    return _jpeg_response(pixels, ref)


@router.get("/datasets/{ref}/tile", tags=["datasets"], response_class=Response)
def get_tile(
    ref: str,
    request: Request,
    workspace: CurrentWorkspace,
    key: Annotated[str, Query(max_length=1000)],
    level: Annotated[int, Query(ge=0, le=20)],
    x: Annotated[int, Query(ge=0, le=1_000_000)],
    y: Annotated[int, Query(ge=0, le=1_000_000)],
) -> Response:
    """Get a tile of an image as a JPEG of at most 512 pixels a side.

    Level 0 has the full resolution; each further level has half of that before it. ``x`` and ``y`` count tiles.
    """
    from saccade.app.datasets.render_item import render_item

    version = get_version_conditional(request, ref)
    side = TILE_SIZE << level
    box_xyxy = (x * side, y * side, (x + 1) * side, (y + 1) * side)
    pixels = render_item(workspace, version, key, region_xyxy=box_xyxy, max_size=TILE_SIZE)
    return _jpeg_response(pixels, ref)


@router.get("/datasets/{ref}/frame", tags=["datasets"], response_class=Response)
def get_frame(
    ref: str,
    request: Request,
    key: Annotated[str, Query(max_length=1000)],
    number: Annotated[int, Query(ge=0, le=1 << 40)],
    size: Annotated[int, Query(ge=16, le=4096)] = 1280,
) -> Response:
    """Get a frame of a video as a JPEG; ``number`` counts from 0 in presentation order.

    The item is a video, or a frame of the video.
    """
    from saccade.app.datasets.video import get_video
    from saccade.media.loader import read_frame

    version = get_version_conditional(request, ref)
    pixels = read_frame(version, get_video(version, key), number, max_size=size)
    return _jpeg_response(pixels, ref)


@router.get("/datasets/{ref}/frames", tags=["datasets"], response_class=Response)
def stream_frames(
    ref: str,
    request: Request,
    key: Annotated[str, Query(max_length=1000)],
    number: Annotated[list[Annotated[int, Query(ge=0, le=1 << 40)]], Query(min_length=1, max_length=MAX_FRAMES)],
    size: Annotated[int, Query(ge=16, le=4096)] = 1280,
) -> StreamingResponse:
    """Stream frames of a video as JPEGs, each after its length in bytes (4 bytes, big-endian), in the order requested.

    Ascending numbers are decoded in one pass. A length of 0 stands for a frame that is damaged or does not exist.
    """
    from saccade.app.datasets.video import get_video, read_frames
    from saccade.media.image import encode

    version = get_version_conditional(request, ref)
    video = get_video(version, key)

    def encode_frames() -> Iterator[bytes]:
        for pixels in read_frames(version, video, number, max_size=size):
            data = b"" if pixels is None else encode(pixels, "jpeg", _JPEG_QUALITY)
            yield len(data).to_bytes(4, "big") + data

    headers = {"Cache-Control": _cache_control(ref)}
    return StreamingResponse(encode_frames(), media_type="application/octet-stream", headers=headers)


@router.get("/datasets/{ref}/timeline", tags=["datasets"], response_model=TimelineResponse)
@limit_concurrency
def get_timeline(ref: str, request: Request, key: Annotated[str, Query(max_length=1000)]) -> Response:
    """Get the times of the frames of a video, and the number of objects in each.

    If the item is a frame, the frames are those that are items of the dataset; if it is a video, all of its frames.
    """
    from saccade.app.datasets.video import get_timeline as timeline_of

    return orjson_response(to_jsonable(timeline_of(get_version_conditional(request, ref), key)))


@router.get("/datasets/{ref}/file", tags=["datasets"], response_class=Response)
def download_media(
    ref: str,
    request: Request,
    key: Annotated[str, Query(max_length=1000)],
    column: Annotated[str, Query(max_length=200)],
) -> Response:
    """Download the original media file of an item.

    It is always sent as an attachment of a generic type, so that browsers never display untrusted content.
    """
    version = get_version_conditional(request, ref)
    if column not in version.schema or version.schema[column].kind not in (Kind.IMAGE, Kind.VIDEO, Kind.FILE):
        raise NotFoundError(f"There is no media column '{column}'.")
    media = version.get(key)[column]
    if media is None:
        raise NotFoundError(f"The item '{key}' has no file in the column '{column}'.")
    headers = {
        "Content-Disposition": "attachment",
        "Cache-Control": _cache_control(ref),
        "Content-Length": str(media.size),
    }
    chunks = iter_chunks(version.open_media(media))
    return StreamingResponse(chunks, media_type="application/octet-stream", headers=headers)


def _jpeg_response(pixels: Any, ref: str) -> Response:
    from saccade.media.image import encode

    headers = {"Cache-Control": _cache_control(ref)}
    return Response(encode(pixels, "jpeg", _JPEG_QUALITY), media_type="image/jpeg", headers=headers)


def _cache_control(ref: str) -> str:
    """Responses for a version number never change; those for a name, branch or alias do."""
    return _IMMUTABLE if ref.partition("@")[2].isdigit() else "private, no-cache"
