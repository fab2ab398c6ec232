"""Datasets: what there is, versions, items by pages, pictures."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from saccade import __version__
from saccade.core.errors import InvalidValueError, NotFoundError
from saccade.core.schema import Kind
from saccade.server.dependencies.auth import Served
from saccade.server.dependencies.concurrency import in_turn
from saccade.server.dependencies.version_cache import Rows, opened_of, version_asked
from saccade.server.permissions import API
from saccade.server.schemas.base import Health
from saccade.server.schemas.datasets import (
    DatasetAnswer,
    ItemAnswer,
    ItemPage,
    ItemsWanted,
    KeyPage,
    KeysWanted,
    LogEntry,
    VersionAnswer,
    columns_of,
)
from saccade.server.schemas.encoding import as_json, plain, plain_item
from saccade.server.streaming.arrow import arrow_stream
from saccade.server.streaming.files import pieces_of
from saccade.store.datasets.version import DatasetVersion

router = APIRouter(prefix=API)
Ref = str
TILE = 512
_FOREVER = "private, max-age=31536000, immutable"


@router.get("/health", tags=["server"])
def health() -> Health:
    """Whether the server answers."""
    return Health(status="ok", version=__version__)


@router.get("/datasets", tags=["datasets"])
def datasets(served: Served) -> list[DatasetAnswer]:
    """All datasets, each at its latest version."""
    return [DatasetAnswer.model_validate(one) for one in served.datasets.list()]


@router.get("/datasets/{ref}", tags=["datasets"])
def dataset(ref: Ref, request: Request) -> VersionAnswer:
    """A version, as NAME or NAME@VERSION, with its columns."""
    version = version_asked(request, ref)
    info = version.info
    return VersionAnswer(
        ref=version.ref,
        number=version.number,
        items=len(version),
        message=info.message,
        author=info.author,
        created=info.created,
        columns=columns_of(version.schema),
        branch=info.branch,
        parent=info.parent,
        merged=info.merged,
        added=info.added,
        removed=info.removed,
        changed=info.changed,
        run_id=info.run_id,
        inputs=list(info.inputs),
    )


@router.get("/datasets/{ref}/log", tags=["datasets"])
def log(ref: Ref, served: Served, branch: Annotated[str | None, Query(max_length=200)] = None) -> list[LogEntry]:
    """The versions of a dataset, the newest first; of a branch those that led to its end."""
    return [LogEntry.model_validate(one) for one in served.datasets.log(ref.partition("@")[0], branch)]


@router.get("/datasets/{ref}/stats", tags=["datasets"])
def stats(ref: Ref, request: Request) -> dict[str, Any]:
    """Counts by split and class, and sizes."""
    found: dict[str, Any] = plain(version_asked(request, ref).stats())
    return found


@router.get("/datasets/{ref}/histogram", tags=["datasets"])
def histogram(
    ref: Ref,
    request: Request,
    value: Annotated[str, Query(max_length=2000)],
    over: Annotated[str | None, Query(max_length=200)] = None,
    where: Annotated[str | None, Query(max_length=4000)] = None,
    bins: Annotated[int, Query(ge=1, le=500)] = 20,
) -> dict[str, Any]:
    """How often each value of an expression occurs."""
    version = version_asked(request, ref)
    found: dict[str, Any] = plain(version.histogram(value, over=over, where=where, bins=bins))
    return found


@router.get("/datasets/{ref}/items", tags=["datasets"], response_model=ItemPage)
@in_turn
def items(ref: Ref, request: Request, wanted: Annotated[ItemsWanted, Query()]) -> Response:
    """Items in order, or in that of an expression's values, some at a time; of those for which a query holds."""
    version = version_asked(request, ref)
    rows, total, following = _page(request, version, wanted)
    return as_json({"items": list(map(plain_item, version.rows(rows))), "total": total, "next": following})


@router.get("/datasets/{ref}/keys", tags=["datasets"], response_model=KeyPage)
@in_turn
def keys(ref: Ref, request: Request, wanted: Annotated[KeysWanted, Query()]) -> Response:
    """The keys of items alone, as ``items`` gives those; with a ``limit`` of 0 only how many there are."""
    version = version_asked(request, ref)
    rows, total, following = _page(request, version, wanted)
    return as_json({"keys": version.keys_at(rows), "total": total, "next": following})


def _page(request: Request, version: DatasetVersion, wanted: ItemsWanted | KeysWanted) -> tuple[Rows, int, str | None]:
    """The places of items in a version, how many there are in all, and the cursor of what follows."""
    cursor, limit = wanted.cursor, wanted.limit
    if cursor is not None and not (cursor.isascii() and cursor.isdigit()):
        raise InvalidValueError(f"'{cursor}' is no cursor.", hint="Take what 'next' of the page before says.")
    start = int(cursor or wanted.start)
    rows, total = opened_of(request).rows(version, wanted.where, wanted.order, wanted.descending, start, limit)
    return rows, total, str(start + limit) if limit and start + limit < total else None


