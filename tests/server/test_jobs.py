"""HTTP API: jobs, uploads and import folders."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.conftest import ServerHarness, error_of

from saccade.app.ingest.uploads import upload_source
from saccade.app.jobs.run_job import run
from saccade.core.roles import Role
from saccade.runtime.process import lease_owner_id
from saccade.server.app import create_app
from saccade.server.permissions import API


def pack(files: dict[str, bytes]) -> bytes:
    """Encode files as the body of an upload request."""
    headers = ((json.dumps({"name": name, "size": len(data)}).encode() + b"\n", data) for name, data in files.items())
    return b"".join(part for pair in headers for part in pair)


def send(client: Any, upload: str, body: bytes) -> Any:
    return client.post(f"{API}/uploads/{upload}/files", content=body)


def process_jobs(server: ServerHarness) -> None:
    """Run all queued jobs in this process."""
    while (job := server.workspace.jobs.claim(lease_owner_id())) is not None:
        run(server.workspace, job, lease_owner_id())
    server.workspace.runs.job_id = None


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"labels.json": b'[{"a": 1'}, "labels.json is not valid JSON"),
        ({"a/labels.json": b'{"images": [{"id": 1'}, "labels.json is not valid JSON"),
        ({"a/notes.bin": b"x"}, "No format matches"),
    ],
)
def test_errors_do_not_show_where_the_server_keeps_uploads(
    server: ServerHarness, files: dict[str, bytes], message: str
) -> None:
    manager = server.signed_in(Role.MANAGER)
    upload = manager.post(f"{API}/uploads").json()["id"]
    send(manager, upload, pack(files))
    body = {"kind": "import", "parameters": {"source": {"upload": upload}, "dataset": "sent"}}
    job = manager.post(f"{API}/jobs", json=body).json()
    process_jobs(server)
    failed = manager.get(f"{API}/jobs/{job['id']}").json()
    log = manager.get(f"{API}/jobs/{job['id']}/log").text
    assert failed["state"] == "failed"
    assert message in failed["error"]
    for text in (json.dumps(failed), log):
        assert str(server.workspace.location) not in text
        assert "uploads/" not in text


def test_uploaded_files_are_imported(server: ServerHarness, pictures: Path) -> None:
    manager = server.signed_in(Role.MANAGER)
    upload = manager.post(f"{API}/uploads").json()["id"]
    images = {f"photos/{entry.name}": entry.read_bytes() for entry in (pictures / "images").iterdir()}
    assert send(manager, upload, pack(images)).json() == {"files": len(images)}
    assert send(manager, upload, pack(images)).json() == {"files": len(images)}, "sending them again is harmless"
    assert manager.get(f"{API}/uploads/{upload}").json()["files"] == len(images)
    body = {"kind": "import", "parameters": {"source": {"upload": upload}, "dataset": "sent"}}
    first = manager.post(f"{API}/jobs", json=body, headers={"Idempotency-Key": "one"})
    again = manager.post(f"{API}/jobs", json=body, headers={"Idempotency-Key": "one"})
    assert first.json()["id"] == again.json()["id"]
    other = manager.post(f"{API}/jobs", json={**body, "kind": "inspect-source"}, headers={"Idempotency-Key": "one"})
    assert other.status_code in (409, 422)
    process_jobs(server)
    job = manager.get(f"{API}/jobs/{first.json()['id']}").json()
    assert (job["state"], job["result"]["dataset"]) == ("finished", "sent@1"), job
    version = server.workspace.datasets.open("sent")
    assert sorted(version.read_media(item["image"]) for item in version.items()) == sorted(images.values())
    assert version.info.message == "import photos (images)"
    assert manager.get(f"{API}/uploads/{upload}").status_code == 404, "an imported upload is deleted"
    late = manager.post(f"{API}/jobs", json=body, headers={"Idempotency-Key": "one"})
    assert late.json()["id"] == job["id"], "a retry returns the job even if the upload is gone"
    events = manager.get(f"{API}/jobs/{job['id']}/events").text
    assert json.loads(events.removeprefix("data: "))["state"] == "finished"
    assert manager.get(f"{API}/jobs/{job['id']}/log").status_code == 200
    report = manager.get(f"{API}/jobs/{job['id']}/files/report.json")
    assert report.json()["counts"] == []


@pytest.mark.parametrize(
    "body",
    [
        pack({"../out.jpg": b"x"}),
        pack({"/etc/x": b"x"}),
        pack({"a/../../b": b"x"}),
        pack({"C:\\x": b"x"}),
        pack({"a\x00b": b"x"}),
        pack({"": b"x"}),
        pack({".": b"x"}),
        pack({"a": b"x", "a/b": b"y"}),
        pack({"a.jpg": b"x"})[:-1],
        b'{"name": "a", "size": -1}\n',
        b'{"name": "a", "size": 1e9}\nx',
        b'{"name": 1, "size": 1}\nx',
        b"[]\n",
        b"[" * 4000 + b"\n",
        b"x" * 10_000,
        b"no line",
    ],
)
def test_invalid_upload_bodies_are_refused(server: ServerHarness, body: bytes, tmp_path: Path) -> None:
    manager = server.signed_in(Role.MANAGER)
    upload = manager.post(f"{API}/uploads").json()["id"]
    before = {entry for entry in tmp_path.rglob("*") if "uploads" not in entry.parts and "catalog" not in entry.name}
    answer = send(manager, upload, body)
    assert (answer.status_code, error_of(answer)) == (422, "invalid-value")
    after = {entry for entry in tmp_path.rglob("*") if "uploads" not in entry.parts and "catalog" not in entry.name}
    assert after <= before | {entry for entry in after if "tmp" in entry.relative_to(tmp_path).parts}


@pytest.mark.slow
@given(
    st.dictionaries(st.text("abcäö .-_/", min_size=1, max_size=12), st.binary(max_size=300), max_size=8),
    st.integers(1, 64),
)
def test_upload_bodies_are_parsed_in_chunks_of_any_size(files: dict[str, bytes], chunk_size: int) -> None:
    import asyncio
    import tempfile
    from collections.abc import AsyncIterator
    from concurrent.futures import ThreadPoolExecutor

    from saccade.app.ingest.uploads import create_upload, receive_files
    from saccade.core.errors import InvalidValueError
    from saccade.formats._common.paths import normalize_path
    from saccade.store.workspace import Workspace

    body = pack(files)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), chunk_size):
            yield body[start : start + chunk_size]

    with tempfile.TemporaryDirectory() as folder, Workspace.create(folder) as workspace:
        upload = create_upload(workspace, "user")
        try:
            with ThreadPoolExecutor(1) as thread:  # this thread may have an event loop of another test
                count = thread.submit(asyncio.run, receive_files(workspace, upload.id, chunks())).result()
        except InvalidValueError:
            names = [normalize_path(name) for name in files]
            climbs = any(".." in name.split("/") or name.startswith("/") for name in files)
            clash = any(name != other and other.startswith(f"{name}/") for name in names for other in names)
            assert climbs or clash or "" in names
            return
        assert count == len(files)
        folder_of_files = workspace.jobs_dir / "uploads" / upload.id / "files"
        for name, data in {normalize_path(name): data for name, data in files.items()}.items():
            assert (folder_of_files / name).read_bytes() == data


def test_uploads_belong_to_their_user(server: ServerHarness) -> None:
    owner, other = server.signed_in(Role.MANAGER, "one@example.org"), server.signed_in(Role.MANAGER, "two@example.org")
    upload = owner.post(f"{API}/uploads").json()["id"]
    send(owner, upload, pack({"a.jpg": b"x"}))
    assert other.get(f"{API}/uploads/{upload}").status_code == 404
    assert send(other, upload, pack({"a.jpg": b"y"})).status_code == 404
    assert other.delete(f"{API}/uploads/{upload}").status_code == 404
    body = {"kind": "inspect-source", "parameters": {"source": {"upload": upload}}}
    assert other.post(f"{API}/jobs", json=body).status_code == 404
    assert upload_source(server.workspace, upload).joinpath("a.jpg").read_bytes() == b"x"
    for wrong in ("x" * 32, "%2e%2e", "0" * 31):
        assert owner.get(f"{API}/uploads/{wrong}").status_code in (404, 405)
    assert owner.delete(f"{API}/uploads/{upload}").status_code == 204


def test_only_allowed_folders_are_read(server: ServerHarness, pictures: Path, tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "photos").mkdir()
    (allowed / "way-out").symlink_to("/etc")
    server.app = create_app(server.workspace, import_roots=(allowed,))
    manager = server.signed_in(Role.MANAGER)
    assert manager.get(f"{API}/folders").json()["folders"] == [str(allowed)]
    listed = manager.get(f"{API}/folders", params={"path": str(allowed)}).json()
    assert listed["folders"] == [str(allowed / "photos"), str(allowed / "way-out")]
    for wrong in ("/etc", f"{allowed}/../", f"{allowed}/way-out", "photos", "", "\x00", f"{allowed}x"):
        assert manager.get(f"{API}/folders", params={"path": wrong}).status_code == 403, wrong
        body = {"kind": "import", "parameters": {"source": {"folder": wrong}, "dataset": "d"}}
        assert manager.post(f"{API}/jobs", json=body).status_code == 403, wrong
    good = {"kind": "inspect-source", "parameters": {"source": {"folder": str(allowed / "photos")}}}
    assert manager.post(f"{API}/jobs", json=good).status_code == 201


def test_only_output_files_of_a_job_are_served(server: ServerHarness) -> None:
    manager = server.signed_in(Role.MANAGER)
    body = {"kind": "export", "parameters": {"dataset": "harbour", "format": "coco"}}
    job = manager.post(f"{API}/jobs", json=body).json()
    process_jobs(server)
    name = manager.get(f"{API}/jobs/{job['id']}").json()["result"]["file"]
    answer = manager.get(f"{API}/jobs/{job['id']}/files/{name}")
    assert answer.content[:2] == b"PK"
    assert "attachment" in answer.headers["content-disposition"]
    for wrong in ("log.txt", "..%2Flog.txt", "%2e%2e", "other"):
        assert manager.get(f"{API}/jobs/{job['id']}/files/{wrong}").status_code == 404
    assert manager.get(f"{API}/jobs/nothing/files/{name}").status_code == 404


def test_cancel_and_retry(server: ServerHarness) -> None:
    manager = server.signed_in(Role.MANAGER)
    body = {"kind": "export", "parameters": {"dataset": "harbour", "format": "coco"}}
    job = manager.post(f"{API}/jobs", json=body).json()
    assert manager.post(f"{API}/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    assert manager.post(f"{API}/jobs/{job['id']}/cancel").status_code == 409
    again = manager.post(f"{API}/jobs/{job['id']}/retry")
    assert (again.status_code, again.json()["state"]) == (201, "queued")
    assert [entry["id"] for entry in manager.get(f"{API}/jobs").json()["jobs"]] == [again.json()["id"], job["id"]]
    viewer = server.signed_in(Role.VIEWER)
    assert viewer.post(f"{API}/jobs", json=body).status_code == 403


def test_export_jobs_with_an_invalid_query_are_refused(server: ServerHarness) -> None:
    manager = server.signed_in(Role.MANAGER)
    body = {"kind": "export", "parameters": {"dataset": "harbour", "format": "coco", "where": 'clas == "ship"'}}
    refused = manager.post(f"{API}/jobs", json=body)
    assert (refused.status_code, error_of(refused)) == (422, "query")
    assert "clas" in refused.json()["error"]["message"]
    assert manager.get(f"{API}/jobs").json()["jobs"] == []


@pytest.mark.slow
def test_body_limit_does_not_apply_to_uploads(server: ServerHarness) -> None:
    manager = server.signed_in(Role.MANAGER)
    large = b"x" * (4 << 20) + b"xx"
    assert manager.post(f"{API}/jobs", content=large).status_code == 413
    upload = manager.post(f"{API}/uploads").json()["id"]
    assert send(manager, upload, pack({"large.bin": large})).json() == {"files": 1}


class InternalServer(BaseHTTPRequestHandler):
    """A server in the private network that responds with a secret."""

    requested: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.requested.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"secret")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.slow
def test_private_addresses_are_not_downloaded(server: ServerHarness) -> None:
    """URLs are downloaded from the public internet only, in any notation of a private address."""
    manager = server.signed_in(Role.MANAGER)
    with ThreadingHTTPServer(("127.0.0.1", 0), InternalServer) as internal:
        threading.Thread(target=internal.serve_forever, daemon=True).start()
        port = internal.server_port
        hosts = ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"]
        addresses = [f"http://{host}:{port}/a.zip" for host in hosts]
        addresses += [
            "http://169.254.169.254/latest/meta-data",
            "http://10.0.0.1/a.zip",
            f"http://a@127.0.0.1:{port}/a.zip",
        ]
        for address in addresses:
            for kind in ("inspect-source", "import"):
                into = {} if kind == "inspect-source" else {"dataset": "inside"}
                body = {"kind": kind, "parameters": {"source": {"url": address}, **into}}
                created = manager.post(f"{API}/jobs", json=body)
                assert created.status_code in (201, 422), (address, created.text)
        process_jobs(server)
        internal.shutdown()
    jobs = manager.get(f"{API}/jobs").json()["jobs"]
    assert {entry["state"] for entry in jobs} == {"failed"}
    assert all(entry["error"] and "secret" not in json.dumps(entry) for entry in jobs)
    assert InternalServer.requested == []
    for wrong in ("file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/", "/etc/passwd"):
        body = {"kind": "inspect-source", "parameters": {"source": {"url": wrong}}}
        assert manager.post(f"{API}/jobs", json=body).status_code == 422


PIPELINE = """
name: few
vars: {least: 1}
steps:
  data: {use: dataset, with: {name: harbour}}
  some: {use: filter, from: data, with: {where: "len(objects) >= ${least}"}}
  inner: {use: inner.yaml, from: some}
