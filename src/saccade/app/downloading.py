"""Files from the web, asked only of addresses that may be asked.

A name is looked up once, its address is judged, and exactly that address is connected to, at first and after every
redirect: what a name leads to cannot change in between.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from base64 import b64encode
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from saccade.core.errors import FormatError, InvalidValueError, NotFoundError, SaccadeError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
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


def shown(url: str) -> str:
    """A URL for messages and records: without what may be secret, a password or a signature in the query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}{'?…' if parts.query else ''}"


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
        parts = _checked(url)
        with (
            closing(_connection(parts, private, limits.silence)) as connection,
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


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidValueError(f"{url!r} is no address: {error}.") from None
    control = any(ord(char) <= 32 or ord(char) == 127 for char in url)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or control:
        raise InvalidValueError(f"{shown(url)!r} is no address of the web.", hint="Give one with http:// or https://.")
    return parts


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = f"The name {host!r} is not known: {error}."
        raise SaccadeError(reason, hint="Check the address and the network.") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet, also where it stands for another one inside it."""
    found: Any = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            found = inner
    return bool(found.is_global and not found.is_multicast and not found.is_reserved)


def _connection(parts: SplitResult, private: bool, silence: float) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    addresses = _addresses(host, port)
    allowed = [address for address in addresses if private or is_public(address)]
    if not allowed:
        raise InvalidValueError(
            f"{host} ({', '.join(addresses)}) is no address of the public internet.",
            hint="Where it is a server of your own: --private-network.",
        )
    connection = http.client.HTTPConnection(host, port, timeout=silence)
    for address in allowed:
        try:
            plain = socket.create_connection((address, port), timeout=silence)
        except OSError as error:
            reason = f"{host} cannot be reached: {error.strerror or error}."
            continue
        try:
            connection.sock = (
                ssl.create_default_context().wrap_socket(plain, server_hostname=host)
                if parts.scheme == "https"
                else plain
            )
        except (OSError, ValueError) as error:
            plain.close()
            raise SaccadeError(f"{host} has no secure connection: {error}.", hint="Check the address.") from None
        return connection
    raise _PassingError(reason)


def _asked(connection: http.client.HTTPConnection, parts: SplitResult, url: str) -> http.client.HTTPResponse:
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._") + (f"?{parts.query}" if parts.query else "")
    headers = {"User-Agent": "saccade", "Accept-Encoding": "identity"}
    if parts.username is not None:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers["Authorization"] = f"Basic {b64encode(secret).decode()}"
    try:
        connection.request("GET", path, headers=headers)
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
