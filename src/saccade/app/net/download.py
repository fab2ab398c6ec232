"""HTTP downloads with limits and retries. Every redirect is checked like the first URL."""

from __future__ import annotations

import http.client
import time
from base64 import b64encode
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from saccade.app.net.safe_http import ConnectionFailedError, connect, parse_http_url, request_target
from saccade.core.errors import FormatError, InvalidValueError, NotFoundError, SaccadeError
from saccade.core.urls import redact_url

_REDIRECT_STATUSES = (301, 302, 303, 307, 308)
_TRANSIENT_STATUSES = (408, 425, 429, 500, 502, 503, 504)
_CHUNK_BYTES = 1 << 18
_MAX_RETRY_AFTER_S = 30.0


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """Limits of the download of one file.

    Attributes:
        max_bytes: The maximum size of the file.
        idle_timeout: Seconds without data after which a connection fails.
        total_timeout: Seconds for all attempts together.
        max_redirects: The maximum number of redirects.
        max_attempts: The maximum number of attempts after transient failures.
        retry_pause: Seconds before the second attempt; doubled before each further one.
    """

    max_bytes: int = 20 << 30
    idle_timeout: float = 30.0
    total_timeout: float = 3600.0
    max_redirects: int = 5
    max_attempts: int = 3
    retry_pause: float = 0.5


DOWNLOAD_LIMITS = DownloadLimits()


def is_http_url(url: str) -> bool:
    """Return whether a source is an HTTP or HTTPS URL."""
    return url.lower().startswith(("http://", "https://"))


def url_file_name(url: str) -> str:
    """Return the last path component of a URL, or "" if there is none."""
    return unquote(PurePosixPath(urlsplit(url).path).name)


def download(url: str, target: Path, *, allow_private: bool = False, limits: DownloadLimits = DOWNLOAD_LIMITS) -> None:
    """Download a file. After an error the target does not exist.

    Args:
        url: The HTTP URL, optionally with a user name and password for Basic authentication.
        target: The path to create; must not exist.
        allow_private: Also connect to addresses that are not public, such as those of this machine and local networks.
        limits: Limits of size, time and attempts.

    Raises:
        NotFoundError: The server responds that there is no such file, or refuses it.
        InvalidValueError: The URL is invalid, private or redirects too often or to an unencrypted URL.
        FormatError: The file exceeds the limits of size or time.
        SaccadeError: The server cannot be reached, or all attempts failed.
    """
    deadline = time.monotonic() + limits.total_timeout
    for attempt in range(limits.max_attempts):
        try:
            _fetch_once(url, target, allow_private, limits, deadline)
            return
        except _TransientHttpError as error:
            target.unlink(missing_ok=True)
            if attempt + 1 == limits.max_attempts or time.monotonic() + error.retry_after > deadline:
                raise SaccadeError(error.reason, hint="Try again later.") from None
            time.sleep(error.retry_after or limits.retry_pause * 2**attempt)
        except BaseException:
            target.unlink(missing_ok=True)
            raise


class _TransientHttpError(Exception):
    """A failure that a retry may overcome, with the seconds that the server asks to wait."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = min(retry_after, _MAX_RETRY_AFTER_S)


def _fetch_once(url: str, target: Path, allow_private: bool, limits: DownloadLimits, deadline: float) -> None:
    for _ in range(limits.max_redirects + 1):
        parts = parse_http_url(url)
        with (
            closing(_connect(parts, allow_private, limits.idle_timeout)) as connection,
            closing(_request(connection, parts, url)) as response,
        ):
            if response.status in _REDIRECT_STATUSES and (location := response.getheader("Location")):
                next_url = urljoin(url, location)
                if parts.scheme == "https" and urlsplit(next_url).scheme != "https":
                    raise InvalidValueError(
                        f"{redact_url(url)} redirects to a URL without encryption: {redact_url(next_url)}."
                    )
                url = next_url
                continue
            message = f"{redact_url(url)} responded with {response.status} {response.reason}."
            if response.status in _TRANSIENT_STATUSES:
                retry_after = response.getheader("Retry-After") or ""
                raise _TransientHttpError(message, float(retry_after) if retry_after.isdigit() else 0.0)
            if response.status != http.client.OK:
                raise NotFoundError(message, hint="Check the URL.")
            _write_body(response, target, url, limits, deadline)
            return
    raise InvalidValueError(f"Too many redirects (limit {limits.max_redirects}): {redact_url(url)}.")


def _connect(parts: SplitResult, allow_private: bool, idle_timeout: float) -> http.client.HTTPConnection:
    try:
        return connect(parts, allow_private, idle_timeout)
    except ConnectionFailedError as error:
        raise _TransientHttpError(error.message) from None


def _request(connection: http.client.HTTPConnection, parts: SplitResult, url: str) -> http.client.HTTPResponse:
    headers = {"User-Agent": "saccade", "Accept-Encoding": "identity"}
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers["Authorization"] = f"Basic {b64encode(credentials).decode()}"
    try:
        connection.request("GET", request_target(parts), headers=headers)
        return connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise _TransientHttpError(f"{redact_url(url)} does not respond: {error}.") from None


def _write_body(
    response: http.client.HTTPResponse, target: Path, url: str, limits: DownloadLimits, deadline: float
) -> None:
    content_length = response.getheader("Content-Length") or ""
    expected = int(content_length) if content_length.isdigit() else None
    if (expected or 0) > limits.max_bytes:
        raise FormatError(f"{redact_url(url)} has {expected:,} bytes; the limit is {limits.max_bytes:,}.")
    count = 0
    with target.open("xb") as out:
        while True:
            try:
                chunk = response.read(_CHUNK_BYTES)
            except (OSError, http.client.HTTPException) as error:
                raise _TransientHttpError(
                    f"The download of {redact_url(url)} broke off: {error or type(error).__name__}."
                ) from None
            if not chunk:
                break
            count += len(chunk)
            out.write(chunk)
            if count > limits.max_bytes:
                raise FormatError(f"{redact_url(url)} has more than {limits.max_bytes:,} bytes.")
            if time.monotonic() > deadline:
                raise FormatError(
                    f"The download of {redact_url(url)} took longer than {limits.total_timeout:,.0f} seconds."
                )
    if expected is not None and count != expected:
        raise _TransientHttpError(f"The download of {redact_url(url)} broke off after {count:,} of {expected:,} bytes.")
