"""Files from the web, asked only of addresses that may be asked: every one is judged, also after a redirect."""

from __future__ import annotations

import http.client
import time
from base64 import b64encode
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from saccade.app.net.safe_http import UnreachableError, checked, connection_to, path_of, shown
from saccade.core.errors import FormatError, InvalidValueError, NotFoundError, SaccadeError

_REDIRECTS, _PASSING = (301, 302, 303, 307, 308), (408, 425, 429, 500, 502, 503, 504)
_PIECE = 1 << 18
_LONGEST_WAIT = 30.0


@dataclass(frozen=True, slots=True)
class WebLimits:
    """What a download may cost.

    Attributes:
        bytes: of one file.
        silence: seconds that a server may say nothing.
        seconds: for one file from beginning to end.
        tries: for answers that may pass, such as that a server is busy.
        pause: seconds before the second try; twice as long before each further one.
    """

    bytes: int = 20 << 30
    silence: float = 30.0
    seconds: float = 3600.0
    redirects: int = 5
    tries: int = 3
    pause: float = 0.5


WEB_LIMITS = WebLimits()


def is_web(url: str) -> bool:
    """Whether a source is an address of the web."""
    return url.lower().startswith(("http://", "https://"))


def name_in(url: str) -> str:
    """The file name at the end of a URL; "" where it has none."""
    return unquote(PurePosixPath(urlsplit(url).path).name)


def download(url: str, target: Path, *, private: bool = False, limits: WebLimits = WEB_LIMITS) -> None:
    """Fetch a file into ``target``, which must not exist; nothing is there after an error.

    Args:
        private: also from addresses that are not of the public internet, such as this machine and the local network.

    NotFoundError: there is none, or the server refuses it. InvalidValueError: an address that may not be asked.
    FormatError: larger or slower than ``limits``. SaccadeError: the server cannot be reached.
    """
    deadline = time.monotonic() + limits.seconds
    for number in range(limits.tries):
        try:
            _fetch(url, target, private, limits, deadline)
            return
        except _PassingError as error:
            target.unlink(missing_ok=True)
            if number + 1 == limits.tries or time.monotonic() + error.wait > deadline:
                raise SaccadeError(error.reason, hint="Try again later.") from None
            time.sleep(error.wait or limits.pause * 2**number)
        except BaseException:
            target.unlink(missing_ok=True)
            raise


class _PassingError(Exception):
    """What may be otherwise the next time, and how long the server asks to wait."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.wait = reason, min(wait, _LONGEST_WAIT)


def _fetch(url: str, target: Path, private: bool, limits: WebLimits, deadline: float) -> None:
    for _ in range(limits.redirects + 1):
        parts = checked(url)
        with (
            closing(_connected(parts, private, limits.silence)) as connection,
            closing(_asked(connection, parts, url)) as answer,
        ):
            if answer.status in _REDIRECTS and (place := answer.getheader("Location")):
                following = urljoin(url, place)
                if parts.scheme == "https" and urlsplit(following).scheme != "https":
                    raise InvalidValueError(f"{shown(url)} leads to an address without encryption: {shown(following)}.")
                url = following
                continue
            if answer.status in _PASSING:
                wait = answer.getheader("Retry-After") or ""
                reason = f"{shown(url)} answers {answer.status} {answer.reason}."
                raise _PassingError(reason, float(wait) if wait.isdigit() else 0.0)
            if answer.status != http.client.OK:
                raise NotFoundError(f"{shown(url)} answers {answer.status} {answer.reason}.", hint="Check the address.")
            _keep(answer, target, url, limits, deadline)
            return
    raise InvalidValueError(f"{shown(url)} leads on more than {limits.redirects} times.")


def _connected(parts: SplitResult, private: bool, silence: float) -> http.client.HTTPConnection:
    try:
        return connection_to(parts, private, silence)
    except UnreachableError as error:
        raise _PassingError(error.message) from None


def _asked(connection: http.client.HTTPConnection, parts: SplitResult, url: str) -> http.client.HTTPResponse:
    headers = {"User-Agent": "saccade", "Accept-Encoding": "identity"}
    if parts.username is not None:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers["Authorization"] = f"Basic {b64encode(secret).decode()}"
    try:
        connection.request("GET", path_of(parts), headers=headers)
        return connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise _PassingError(f"{shown(url)} gives no answer: {error}.") from None


def _keep(answer: http.client.HTTPResponse, target: Path, url: str, limits: WebLimits, deadline: float) -> None:
    stated = answer.getheader("Content-Length") or ""
    length = int(stated) if stated.isdigit() else None
    if (length or 0) > limits.bytes:
        raise FormatError(f"{shown(url)} has {length:,} bytes; at most {limits.bytes:,} are fetched.")
    count = 0
    with target.open("xb") as out:
        while True:
            try:
                piece = answer.read(_PIECE)
            except (OSError, http.client.HTTPException) as error:
                raise _PassingError(f"{shown(url)} breaks off: {error or type(error).__name__}.") from None
            if not piece:
                break
            count += len(piece)
            out.write(piece)
            if count > limits.bytes:
                raise FormatError(f"{shown(url)} has more than {limits.bytes:,} bytes.")
            if time.monotonic() > deadline:
                raise FormatError(f"{shown(url)} takes longer than {limits.seconds:,.0f} seconds.")
    if length is not None and count != length:
        raise _PassingError(f"{shown(url)} breaks off after {count:,} of {length:,} bytes.")
