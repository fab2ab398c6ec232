"""Sending to webhooks what they are to be told: from the outbox of the store to addresses elsewhere."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult

from saccade.app.net.safe_http import checked, connection_to, path_of
from saccade.core.errors import SaccadeError
from saccade.core.webhooks.signing import signed_headers
from saccade.store.io.process import process_identity
from saccade.store.webhooks.delivery_queue import Outcome, Sending
from saccade.store.workspace import Workspace

_PAUSE = 0.5
_GONE = 410
_ASKS_TO_WAIT = (429, 503)
_HOLD, _TRIES = 0.5, 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one delivery may cost.

    Attributes:
        seconds: from looking up the name to the end of the answer.
        bytes: of the answer that are read; what it says is not kept.
    """

    seconds: float = 10.0
    bytes: int = 1 << 14


LIMITS = Limits()


def deliver(sending: Sending, *, private: bool = False, limits: Limits = LIMITS) -> Outcome:
    """Send an event once, and say how that went; redirects are not followed.

    Args:
        private: also to addresses that are not of the public internet.
    """
    began = time.monotonic()
    status: int | None = None
    error, wait = "", timedelta()
    try:
        status, reason, after = _sent(sending, checked(sending.url), private, limits, began + limits.seconds)
        if not 200 <= status < 300:
            error = f"The answer was {status} {reason}".strip() + "."
            wait = asked_wait(after) if status in _ASKS_TO_WAIT else wait
    except SaccadeError as problem:
        error = problem.message
    except (OSError, http.client.HTTPException, ValueError) as problem:
        error = f"There was no answer: {problem or type(problem).__name__}."
    took = time.monotonic() - began
    if status is None and took >= limits.seconds:
        error = f"There was no answer within {limits.seconds:g} seconds."
    return Outcome(status, error[:500], round(1000 * took), is_gone=status == _GONE, wait=wait)


def asked_wait(after: str) -> timedelta:
    """How long a ``Retry-After`` (RFC 9110, 10.2.3) asks to wait: seconds or a time; nothing where it is neither."""
    said = after.strip()
    try:
        if said.isascii() and said.isdecimal():
            return timedelta(seconds=int(said))
        until = parsedate_to_datetime(said)
        return max(timedelta(), (until if until.tzinfo else until.replace(tzinfo=UTC)) - datetime.now(UTC))
    except (ValueError, OverflowError):
        return timedelta()


def _sent(sending: Sending, parts: SplitResult, private: bool, limits: Limits, until: float) -> tuple[int, str, str]:
    with closing(connection_to(parts, private, limits.seconds, until)) as connection:
        # A socket's own patience begins anew with every byte.
        watch = threading.Timer(max(0.0, until - time.monotonic()), _cut, [connection.sock])
        watch.daemon = True
        watch.start()
        try:
            body = sending.body.encode()
            headers = {
                "Content-Type": "application/json",
                "User-Agent": "saccade",
                **signed_headers(sending.secrets, sending.delivery, int(time.time()), body),
            }
            connection.request("POST", path_of(parts), body, headers)
            with closing(connection.getresponse()) as answer:
                if time.monotonic() >= until:  # what was cut off looks as if its headers had ended
                    raise TimeoutError
                with suppress(OSError, http.client.HTTPException, ValueError):  # its number is what counts
                    answer.read(limits.bytes)
                return answer.status, answer.reason[:100], answer.getheader("Retry-After", "")[:100]
        finally:
            watch.cancel()


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # not TLS's own, which would wait for the other side


class Deliverer:
    """Sends what the webhooks of a workspace are to be told, to several of them at once, until :meth:`stop`."""

    def __init__(
        self, workspace: Workspace, *, private: bool = False, at_once: int = 4, limits: Limits = LIMITS
    ) -> None:
        self._outbox, self._private, self._limits = workspace.outbox, private, limits
        self._identity = process_identity()
        self._hands = threading.Semaphore(at_once)
        self._at_once = at_once
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="saccade-webhooks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing more."""
        self._ended.set()

    def join(self, seconds: float) -> None:
        """Wait for what is under way; what is not done by then, others send again."""
        until = time.monotonic() + seconds
        self._thread.join(seconds)
        for _ in range(self._at_once):
            self._hands.acquire(timeout=max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        pause = 0.0
        while not self._ended.wait(pause):
            self._hands.acquire()
            sending = None
            with suppress(SaccadeError):  # a database that is busy or away for a moment
                sending = self._outbox.claim(self._identity) if self._outbox.is_due() else None
            if sending is None:
                self._hands.release()
            else:
                threading.Thread(target=self._send, args=[sending], name="saccade-webhook", daemon=True).start()
            pause = _PAUSE if sending is None else 0.0

    def _send(self, sending: Sending) -> None:
        try:
            outcome = deliver(sending, private=self._private, limits=self._limits)
            for _ in range(_TRIES):
                with suppress(SaccadeError):
                    self._outbox.finish(sending, outcome)
                    return
                time.sleep(_HOLD)
        finally:
            self._hands.release()
