"""Jobs, uploads and folders by HTTP: what is taken, from whom, and what is refused."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.conftest import Site, error_of

from saccade.app.ingest.uploads import source_of
from saccade.app.jobs.run_job import do
from saccade.core.roles import Role
from saccade.server.app import create_app
from saccade.server.permissions import API
from saccade.store.io.process import process_identity


def packed(files: dict[str, bytes]) -> bytes:
    heads = ((json.dumps({"name": name, "size": len(data)}).encode() + b"\n", data) for name, data in files.items())
    return b"".join(part for pair in heads for part in pair)


def send(client: Any, upload: str, body: bytes) -> Any:
    return client.post(f"{API}/uploads/{upload}/files", content=body)


def work(site: Site) -> None:
    """Do what waits, in this process."""
    while (job := site.workspace.jobs.claim(process_identity())) is not None:
        do(site.workspace, job, process_identity())
    site.workspace.runs.job = None


def test_files_that_are_sent_are_imported(site: Site, pictures: Path) -> None:
    manager = site.signed_in(Role.MANAGER)
    upload = manager.post(f"{API}/uploads").json()["id"]
    images = {f"photos/{one.name}": one.read_bytes() for one in (pictures / "images").iterdir()}
    assert send(manager, upload, packed(images)).json() == {"files": len(images)}
    assert send(manager, upload, packed(images)).json() == {"files": len(images)}, "sent again, they are the same"
    assert manager.get(f"{API}/uploads/{upload}").json()["files"] == len(images)
    body = {"kind": "import", "parameters": {"source": {"upload": upload}, "dataset": "sent"}}
    first = manager.post(f"{API}/jobs", json=body, headers={"Idempotency-Key": "one"})
    again = manager.post(f"{API}/jobs", json=body, headers={"Idempotency-Key": "one"})
    assert first.json()["id"] == again.json()["id"]
    other = manager.post(f"{API}/jobs", json={**body, "kind": "look"}, headers={"Idempotency-Key": "one"})
    assert other.status_code in (409, 422)
    work(site)
    job = manager.get(f"{API}/jobs/{first.json()['id']}").json()
    assert (job["state"], job["result"]["dataset"]) == ("finished", "sent@1"), job
    version = site.workspace.datasets.open("sent")
    assert sorted(version.read_media(item["image"]) for item in version.items()) == sorted(images.values())
    assert version.info.message == "import photos (images)"
    assert manager.get(f"{API}/uploads/{upload}").status_code == 404, "what was imported is kept once"
    late = manager.post(f"{API}/jobs", json=body, headers={"Idempotency-Key": "one"})
    assert late.json()["id"] == job["id"], "whoever never heard the answer may ask again, also when the upload is gone"
    told = manager.get(f"{API}/jobs/{job['id']}/events").text
    assert json.loads(told.removeprefix("data: "))["state"] == "finished"
    assert manager.get(f"{API}/jobs/{job['id']}/log").status_code == 200
    report = manager.get(f"{API}/jobs/{job['id']}/files/report.json")
    assert report.json()["counts"] == []


@pytest.mark.parametrize(
    "body",
    [
        packed({"../out.jpg": b"x"}),
        packed({"/etc/x": b"x"}),
        packed({"a/../../b": b"x"}),
        packed({"C:\\x": b"x"}),
        packed({"a\x00b": b"x"}),
        packed({"": b"x"}),
        packed({".": b"x"}),
        packed({"a": b"x", "a/b": b"y"}),
        packed({"a.jpg": b"x"})[:-1],
        b'{"name": "a", "size": -1}\n',
        b'{"name": "a", "size": 1e9}\nx',
        b'{"name": 1, "size": 1}\nx',
        b"[]\n",
        b"[" * 4000 + b"\n",
        b"x" * 10_000,
        b"no line",
    ],
)
def test_files_that_are_no_files_are_refused(site: Site, body: bytes, tmp_path: Path) -> None:
    manager = site.signed_in(Role.MANAGER)
    upload = manager.post(f"{API}/uploads").json()["id"]
    before = {one for one in tmp_path.rglob("*") if "uploads" not in one.parts and "catalog" not in one.name}
    answer = send(manager, upload, body)
    assert (answer.status_code, error_of(answer)) == (422, "invalid-value")
    after = {one for one in tmp_path.rglob("*") if "uploads" not in one.parts and "catalog" not in one.name}
    assert after <= before | {one for one in after if "tmp" in one.relative_to(tmp_path).parts}


@pytest.mark.slow
@given(
    st.dictionaries(st.text("abcäö .-_/", min_size=1, max_size=12), st.binary(max_size=300), max_size=8),
    st.integers(1, 64),
)
def test_files_come_as_they_were_sent_in_pieces_of_any_size(files: dict[str, bytes], piece: int) -> None:
    import asyncio
    import tempfile
    from collections.abc import AsyncIterator
    from concurrent.futures import ThreadPoolExecutor

    from saccade.app.ingest.uploads import new_upload, receive
    from saccade.core.errors import InvalidValueError
    from saccade.formats._common.paths import normal
    from saccade.store.workspace import Workspace

    body = packed(files)

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), piece):
            yield body[at : at + piece]

    with tempfile.TemporaryDirectory() as folder, Workspace.create(folder) as workspace:
        upload = new_upload(workspace, "somebody")
        try:
            with ThreadPoolExecutor(1) as thread:  # in this one a browser of other tests may have a loop already
                count = thread.submit(asyncio.run, receive(workspace, upload.id, pieces())).result()
        except InvalidValueError:
            names = [normal(name) for name in files]
            climbs = any(".." in name.split("/") or name.startswith("/") for name in files)
            clash = any(one != other and other.startswith(f"{one}/") for one in names for other in names)
            assert climbs or clash or "" in names
            return
        assert count == len(files)
        place = workspace.left / "uploads" / upload.id / "files"
        for name, data in {normal(name): data for name, data in files.items()}.items():
            assert (place / name).read_bytes() == data


def test_what_somebody_sent_is_theirs(site: Site) -> None:
    one, other = site.signed_in(Role.MANAGER, "one@example.org"), site.signed_in(Role.MANAGER, "two@example.org")
    upload = one.post(f"{API}/uploads").json()["id"]
    send(one, upload, packed({"a.jpg": b"x"}))
    assert other.get(f"{API}/uploads/{upload}").status_code == 404
    assert send(other, upload, packed({"a.jpg": b"y"})).status_code == 404
    assert other.delete(f"{API}/uploads/{upload}").status_code == 404
    body = {"kind": "look", "parameters": {"source": {"upload": upload}}}
    assert other.post(f"{API}/jobs", json=body).status_code == 404
    assert source_of(site.workspace, upload).joinpath("a.jpg").read_bytes() == b"x"
    for wrong in ("x" * 32, "%2e%2e", "0" * 31):
        assert one.get(f"{API}/uploads/{wrong}").status_code in (404, 405)
    assert one.delete(f"{API}/uploads/{upload}").status_code == 204


def test_only_folders_that_the_server_allows_are_read(site: Site, pictures: Path, tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "photos").mkdir()
    (allowed / "way-out").symlink_to("/etc")
    site.app = create_app(site.workspace, folders=(allowed,))
    manager = site.signed_in(Role.MANAGER)
    assert manager.get(f"{API}/folders").json()["folders"] == [str(allowed)]
    inside = manager.get(f"{API}/folders", params={"path": str(allowed)}).json()
    assert inside["folders"] == [str(allowed / "photos"), str(allowed / "way-out")]
    for wrong in ("/etc", f"{allowed}/../", f"{allowed}/way-out", "photos", "", "\x00", f"{allowed}x"):
        assert manager.get(f"{API}/folders", params={"path": wrong}).status_code == 403, wrong
        body = {"kind": "import", "parameters": {"source": {"folder": wrong}, "dataset": "d"}}
        assert manager.post(f"{API}/jobs", json=body).status_code == 403, wrong
    good = {"kind": "look", "parameters": {"source": {"folder": str(allowed / "photos")}}}
    assert manager.post(f"{API}/jobs", json=good).status_code == 201


def test_files_of_a_job_are_its_results_alone(site: Site) -> None:
    manager = site.signed_in(Role.MANAGER)
    body = {"kind": "export", "parameters": {"dataset": "harbour", "format": "coco"}}
    job = manager.post(f"{API}/jobs", json=body).json()
    work(site)
    made = manager.get(f"{API}/jobs/{job['id']}").json()["result"]["file"]
    answer = manager.get(f"{API}/jobs/{job['id']}/files/{made}")
    assert answer.content[:2] == b"PK"
    assert "attachment" in answer.headers["content-disposition"]
    for wrong in ("log.txt", "..%2Flog.txt", "%2e%2e", "other"):
        assert manager.get(f"{API}/jobs/{job['id']}/files/{wrong}").status_code == 404
    assert manager.get(f"{API}/jobs/nothing/files/{made}").status_code == 404


def test_cancelling_and_trying_again(site: Site) -> None:
    manager = site.signed_in(Role.MANAGER)
    body = {"kind": "export", "parameters": {"dataset": "harbour", "format": "coco"}}
    job = manager.post(f"{API}/jobs", json=body).json()
    assert manager.post(f"{API}/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    assert manager.post(f"{API}/jobs/{job['id']}/cancel").status_code == 409
    again = manager.post(f"{API}/jobs/{job['id']}/retry")
    assert (again.status_code, again.json()["state"]) == (201, "queued")
    assert [one["id"] for one in manager.get(f"{API}/jobs").json()["jobs"]] == [again.json()["id"], job["id"]]
    viewer = site.signed_in(Role.VIEWER)
    assert viewer.post(f"{API}/jobs", json=body).status_code == 403


def test_an_export_of_what_a_wrong_query_shows_is_refused_at_once(site: Site) -> None:
    manager = site.signed_in(Role.MANAGER)
    body = {"kind": "export", "parameters": {"dataset": "harbour", "format": "coco", "where": 'clas == "ship"'}}
    refused = manager.post(f"{API}/jobs", json=body)
    assert (refused.status_code, error_of(refused)) == (422, "query")
    assert "clas" in refused.json()["error"]["message"]
    assert manager.get(f"{API}/jobs").json()["jobs"] == []


@pytest.mark.slow
def test_a_body_that_is_too_large_is_refused_but_for_uploads(site: Site) -> None:
    manager = site.signed_in(Role.MANAGER)
    large = b"x" * (1 << 20) + b"xx"
    assert manager.post(f"{API}/jobs", content=large).status_code == 413
    upload = manager.post(f"{API}/uploads").json()["id"]
    assert send(manager, upload, packed({"large.bin": large})).json() == {"files": 1}


class Inside(BaseHTTPRequestHandler):
    """A server that only this machine reaches, and that tells secrets to whoever asks."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"secret")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.slow
