"""What a server is told about its provider of single sign-on."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from saccade.core.errors import InvalidValueError
from saccade.core.roles import Role

SECRET = "SACCADE_OIDC_SECRET"  # noqa: S105 (the name of a variable of the environment, not what is in it)
_LONGEST = 255


@dataclass(frozen=True, slots=True)
class Settings:
    """A provider of single sign-on, and whom it lets in besides members and those who are invited.

    Attributes:
        issuer: its address, exactly as it calls itself.
        client: what it calls this server.
        secret: what this server shows it, "" where it wants none.
        name: what people know it by.
        role: what everybody becomes whom it knows; None where nobody comes in uninvited.
        domains: of the addresses for which that holds; all of them where it is empty.
    """

    issuer: str
    client: str
    secret: str = field(repr=False)
    name: str
    role: Role | None
    domains: tuple[str, ...]


def settings_of(
    issuer: str,
    client: str,
    *,
    secret_file: Path | None = None,
    name: str = "",
    role: Role | None = None,
    domains: Sequence[str] = (),
) -> Settings:
    """The settings of a provider; InvalidValueError where they cannot be right."""
    parts = urlsplit(check_address(issuer, "The provider"))
    if len(issuer) > _LONGEST or parts.query or parts.fragment:
        raise InvalidValueError(f"'{issuer[:100]}' is no issuer: it is too long, or has '?' or '#' in it.")
    if not client:
        raise InvalidValueError("The provider has no name for this server.", hint="Give it: --oidc-client ID")
    if role is Role.OWNER:
        raise InvalidValueError("Everybody of the provider would be an owner.", hint="Give a smaller --oidc-role.")
    if domains and role is None:
        raise InvalidValueError("--oidc-domain says for whom --oidc-role is.", hint="Give --oidc-role too.")
    wanted = tuple(one.strip().lower().lstrip("@") for one in domains)
    if not all(one and one.isascii() and "@" not in one for one in wanted):
        raise InvalidValueError(f"{', '.join(domains)}: a domain is as example.org.")
    return Settings(issuer, client, _secret(secret_file), name.strip() or parts.hostname or issuer, role, wanted)


def check_address(url: object, what: str) -> str:
    """An address that may be asked: encrypted, or of this machine; InvalidValueError for any other."""
    try:
        parts = urlsplit(str(url))
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_here(str(url)))
        is_right = is_safe and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        is_right = False
    if not isinstance(url, str) or not is_right or not url.isascii() or any(ord(char) <= 32 for char in url):
        raise InvalidValueError(f"{what} is at no address with https://: {str(url)[:100]!a}.")
    return url


def is_here(url: str) -> bool:
    """Whether an address is one of this machine alone."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _secret(file: Path | None) -> str:
    """The secret, from a file or the environment; out of which it is taken, since jobs and their steps can read it."""
    given = os.environ.pop(SECRET, "")
    if file is None:
        return given.strip()
    try:
        found = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"The secret in '{file}' cannot be read: {error}.") from error
    if not found:
        raise InvalidValueError(f"There is no secret in '{file}'.")
    return found
