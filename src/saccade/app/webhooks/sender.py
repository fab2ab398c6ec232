"""Sender of webhook deliveries: takes them from the delivery queue and posts them to their URLs."""

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

from saccade.app.net.safe_http import connect, parse_http_url, request_target
from saccade.core.errors import SaccadeError
from saccade.core.webhooks.signing import signature_headers
from saccade.runtime.process import lease_owner_id
from saccade.store.webhooks.delivery_queue import ClaimedDelivery, DeliveryResult
from saccade.store.workspace import Workspace

_POLL_INTERVAL_S = 0.5
_GONE = 410
_RETRY_AFTER_STATUSES = (429, 503)
_RETRY_PAUSE_S = 0.5
_MAX_RECORD_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """Limits of one attempt.

    Attributes:
        timeout_s: Seconds from resolving the host name to the end of the response.
        max_response_bytes: The number of bytes of the response body that are read. The body is discarded.
    """

    timeout_s: float = 10.0
    max_response_bytes: int = 1 << 14


DELIVERY_LIMITS = DeliveryLimits()


def send_once(
    delivery: ClaimedDelivery, *, allow_private: bool = False, limits: DeliveryLimits = DELIVERY_LIMITS
) -> DeliveryResult:
    """Attempt a delivery once. Redirects are not followed, and errors are part of the result.

    Args:
        delivery: The delivery.
        allow_private: Also send to addresses that are not public.
        limits: Limits of time and size.
    """
    started = time.monotonic()
    status: int | None = None
    error = ""
    retry_after = timedelta()
    try:
        url_parts = parse_http_url(delivery.url)
        deadline = started + limits.timeout_s
        status, reason, header = _post(delivery, url_parts, allow_private, limits, deadline)
        if not 200 <= status < 300:
            error = f"The response was {status} {reason}".strip() + "."
            if status in _RETRY_AFTER_STATUSES:
                retry_after = parse_retry_after(header)
    except SaccadeError as failure:
        error = failure.message
    except (OSError, http.client.HTTPException, ValueError) as failure:
        error = f"No response: {failure or type(failure).__name__}."
    duration = time.monotonic() - started
    if status is None and duration >= limits.timeout_s:
        error = f"No response within {limits.timeout_s:g} seconds."
    return DeliveryResult(status, error[:500], round(1000 * duration), is_gone=status == _GONE, retry_after=retry_after)


def parse_retry_after(header: str) -> timedelta:
    """Parse a ``Retry-After`` header (RFC 9110, 10.2.3): seconds or a date. Returns zero if it is neither."""
    text = header.strip()
    try:
        if text.isascii() and text.isdecimal():
            return timedelta(seconds=int(text))
        date = parsedate_to_datetime(text)
        return max(timedelta(), (date if date.tzinfo else date.replace(tzinfo=UTC)) - datetime.now(UTC))
    except (ValueError, OverflowError):
        return timedelta()


def _post(
    delivery: ClaimedDelivery, parts: SplitResult, allow_private: bool, limits: DeliveryLimits, deadline: float
) -> tuple[int, str, str]:
    """Return the status, the reason phrase and the Retry-After header of the response."""
    with closing(connect(parts, allow_private, limits.timeout_s, deadline)) as connection:
        # A socket timeout starts again with every byte; the timer bounds the whole exchange.
        timer = threading.Timer(max(0.0, deadline - time.monotonic()), _abort_socket, [connection.sock])
        timer.daemon = True
        timer.start()
        try:
            body = delivery.body.encode()
            headers = {
                "Content-Type": "application/json",
                "User-Agent": "saccade",
                **signature_headers(delivery.secrets, delivery.delivery_id, int(time.time()), body),
            }
            connection.request("POST", request_target(parts), body, headers)
            with closing(connection.getresponse()) as response:
                if time.monotonic() >= deadline:  # headers that were cut off look as if they had ended
                    raise TimeoutError
                # Only the status counts: a body that breaks off does not make the delivery fail.
                with suppress(OSError, http.client.HTTPException, ValueError):
                    response.read(limits.max_response_bytes)
                return response.status, response.reason[:100], response.getheader("Retry-After", "")[:100]
        finally:
            timer.cancel()


def _abort_socket(connection: socket.socket) -> None:
    with suppress(OSError):
        # The plain socket's shutdown: that of TLS would wait for the other side.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class WebhookSender:
    """Sends the due deliveries of a workspace in background threads, from :meth:`start` until :meth:`stop`.

    Args:
        workspace: The workspace.
        allow_private: Also send to addresses that are not public.
        concurrency: The number of deliveries that are sent at once.
        limits: Limits of each attempt.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        allow_private: bool = False,
        concurrency: int = 4,
        limits: DeliveryLimits = DELIVERY_LIMITS,
    ) -> None:
        self._queue = workspace.delivery_queue
        self._allow_private = allow_private
        self._limits = limits
        self._owner_id = lease_owner_id()
        self._slots = threading.Semaphore(concurrency)
        self._concurrency = concurrency
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="saccade-webhooks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Start no further deliveries."""
        self._stopped.set()

    def join(self, seconds: float) -> None:
        """Wait for deliveries in progress. Another sender repeats those that do not finish in time."""
        deadline = time.monotonic() + seconds
        self._thread.join(seconds)
        for _ in range(self._concurrency):
            self._slots.acquire(timeout=max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        pause = 0.0
        while not self._stopped.wait(pause):
            self._slots.acquire()
            delivery = None
            with suppress(SaccadeError):  # the database may be busy or unreachable for a moment
                delivery = self._queue.claim(self._owner_id) if self._queue.has_due() else None
            if delivery is None:
                self._slots.release()
            else:
                threading.Thread(target=self._send, args=[delivery], name="saccade-webhook", daemon=True).start()
            pause = _POLL_INTERVAL_S if delivery is None else 0.0

    def _send(self, delivery: ClaimedDelivery) -> None:
        try:
            result = send_once(delivery, allow_private=self._allow_private, limits=self._limits)
            for _ in range(_MAX_RECORD_ATTEMPTS):
                with suppress(SaccadeError):
                    self._queue.finish(delivery, result)
                    return
                time.sleep(_RETRY_PAUSE_S)
        finally:
            self._slots.release()
