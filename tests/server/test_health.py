"""HTTP API: the health check, which monitors ask while the server is busy."""

from __future__ import annotations

import threading

import anyio
import httpx
from anyio.to_thread import current_default_thread_limiter, run_sync
from tests.server.conftest import ServerHarness

from saccade.server.permissions import API


def test_health_does_not_wait_for_a_worker_thread(server: ServerHarness) -> None:
    """Uploads, pages of items and other requests may occupy all threads for seconds."""
    released = threading.Event()

    async def occupy_thread() -> None:
        await run_sync(released.wait)

    async def get_health() -> list[httpx.Response]:
        responses = []
        limiter = current_default_thread_limiter()
        limiter.total_tokens = 1
        transport = httpx.ASGITransport(server.app)
        async with (
            anyio.create_task_group() as tasks,
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client,
        ):
            tasks.start_soon(occupy_thread)
            while limiter.available_tokens:
                await anyio.sleep(0)
            try:
                with anyio.fail_after(30):
                    responses.append(await client.get(f"{API}/health"))
            finally:
                released.set()
        return responses

    [response] = anyio.run(get_health)
    assert (response.status_code, response.json()["status"]) == (200, "ok")