@router.get("/datasets/{ref}/arrow", tags=["datasets"], response_class=Response)
def arrow(
    ref: Ref,
    request: Request,
    column: Annotated[list[str] | None, Query(max_length=1000)] = None,
    only_keys: bool = False,
    key: Annotated[list[str] | None, Query(max_length=1000)] = None,
    where: Annotated[str | None, Query(max_length=4000)] = None,
    order: Annotated[str | None, Query(max_length=2000)] = None,
    descending: bool = False,
    limit: Annotated[int | None, Query(ge=0, le=1 << 40)] = None,
) -> StreamingResponse:
    """Items as a stream of Arrow record batches, exactly as they are kept; of some columns, keys or a query."""
    version = version_asked(request, ref)
    columns = [] if only_keys else list(version.schema.names if column is None else version.schema.select(column).names)
    rows = version.rows_of(key, where, order, descending=descending)
    pieces = arrow_stream(version, columns, rows[:limit])
    return StreamingResponse(pieces, media_type="application/vnd.apache.arrow.stream")


@router.get("/datasets/{ref}/item", tags=["datasets"], response_model=ItemAnswer)
def item(ref: Ref, request: Request, key: Annotated[str, Query(max_length=1000)]) -> Response:
    """One item by its key."""
    return as_json(plain_item(version_asked(request, ref).get(key)))


@router.get("/datasets/{ref}/picture", tags=["datasets"], response_class=Response)
def picture(
    ref: Ref,
    request: Request,
    served: Served,
    key: Annotated[str, Query(max_length=1000)],
    size: Annotated[int, Query(ge=16, le=4096)] = 256,
    objects: bool = False,
) -> Response:
    """The image of an item as a JPEG of at most so many pixels a side, with its objects where asked for.

    Of a video it is the first frame.
    """
    from saccade.app.datasets.render_item import picture as picture_of

    version = version_asked(request, ref)
    if not version.schema.of_kind(Kind.IMAGE) and version.schema.of_kind(Kind.VIDEO):
        return frame(ref, request, key, 0, size)
    pixels = picture_of(served, version, key, max_size=size, objects=objects)
    return _jpeg(pixels, ref)


@router.get("/datasets/{ref}/tile", tags=["datasets"], response_class=Response)
def tile(
    ref: Ref,
    request: Request,
    served: Served,
    key: Annotated[str, Query(max_length=1000)],
    level: Annotated[int, Query(ge=0, le=20)],
    x: Annotated[int, Query(ge=0, le=1_000_000)],
    y: Annotated[int, Query(ge=0, le=1_000_000)],
) -> Response:
    """A square of an image as a JPEG, at most 512 pixels a side; each level halves the one before, which is whole."""
    from saccade.app.datasets.render_item import picture as picture_of

    version = version_asked(request, ref)
    side = TILE << level
    box = (x * side, y * side, (x + 1) * side, (y + 1) * side)
    pixels = picture_of(served, version, key, box_xyxy=box, max_size=TILE)
    return _jpeg(pixels, ref)


@router.get("/datasets/{ref}/frame", tags=["datasets"], response_class=Response)
def frame(
    ref: Ref,
    request: Request,
    key: Annotated[str, Query(max_length=1000)],
    number: Annotated[int, Query(ge=0, le=1 << 40)],
    size: Annotated[int, Query(ge=16, le=4096)] = 1280,
) -> Response:
    """A frame of a video by its number in the order of showing, as a JPEG."""
    from saccade.media.loader import read_frame

    version = version_asked(request, ref)
    video = version.get(key)[version.schema.first(Kind.VIDEO).name]
    if video is None:
        raise NotFoundError(f"The item '{key}' has no video.")
    pixels = read_frame(version, video, number, max_size=size)
    return _jpeg(pixels, ref)


@router.get("/datasets/{ref}/file", tags=["datasets"], response_class=Response)
def file(
    ref: Ref,
    request: Request,
    key: Annotated[str, Query(max_length=1000)],
    column: Annotated[str, Query(max_length=200)],
) -> Response:
    """The file of an item as it came in, to be saved: never shown, whatever it says that it is."""
    version = version_asked(request, ref)
    if column not in version.schema or version.schema[column].kind not in (Kind.IMAGE, Kind.VIDEO, Kind.FILE):
        raise NotFoundError(f"There is no column of files '{column}'.")
    found = version.get(key)[column]
    if found is None:
        raise NotFoundError(f"The item '{key}' has no file there.")
    headers = {"Content-Disposition": "attachment", "Cache-Control": _cached(ref), "Content-Length": str(found.size)}
    pieces = pieces_of(version.open_media(found))
    return StreamingResponse(pieces, media_type="application/octet-stream", headers=headers)


def _jpeg(pixels: Any, ref: Ref) -> Response:
    from saccade.media.image import encode

    return Response(encode(pixels, "jpeg", 85), media_type="image/jpeg", headers={"Cache-Control": _cached(ref)})


def _cached(ref: Ref) -> str:
    """What a numbered version gives never changes."""
    return _FOREVER if ref.partition("@")[2].isdigit() else "private, no-cache"