"""
INNER = """
inputs: [data]
steps:
  kept: {use: materialise, from: data, with: {name: few}}
"""


@pytest.mark.slow
def test_pipeline_jobs(server: ServerHarness) -> None:
    manager = server.signed_in(Role.MANAGER)
    parameters = {"pipeline": PIPELINE, "files": {"inner.yaml": INNER}, "variables": {"least": 2}}
    created = manager.post(f"{API}/jobs", json={"kind": "pipeline", "parameters": parameters})
    assert (created.status_code, created.json()["title"]) == (201, "Run few"), created.text
    process_jobs(server)
    job = manager.get(f"{API}/jobs/{created.json()['id']}").json()
    assert job["state"] == "finished", job
    expected = server.workspace.datasets.open("harbour").where("len(objects) >= 2")
    assert server.workspace.datasets.open("few").keys() == expected
    assert server.workspace.runs.get(job["result"]["run"]).kind == "pipeline"


def one_step(use: str, **parameters: Any) -> str:
    return json.dumps({"steps": {"one": {"use": use, "with": parameters}}})


@pytest.mark.parametrize(
    ("text", "files"),
    [
        (one_step("steps.py:run"), {}),
        (one_step("/etc/steps.py:run"), {}),
        (one_step("../other.yaml"), {}),
        (one_step("/etc/other.yaml"), {}),
        (one_step("${x}"), {}),
        (one_step("pipeline.yaml"), {}),
        (one_step("nothing"), {}),
        (one_step("inner.yaml"), {"inner.yaml": one_step("steps.py:run")}),
        (one_step("dataset", name="harbour"), {"steps.py": "import os"}),
        (one_step("dataset", name="harbour"), {"../a.yaml": "x"}),
        (one_step("dataset", name="harbour"), {"a/b.yaml": "x"}),
        ("steps: [", {}),
        ("a: &a [*a]", {"x.yaml": "!!python/object/apply:os.system [ls]"}),
    ],
)
def test_pipelines_with_external_code_are_refused(server: ServerHarness, text: str, files: dict[str, str]) -> None:
    manager = server.signed_in(Role.MANAGER)
    created = manager.post(f"{API}/jobs", json={"kind": "pipeline", "parameters": {"pipeline": text, "files": files}})
    assert created.status_code == 422, created.text
    assert server.workspace.jobs.list() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        one_step("import", source="/etc", dataset="x"),
        one_step("import", source="../../..", dataset="x"),
        one_step("import", source="${place}", dataset="x"),
        json.dumps(
            {
                "steps": {
                    "data": {"use": "dataset", "with": {"name": "harbour"}},
                    "out": {"use": "export", "from": "data", "with": {"destination": "/tmp/out", "format": "coco"}},
                }
            }
        ),
        json.dumps(
            {
                "steps": {
                    "data": {"use": "dataset", "with": {"name": "harbour"}},
                    "learn": {"use": "train", "from": "data", "with": {"recipe": "/etc/passwd"}},
                }
            }
        ),
    ],
)
def test_pipelines_cannot_access_files_of_the_server(server: ServerHarness, text: str, tmp_path: Path) -> None:
    manager = server.signed_in(Role.MANAGER)
    pipeline = {**json.loads(text), "vars": {"place": str(tmp_path)}}
    created = manager.post(f"{API}/jobs", json={"kind": "pipeline", "parameters": {"pipeline": json.dumps(pipeline)}})
    assert created.status_code == 201, created.text
    process_jobs(server)
    job = manager.get(f"{API}/jobs/{created.json()['id']}").json()
    assert (job["state"], "one of the files of this request" in job["error"]) == ("failed", True), job
    assert [entry.name for entry in server.workspace.datasets.list()] == ["harbour"]
