"""Requests to a server: the one way for all of the client, with the errors of Saccade."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote

import httpx

from saccade import __version__
from saccade.core.errors import (
    ConflictError,
    FormatError,
    InvalidValueError,
    MediaError,
    MovedError,
    NotAllowedError,
    NotFoundError,
    NotSignedInError,
    PipelineError,
    RecipeError,
    SaccadeError,
    TooManyError,
    WorkspaceError,
)

_ERRORS: dict[int, type[SaccadeError]] = {
    401: NotSignedInError,
    403: NotAllowedError,
    404: NotFoundError,
    409: ConflictError,
    422: InvalidValueError,
    503: WorkspaceError,
}
_BY_CODE: dict[str, type[SaccadeError]] = {
    kind.code: kind
    for kind in (
        InvalidValueError,
        NotFoundError,
        ConflictError,
        MovedError,
        MediaError,
        FormatError,
        RecipeError,
        PipelineError,
        NotSignedInError,
        NotAllowedError,
        WorkspaceError,
    )
}
_PATIENCE = 60.0
_PAUSES = (0.5, 1.0, 2.0)
NAMED = "Idempotency-Key"


class Http:
    """Requests to one project of a server, with a token."""

    def __init__(self, address: str, token: str, project: str) -> None:
        if not address.startswith(("http://", "https://")):
            raise InvalidValueError(f"'{address}' is no address of a server.", hint="It begins with https://.")
        base = f"{address.rstrip('/').removesuffix('/api/v1')}/api/v1"
        if project != "default":
            base += f"/projects/{quote(project, safe='')}"
        headers = {"Authorization": f"Bearer {token}", "User-Agent": f"saccade/{__version__}"}
        self._client = httpx.Client(base_url=base, headers=headers, timeout=_PATIENCE)
        self.address = address

    def close(self) -> None:
        self._client.close()

    def get(self, path: str, **query: Any) -> Any:
        """What a path answers, as JSON."""
        return self.send("GET", path, params=query).json()

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        """What a path answers to some JSON; None for nothing."""
        answer = self.send("POST", path, json=body, **more)
        return answer.json() if answer.content else None

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        """An answer; the SaccadeError that it tells, WorkspaceError where the server cannot be reached.

        A request whose answer got lost is made again. What changes something has a name, with which it is done once.
        """
        if "params" in more:
            more["params"] = {name: value for name, value in more["params"].items() if value is not None}
        if "content" in more:  # which may be read once only
            with self._readable():
                answer = self._client.request(method, path, **more)
        else:
            if method != "GET":
                more["headers"] = {NAMED: uuid.uuid4().hex, **(more.get("headers") or {})}
            answer = self._again(method, path, **more)
        _raise(answer)
        return answer

    def _again(self, method: str, path: str, **more: Any) -> httpx.Response:
        """What is answered at last, where connections break."""
        for pause in _PAUSES:
            with suppress(httpx.NetworkError, httpx.RemoteProtocolError):
                return self._client.request(method, path, **more)
            time.sleep(pause)
        with self._readable():
            return self._client.request(method, path, **more)

    @contextmanager
    def stream(self, path: str, **query: Any) -> Iterator[httpx.Response]:
        """An answer that is read bit by bit."""
        given = {name: value for name, value in query.items() if value is not None}
        with self._readable(), self._client.stream("GET", path, params=given) as answer:
            if answer.is_error:
                answer.read()
            _raise(answer)
            yield answer

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            raise WorkspaceError(
                f"The server at {self.address} does not answer: {error}.", hint="Check that it runs: saccade serve."
            ) from error


def _raise(answer: httpx.Response) -> None:
    if not answer.is_error:
        return
    try:
        told = answer.json()["error"]
        message, hint, code = str(told["message"]), str(told.get("hint", "")), str(told.get("code", ""))
    except (ValueError, KeyError, TypeError):
        message, hint, code = f"The server answers {answer.status_code}.", "", ""
    if answer.status_code == 429:
        raise TooManyError(message, seconds=int(answer.headers.get("Retry-After", "1")), hint=hint)
    raise error_of(code, message, hint, _ERRORS.get(answer.status_code, SaccadeError))


def error_of(code: str, message: str, hint: str, other: type[SaccadeError] = SaccadeError) -> SaccadeError:
    """The error that a server calls by this code; ``other`` where its code is none of a simple error."""
    return _BY_CODE.get(code, other)(message, hint=hint)
