"""HTTP client of the API: authentication, retries and errors."""

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
    AuthenticationError,
    ConflictError,
    FormatError,
    InvalidValueError,
    MediaError,
    NotFoundError,
    PermissionDeniedError,
    PipelineError,
    RateLimitedError,
    RecipeError,
    SaccadeError,
    StaleVersionError,
    WorkspaceError,
)

_ERROR_BY_STATUS: dict[int, type[SaccadeError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: InvalidValueError,
    503: WorkspaceError,
}
_ERROR_BY_CODE: dict[str, type[SaccadeError]] = {
    error_type.code: error_type
    for error_type in (
        InvalidValueError,
        NotFoundError,
        ConflictError,
        StaleVersionError,
        MediaError,
        FormatError,
        RecipeError,
        PipelineError,
        AuthenticationError,
        PermissionDeniedError,
        WorkspaceError,
    )
}
_TIMEOUT_S = 60.0
_RETRY_DELAYS_S = (0.5, 1.0, 2.0)
IDEMPOTENCY_HEADER = "Idempotency-Key"


class ApiClient:
    """Requests to one project of a server, authenticated with an API token."""

    def __init__(self, address: str, token: str, project: str) -> None:
        if not address.startswith(("http://", "https://")):
            raise InvalidValueError(f"Invalid server address '{address}'.", hint="It must start with https://.")
        base_url = f"{address.rstrip('/').removesuffix('/api/v1')}/api/v1"
        if project != "default":
            base_url += f"/projects/{quote(project, safe='')}"
        headers = {"Authorization": f"Bearer {token}", "User-Agent": f"saccade/{__version__}"}
        self._client = httpx.Client(base_url=base_url, headers=headers, timeout=_TIMEOUT_S)
        self.address = address

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str, **query: Any) -> Any:
        """GET a path; returns the decoded JSON response."""
        return self.send("GET", path, params=query).json()

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        """POST a JSON body; returns the decoded JSON response, or None if it is empty."""
        response = self.send("POST", path, json=body, **options)
        return response.json() if response.content else None

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request, and retry it if the connection breaks.

        Writes carry a random idempotency key, so a retry is never applied twice. Requests with a streamed body
        (``content``) are not retried.

        Args:
            method: The HTTP method.
            path: Path below the project.
            options: Arguments of :meth:`httpx.Client.request`; ``params`` that are None are left out.

        Raises:
            SaccadeError: The error in the response, as its specific class.
            WorkspaceError: The server cannot be reached.
        """
        if "params" in options:
            options["params"] = {name: value for name, value in options["params"].items() if value is not None}
        if "content" in options:
            with self._connection_errors():
                response = self._client.request(method, path, **options)
        else:
            if method != "GET":
                options["headers"] = {IDEMPOTENCY_HEADER: uuid.uuid4().hex, **(options.get("headers") or {})}
            response = self._send_with_retries(method, path, **options)
        _raise_for_status(response)
        return response

    def _send_with_retries(self, method: str, path: str, **options: Any) -> httpx.Response:
        for delay in _RETRY_DELAYS_S:
            with suppress(httpx.NetworkError, httpx.RemoteProtocolError):
                return self._client.request(method, path, **options)
            time.sleep(delay)
        with self._connection_errors():
            return self._client.request(method, path, **options)

    @contextmanager
    def stream(self, path: str, **query: Any) -> Iterator[httpx.Response]:
        """GET a path; the body of the yielded response is read in chunks."""
        params = {name: value for name, value in query.items() if value is not None}
        with self._connection_errors(), self._client.stream("GET", path, params=params) as response:
            if response.is_error:
                response.read()
            _raise_for_status(response)
            yield response

    @contextmanager
    def _connection_errors(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            raise WorkspaceError(
                f"The server at {self.address} does not respond: {error}.", hint="Check that it runs: saccade serve."
            ) from error


def _raise_for_status(response: httpx.Response) -> None:
    if not response.is_error:
        return
    try:
        error = response.json()["error"]
        message = str(error["message"])
        hint = str(error.get("hint", ""))
        code = str(error.get("code", ""))
    except (ValueError, KeyError, TypeError):
        message = f"The server responded with status {response.status_code}."
        hint = ""
        code = ""
    if response.status_code == 429:
        raise RateLimitedError(message, seconds=int(response.headers.get("Retry-After", "1")), hint=hint)
    raise error_from_code(code, message, hint, _ERROR_BY_STATUS.get(response.status_code, SaccadeError))


def error_from_code(code: str, message: str, hint: str, default: type[SaccadeError] = SaccadeError) -> SaccadeError:
    """Create the error for an error code; of the class ``default`` if the code is unknown."""
    return _ERROR_BY_CODE.get(code, default)(message, hint=hint)
