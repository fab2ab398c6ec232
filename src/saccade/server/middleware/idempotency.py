"""A request with an ``Idempotency-Key`` is done once, however often it is sent: as after an answer that got lost."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from anyio.to_thread import run_sync
from fastapi import Request, Response
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from saccade.core.digest import digest_bytes
from saccade.core.errors import InvalidValueError, SaccadeError
from saccade.server.permissions import FILES, NEEDED, OWN_WAY_OF_ONCE, ROUTES, SAFE, TELLS_SECRET
from saccade.store.auth.service import Caller
from saccade.store.jobs.idempotency import Answered, Requests

HEADER = "Idempotency-Key"
LONGEST = 200
REPLAYED = "Idempotency-Replayed"
_MOST_TO_NOTE = 1000
_log = logging.getLogger("saccade.server")


class AnsweredError(Exception):
    """What is asked for was done before."""

    def __init__(self, answered: Answered) -> None:
        super().__init__(answered.status)
        self.answered = answered


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request with a name, and a digest of what it asks for."""

    name: str
    what: str


@dataclass(frozen=True, slots=True)
class _Begun:
    """A request that is being done, and where is noted how it goes."""

    requests: Requests
    person: str
    name: str
    is_secret: bool

    def end(self, status: int, body: bytes, etag: str) -> None:
        """What was refused has changed nothing, and may be tried again; all else is over."""
        if 400 <= status < 500 or status == 503:
            self.requests.forget(self.person, self.name)
        else:
            answered = Answered(status, body.decode(), etag)
            self.requests.end(self.person, self.name, answered, is_secret=self.is_secret)

    def lose(self) -> None:
        self.requests.lose(self.person, self.name)


def begin_once(request: Request, requests: Requests, caller: Caller, route: str) -> None:
    """Go on with a request that whoever asks may make; AnsweredError where it was done, ConflictError where that is
    not known."""
    asked: _Asked | None = getattr(request.state, "asked", None)
    if asked is None or route in OWN_WAY_OF_ONCE:
        return
    if not 1 <= len(asked.name) <= LONGEST:
        raise InvalidValueError(f"An {HEADER} has 1 to {LONGEST} characters.")
    answered = requests.begin(caller.person.id, asked.name, asked.what)
    if answered is not None:
        raise AnsweredError(answered)
    request.state.begun = _Begun(requests, caller.person.id, asked.name, route in TELLS_SECRET)


async def answer_again(request: Request, error: Exception) -> Response:
    """What was answered before."""
    assert isinstance(error, AnsweredError)
    answered = error.answered
    request.state.etag = answered.etag or None
    media = "application/json" if answered.body else None
    return Response(answered.body, answered.status, {REPLAYED: "true"}, media)


def describe_once(described: dict[str, Any]) -> None:
    """Add the header to the routes of OpenAPI's description that heed it."""
    header = {
        "name": HEADER.lower(),
        "in": "header",
        "required": False,
        "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST},
        "description": "A name for this request; sent again under it within a day, it is not done again.",
    }
    for path, methods in described["paths"].items():
        for method, facts in methods.items():
            route = f"{method.upper()} {path}"
            is_meant = method.upper() not in SAFE and not FILES.fullmatch(path)
            if is_meant and route not in OWN_WAY_OF_ONCE and ROUTES[route] in NEEDED:
                facts.setdefault("parameters", []).append(header)


class Once:
    """Gives requests with a name to :func:`begin_once`, and notes their answers before anybody hears them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._to_note: deque[Callable[[], None]] = deque(maxlen=_MOST_TO_NOTE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_meant = scope["type"] == "http" and scope["method"] not in SAFE and not FILES.fullmatch(scope["path"])
        name = Headers(scope=scope).get(HEADER) if is_meant else None
        if name is None:
            await self._app(scope, receive, send)
            return
        body = await _whole(receive)
        if body is None:
            return
        if self._to_note:
            await run_sync(self._note_again)
        state = scope["state"]
        state["asked"] = _Asked(
            name, _digest(scope["method"].encode(), scope["path"].encode(), scope["query_string"], body)
        )
        said: list[Message] = []

        async def note(message: Message) -> None:
            said.append(message)

        try:
            await self._app(scope, _from(body, receive), note)
        except Exception:
            if begun := state.get("begun"):
                await run_sync(begun.lose)
            raise
        if begun := state.get("begun"):
            content = b"".join(message.get("body", b"") for message in said[1:])
            await run_sync(self._note, partial(begun.end, said[0]["status"], content, state["etag"] or ""))
        for message in said:
            await send(message)

    def _note(self, end: Callable[[], None]) -> None:
        """Note an answer; it is given also where that cannot be now, as on a full disk, since what was done is done."""
        try:
            end()
        except (SaccadeError, OSError) as error:
            _log.warning("The answer to a request could not be noted: %s", error)
            self._to_note.append(end)

    def _note_again(self) -> None:
        for _ in range(len(self._to_note)):
            self._note(self._to_note.popleft())


def _digest(*parts: bytes) -> str:
    return digest_bytes(b"".join(b"%d:%b" % (len(part), part) for part in parts))


async def _whole(receive: Receive) -> bytes | None:
    """The body of a request; None where whoever sends it is gone."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _from(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read already, and then what else comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def given() -> Message:
        return waiting.pop() if waiting else await receive()

    return given
