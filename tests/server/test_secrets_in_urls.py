"""Credentials in the URLs of imports: only the worker has them, and only until the job ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from tests.server.conftest import ServerHarness, error_of
from tests.server.test_jobs import process_jobs

from saccade.app.ingest.importing import import_dataset
from saccade.app.jobs.run_job import job_dir
from saccade.core.errors import NotFoundError
from saccade.core.roles import Role
from saccade.server.permissions import API
from saccade.store.catalog.tables import JobRow

SECRETS = ("Ann-User", "s3cr3t-Pass", "SIGNATURE-VALUE")
URL = "https://Ann-User:s3cr3t-Pass@files.invalid/folder/harbour.zip?X-Amz-Signature=SIGNATURE-VALUE"


def assert_no_secrets(text: str) -> None:
    assert not [secret for secret in SECRETS if secret.lower() in text.lower()], text


class Files(BaseHTTPRequestHandler):
    """A server that records the credentials of requests, and refuses them."""

    credentials: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.credentials.append(f"{self.headers['Authorization']} {self.path}")
        self.send_response(403)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def file_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def stored_secrets(server: ServerHarness, job_id: str) -> Any:
    with server.workspace.catalog.read_tx() as session:
        return session.get_one(JobRow, job_id).secret_parameters


def test_answers_hide_the_credentials_of_a_job(server: ServerHarness) -> None:
    manager, viewer, owner = (server.signed_in(role) for role in (Role.MANAGER, Role.VIEWER, Role.OWNER))
    body = {"kind": "import", "parameters": {"source": {"url": URL}, "dataset": "in"}}
    created = manager.post(f"{API}/jobs", json=body, headers={"Idempotency-Key": "one"})
    again = manager.post(f"{API}/jobs", json=body, headers={"Idempotency-Key": "one"})
    assert (created.status_code, again.json()["id"]) == (201, created.json()["id"])
    job = created.json()
    assert job["parameters"]["source"]["url"] == "https://files.invalid/folder/harbour.zip?…"
    pipeline = json.dumps({"steps": {"a": {"use": "import", "with": {"source": URL, "dataset": "x"}}}})
    other = {"kind": "plan", "parameters": {"pipeline": pipeline, "variables": {"place": URL}}}
    assert manager.post(f"{API}/jobs", json=other).status_code == 201
    full = server.workspace.jobs.get_unscoped(job["id"]).parameters
    assert full["source"]["url"] == URL, "the worker gets it"
    assert_no_secrets(json.dumps(dict(server.workspace.jobs.get(job["id"]).parameters)))
    process_jobs(server)
    for client in (manager, viewer, owner):
        assert_no_secrets(created.text + client.get(f"{API}/jobs").text + client.get(f"{API}/runs").text)
        for entry in client.get(f"{API}/jobs").json()["jobs"]:
            assert entry["state"] == "failed", entry
            assert_no_secrets(client.get(f"{API}/jobs/{entry['id']}/events").text)
            if client is not viewer:
                assert_no_secrets(client.get(f"{API}/jobs/{entry['id']}/log").text)
            for path in job_dir(server.workspace, entry["id"]).rglob("*"):
                assert_no_secrets(path.read_text("utf-8") if path.is_file() else "")
    assert_no_secrets(owner.get(f"{API}/audit").text)
    assert stored_secrets(server, job["id"]) is None, "deleted when the job ended"


def test_a_queued_job_keeps_its_credentials_and_a_retry_needs_them_again(server: ServerHarness) -> None:
    manager = server.signed_in(Role.MANAGER)
    body = {"kind": "inspect-source", "parameters": {"source": {"url": URL}}}
    job = manager.post(f"{API}/jobs", json=body).json()["id"]
    claimed = server.workspace.jobs.claim("worker")
    assert claimed is not None
    assert claimed.parameters["source"]["url"] == URL
    server.workspace.jobs.requeue(job, "worker", count_attempt=False)
    assert stored_secrets(server, job)["source"]["url"] == URL
    assert manager.post(f"{API}/jobs/{job}/cancel").status_code == 200
    assert stored_secrets(server, job) is None
    refused = manager.post(f"{API}/jobs/{job}/retry")
    assert (refused.status_code, error_of(refused)) == (409, "conflict")
    assert "credentials" in refused.json()["error"]["message"]
    plain = {"kind": "inspect-source", "parameters": {"source": {"url": "https://files.invalid/a.zip?download=1"}}}
    other = manager.post(f"{API}/jobs", json=plain).json()
    assert other["parameters"]["source"]["url"] == "https://files.invalid/a.zip?download=1"
    manager.post(f"{API}/jobs/{other['id']}/cancel")
    assert manager.post(f"{API}/jobs/{other['id']}/retry").status_code == 201


def test_jobs_of_earlier_versions_are_shown_without_credentials(server: ServerHarness) -> None:
    manager = server.signed_in(Role.MANAGER)
    body = {"kind": "inspect-source", "parameters": {"source": {"url": URL}}}
    job = manager.post(f"{API}/jobs", json=body).json()["id"]
    with server.workspace.catalog.write_tx() as session:  # as version 0.1.0 stored it
        row = session.get_one(JobRow, job)
        row.parameters = dict(row.secret_parameters or {})
        row.secret_parameters = None
        row.has_secrets = False
    assert_no_secrets(manager.get(f"{API}/jobs/{job}").text)
    assert server.workspace.jobs.get_unscoped(job).parameters["source"]["url"] == URL


def test_credentials_are_sent_but_not_recorded(server: ServerHarness, file_server: str) -> None:
    """A failed import from the command line is recorded as a run."""
    url = f"http://Ann-User:s3cr3t-Pass@{file_server}/a.zip?sig=SIGNATURE-VALUE"
    with pytest.raises(NotFoundError) as caught:
        import_dataset(server.workspace, url, "in", private_network=True)
    assert Files.credentials == ["Basic QW5uLVVzZXI6czNjcjN0LVBhc3M= /a.zip?sig=SIGNATURE-VALUE"]
    assert_no_secrets(str(caught.value))
    run = server.workspace.runs.start("import", "in", {"source": f"s3://KEY:{SECRETS[1]}@bucket/a"})
    server.workspace.runs.finish(run.id, "failed", error=f"'{url}' failed")
    owner = server.signed_in(Role.OWNER)
    assert_no_secrets(owner.get(f"{API}/runs/{run.id}").text)