def test_the_server_fetches_nothing_from_inside(site: Site) -> None:
    """Addresses that people name are fetched from the public internet only, however the inside is spelt."""
    manager = site.signed_in(Role.MANAGER)
    with ThreadingHTTPServer(("127.0.0.1", 0), Inside) as inside:
        threading.Thread(target=inside.serve_forever, daemon=True).start()
        port = inside.server_port
        hosts = ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"]
        addresses = [f"http://{host}:{port}/a.zip" for host in hosts]
        addresses += [
            "http://169.254.169.254/latest/meta-data",
            "http://10.0.0.1/a.zip",
            f"http://a@127.0.0.1:{port}/a.zip",
        ]
        for address in addresses:
            for kind in ("look", "import"):
                into = {} if kind == "look" else {"dataset": "inside"}
                body = {"kind": kind, "parameters": {"source": {"url": address}, **into}}
                made = manager.post(f"{API}/jobs", json=body)
                assert made.status_code in (201, 422), (address, made.text)
        work(site)
        inside.shutdown()
    jobs = manager.get(f"{API}/jobs").json()["jobs"]
    assert {one["state"] for one in jobs} == {"failed"}
    assert all(one["error"] and "secret" not in json.dumps(one) for one in jobs)
    assert Inside.asked == []
    for wrong in ("file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/", "/etc/passwd"):
        body = {"kind": "look", "parameters": {"source": {"url": wrong}}}
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
def test_a_pipeline_is_left_to_the_server(site: Site) -> None:
    manager = site.signed_in(Role.MANAGER)
    parameters = {"pipeline": PIPELINE, "files": {"inner.yaml": INNER}, "variables": {"least": 2}}
    left = manager.post(f"{API}/jobs", json={"kind": "pipeline", "parameters": parameters})
    assert (left.status_code, left.json()["title"]) == (201, "Run few"), left.text
    work(site)
    job = manager.get(f"{API}/jobs/{left.json()['id']}").json()
    assert job["state"] == "finished", job
    expected = site.workspace.datasets.open("harbour").where("len(objects) >= 2")
    assert site.workspace.datasets.open("few").keys() == expected
    assert site.workspace.runs.get(job["result"]["run"]).kind == "pipeline"


def one_step(use: str, **given: Any) -> str:
    return json.dumps({"steps": {"one": {"use": use, "with": given}}})


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
def test_a_pipeline_that_reaches_further_is_refused(site: Site, text: str, files: dict[str, str]) -> None:
    manager = site.signed_in(Role.MANAGER)
    left = manager.post(f"{API}/jobs", json={"kind": "pipeline", "parameters": {"pipeline": text, "files": files}})
    assert left.status_code == 422, left.text
    assert site.workspace.jobs.list() == []


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
def test_a_pipeline_reaches_no_file_of_the_server(site: Site, text: str, tmp_path: Path) -> None:
    manager = site.signed_in(Role.MANAGER)
    whole = {**json.loads(text), "vars": {"place": str(tmp_path)}}
    left = manager.post(f"{API}/jobs", json={"kind": "pipeline", "parameters": {"pipeline": json.dumps(whole)}})
    assert left.status_code == 201, left.text
    work(site)
    job = manager.get(f"{API}/jobs/{left.json()['id']}").json()
    assert (job["state"], "one of the files that came with it" in job["error"]) == ("failed", True), job
    assert [one.name for one in site.workspace.datasets.list()] == ["harbour"]
