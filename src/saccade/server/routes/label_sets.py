"""Label sets: items, edits, history, events, classes and commits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from saccade.annotation.label_sets import LabelSets
from saccade.annotation.records import Author, ItemState
from saccade.app.labels import label_sets as use_cases
from saccade.app.labels.encoding import (
    applied_to_json,
    class_to_json,
    commit_to_json,
    object_to_json,
    preview_to_json,
    result_to_json,
    set_to_json,
)
from saccade.app.labels.live import LabelEvent, LiveLabelling
from saccade.core.merge import MergeConflictError
from saccade.server.dependencies.auth import CurrentUser
from saccade.server.dependencies.version_cache import version_cache
from saccade.server.routes.router import ApiRouter
from saccade.server.schemas.encoding import orjson_response, to_jsonable
from saccade.server.schemas.label_sets import (
    EditsRequest,
    EditsResponse,
    HistoryResponse,
    LabelClassResponse,
    LabelClassUpdate,
    LabelCommit,
    LabelCommitPreview,
    LabelCommitResponse,
    LabelItemPage,
    LabelItemResponse,
    LabelSetCreate,
    LabelSetList,
    LabelSetResponse,
    PresenceUpdate,
)
from saccade.store.auth.service import Principal

router = ApiRouter(tags=["labels"])
_MAX_LISTED_CONFLICTS = 100


def _live(request: Request) -> LiveLabelling:
    live: LiveLabelling = request.app.state.labelling
    return live


def label_sets_of(request: Request) -> LabelSets:
    """Return the label sets of the requested project."""
    return _live(request).label_sets(request.state.workspace, version_cache(request).get)


def _author(principal: Principal) -> Author:
    return Author(principal.user.id, principal.user.name)


# Asynchronous because it does not wait: FastAPI would use a worker thread.
async def _sets(request: Request) -> LabelSets:
    return label_sets_of(request)


Sets = Annotated[LabelSets, Depends(_sets)]


@router.get("/label-sets", response_model=LabelSetList)
def list_label_sets(sets: Sets) -> Response:
    """List the label sets of the project by name."""
    return orjson_response({"label_sets": [set_to_json(label_set) for label_set in sets.list()]})


@router.post("/label-sets", status_code=201, response_model=LabelSetResponse)
def create_label_set(body: LabelSetCreate, sets: Sets, principal: CurrentUser) -> Response:
    """Create a label set: the working copy in which people label a dataset."""
    label_set = use_cases.create_label_set(
        sets,
        body.name,
        body.dataset,
        column=body.column,
        start=body.start,
        query=body.query,
        classes=body.classes,
        predictions=body.predictions,
        min_score=body.min_score,
        author=_author(principal),
    )
    return JSONResponse(set_to_json(label_set), 201)


@router.get("/label-sets/{label_set}", response_model=LabelSetResponse)
def get_label_set(label_set: str, sets: Sets) -> Response:
    """Get a label set with its classes and the number of items in each state."""
    return orjson_response(set_to_json(sets.get(label_set)))


@router.delete("/label-sets/{label_set}", status_code=204)
def delete_label_set(label_set: str, sets: Sets, force: bool = False) -> None:
    """Delete a label set. If it has uncommitted edits, only with ``force``."""
    use_cases.delete_label_set(sets, label_set, force=force)


@router.put("/label-sets/{label_set}/classes/{class_id}", response_model=LabelClassResponse)
def put_class(label_set: str, class_id: str, body: LabelClassUpdate, request: Request, sets: Sets) -> Response:
    """Create or replace a class. The dataset gets the change with the next commit."""
    label_class = use_cases.put_class(sets, label_set, body.to_class(class_id))
    _live(request).announce(sets, label_set)
    return orjson_response(class_to_json(label_class))


@router.get("/label-sets/{label_set}/items", response_model=LabelItemPage)
def list_label_items(
    label_set: str,
    sets: Sets,
    state: ItemState | None = None,
    offset: Annotated[int, Query(ge=0, le=1 << 40)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    checked: bool | None = None,
) -> Response:
    """List a page of items, optionally those in one state.

    ``checked`` false lists the items that are labelled or empty in the dataset and not marked as such in this set, true
    all others.
    """
    total, version_ref, items = sets.items(label_set, state, offset, limit, checked=checked)
    return orjson_response(
        {
            "total": total,
            "items": [
                {
                    "key": item.key,
                    "index": item.index,
                    "state": item.state,
                    "reason": item.reason,
                    "objects": item.objects,
                    "updated": item.updated,
                    "updated_by": item.updated_by,
                    "version_ref": version_ref,
                    "width": item.width,
                    "height": item.height,
                    "is_checked": item.is_checked,
                }
                for item in items
            ],
        }
    )


@router.get("/label-sets/{label_set}/item", response_model=LabelItemResponse)
def get_label_item(label_set: str, sets: Sets, key: Annotated[str, Query(max_length=1000)]) -> Response:
    """Get an item with its objects, as they are after the last edit."""
    item = sets.item(label_set, key)
    image = None if item.image is None else {"column": item.image_column, **to_jsonable(item.image)}
    return orjson_response(
        {
            "key": item.key,
            "index": item.index,
            "total": item.total,
            "previous": item.previous,
            "next": item.next,
            "version_ref": item.version_ref,
            "image": image,
            "state": item.state,
            "reason": item.reason,
            "objects": [object_to_json(obj) for obj in item.objects],
            "seq": item.seq,
            "is_checked": item.is_checked,
        }
    )


@router.get("/label-sets/{label_set}/history", response_model=HistoryResponse)
def get_label_history(
    label_set: str,
    sets: Sets,
    principal: CurrentUser,
    item: Annotated[str | None, Query(max_length=1000)] = None,
    author: Annotated[str | None, Query(max_length=40, description="The id of a user, or 'me'.")] = None,
    after: Annotated[int, Query(ge=0, le=1 << 40)] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> Response:
    """List edits of the log in their order. Pass the last ``seq`` as ``after`` for the next page."""
    author_id = principal.user.id if author == "me" else author
    edits = sets.history(label_set, item=item, author_id=author_id, after=after, limit=limit)
    return orjson_response({"edits": [applied_to_json(applied) for applied in edits]})


@router.post("/label-sets/{label_set}/edits", response_model=EditsResponse)
async def post_edits(label_set: str, body: EditsRequest, request: Request) -> Response:
    """Append edits to the log. The response is sent once they are durable.

    Refused edits do not stop the others. An edit that is sent again, with the same id, gets the same result.
    """
    edits = [edit.to_edit() for edit in body.edits]
    # The request waits for the writer without a thread: others need the threads meanwhile.
    batch = await _live(request).apply(label_sets_of(request), label_set, edits, _author(request.state.principal))
    return orjson_response({"results": [result_to_json(result) for result in batch.results], "seq": batch.seq})


@router.post("/label-sets/{label_set}/presence", status_code=204)
def post_presence(label_set: str, body: PresenceUpdate, request: Request, sets: Sets, principal: CurrentUser) -> None:
    """Tell the others on which item and object this client is working. It is forgotten after 15 seconds."""
    _live(request).set_presence(sets, label_set, _author(principal), body.client, body.item, body.object)


@router.get("/label-sets/{label_set}/events", response_class=StreamingResponse)
def stream_label_events(
    label_set: str,
    request: Request,
    sets: Sets,
    after: Annotated[int | None, Query(ge=0, le=1 << 40)] = None,
    last_event_id: Annotated[str | None, Header(max_length=40)] = None,
) -> StreamingResponse:
    """Stream what happens in a label set as server-sent events.

    ``edits`` has a list of edits after ``after`` (by default the last one), and its id is the number of the last one:
    ``Last-Event-ID`` resumes there. ``classes`` has all classes, ``commit`` the base and the number of the last
    committed edit, ``presence`` the people who are working. These three are sent at the beginning, too.
    """
    if last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit():
        after = int(last_event_id)
    sets.require(label_set)
    events = _live(request).follow(sets, label_set, after)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_encode_events(events), media_type="text/event-stream", headers=headers)


async def _encode_events(events: AsyncIterator[LabelEvent]) -> AsyncIterator[str]:
    async for event in events:
        if not event.name:
            yield ": still here\n\n"
            continue
        event_id = "" if event.seq is None else f"id: {event.seq}\n"
        yield f"{event_id}event: {event.name}\ndata: {event.data}\n\n"


@router.get("/label-sets/{label_set}/commit", response_model=LabelCommitPreview)
def preview_label_commit(label_set: str, sets: Sets) -> Response:
    """Get what a commit would change, compared with the base. Conflicts with the branch are not looked for."""
    return orjson_response(preview_to_json(use_cases.preview_commit(sets, label_set)))


@router.post(
    "/label-sets/{label_set}/commit",
    status_code=201,
    response_model=LabelCommitResponse,
    responses={200: {"model": LabelCommitResponse, "description": "There was nothing to commit."}},
)
def commit_label_set(
    label_set: str, body: LabelCommit, request: Request, sets: Sets, principal: CurrentUser
) -> Response:
    """Commit the edits as the next version of the branch, merged with it if it has moved on.

    If both changed the same objects, nothing is committed: the error is ``merge-conflict``, and ``conflicts`` lists
    them. Commit again with ``prefer``. If there is nothing to commit, the status is 200 and the version is the base.
    """
    try:
        result = use_cases.commit_label_set(
            sets, label_set, message=body.message, prefer=body.prefer, author=_author(principal)
        )
    except MergeConflictError as error:
        return _conflict_response(error)
    _live(request).announce(sets, label_set)
    return JSONResponse(commit_to_json(result), 201 if result.is_new else 200)


def _conflict_response(error: MergeConflictError) -> Response:
    conflicts: list[dict[str, Any]] = [
        {
            "key": conflict.key,
            "column": conflict.column,
            "object": conflict.object_id,
            "class": conflict.class_name,
            "dataset": conflict.ours,
            "labels": conflict.theirs,
        }
        for conflict in error.conflicts
    ]
    detail = {
        "code": error.code,
        "message": f"The dataset and the label set changed the same: {error.message}",
        "hint": "Nothing was committed. Commit with prefer 'labels' or 'dataset'.",
        "fields": {},
    }
    listed = conflicts[:_MAX_LISTED_CONFLICTS]
    return JSONResponse({"error": detail, "conflicts": listed, "total": len(conflicts)}, 409)
