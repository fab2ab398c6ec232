"""Programs elsewhere, reached only at addresses that may be asked.

A name is looked up once, its address is judged, and exactly that address is connected to: what a name leads to cannot
change in between.
"""

from __future__ import annotations

import http.client
import ipaddress
import math
import socket
import ssl
import time
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from saccade.core.errors import InvalidValueError, SaccadeError

_SAFE = "/%:@!$&'()*+,;=~-._"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class UnreachableError(SaccadeError):
    """Nobody answers there at the moment."""


def shown(url: str) -> str:
    """A URL for messages and records: without what may be secret, a password or a signature in the query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}{'?…' if parts.query else ''}"


def checked(url: str) -> SplitResult:
    """The parts of an address of the web; InvalidValueError where it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidValueError(f"{url!r} is no address: {error}.") from None
    control = any(ord(char) <= 32 or ord(char) == 127 for char in url)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or control:
        raise InvalidValueError(f"{shown(url)!r} is no address of the web.", hint="Give one with http:// or https://.")
    return parts


def path_of(parts: SplitResult) -> str:
    """What a request asks for: the path with its query."""
    path = quote(parts.path or "/", safe=_SAFE)
    return path + (f"?{quote(parts.query, safe=_SAFE + '?')}" if parts.query else "")


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


def allowed_addresses(parts: SplitResult, private: bool) -> list[str]:
    """The addresses of a name that may be asked.

    Args:
        private: also those that are not of the public internet, such as this machine and the local network.

    InvalidValueError where there is none. SaccadeError where the name is not known.
    """
    host = parts.hostname or ""
    addresses = _addresses(host, port_of(parts))
    allowed = [address for address in addresses if private or is_public(address)]
    if not allowed:
        raise InvalidValueError(
            f"{host} ({', '.join(addresses)}) is no address of the public internet.",
            hint="Where it is a server of your own: --private-network.",
        )
    return allowed


def port_of(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = f"The name {host!r} is not known: {error}."
        raise SaccadeError(reason, hint="Check the address and the network.") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def connection_to(
    parts: SplitResult, private: bool, silence: float, until: float = math.inf
) -> http.client.HTTPConnection:
    """A connection that stands, secure where the address begins with https.

    Args:
        private: as of :func:`allowed_addresses`, with its errors.
        silence: seconds that the other side may say nothing.
        until: the time of ``time.monotonic`` at which no further address is tried.

    UnreachableError where nobody answers. SaccadeError where the connection is not secure.
    """
    host, port = parts.hostname or "", port_of(parts)
    connection = http.client.HTTPConnection(host, port, timeout=silence)
    reason = f"{host} cannot be reached: it took too long to find it."
    for address in allowed_addresses(parts, private):
        patience = min(silence, until - time.monotonic())
        if patience <= 0:
            break
        try:
            plain = socket.create_connection((address, port), timeout=patience)
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
    raise UnreachableError(reason)
