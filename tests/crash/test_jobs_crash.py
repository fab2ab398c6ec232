"""Server, worker or job process killed at any moment: acknowledged data exists, and all jobs end."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from tests.crash.server_process import Server

from saccade.app.ingest.importing import import_dataset
from saccade.core.digest import digest_bytes
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import Column, ImageRef, Kind, Schema
from saccade.store.arrow.codec import arrow_schema, encode_items
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

KILLS = int(os.environ.get("SACCADE_KILLS", "3"))
PATIENCE_S = 300.0
COMMANDS = {"server": "serve", "worker": "worker", "job": "saccade.app.jobs.run_job"}


class RestartedServer(Server):
    """A server with a worker that is restarted after each kill, and the record of what it has acknowledged."""

    def __init__(self, folder: Path, token: str) -> None:
        super().__init__(folder, token, workers=1)
        self.uploads: dict[str, dict[str, bytes]] = {}
        self.jobs: dict[str, str] = {}
        """The dataset that each import or upload job creates."""
        self.files_of: dict[str, dict[str, bytes]] = {}
        self.changes: dict[int, tuple[str, str]] = {}
        """The key and the tag that each acknowledged version added."""
        self.tags: dict[str, str] = {}
        """The tag that each edit job adds, as one version."""

    def processes(self) -> dict[str, int]:
        """The process ids of the server, its worker and the running job."""
        pids: dict[str, int] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if any(str(self._folder) in argument for argument in arguments):
                    pids |= {name: int(folder.name) for name, word in COMMANDS.items() if word in arguments[:4]}
        return pids

    # Requests of a client; they raise httpx.TransportError if the server was killed.

    def upload(self, files: dict[str, bytes]) -> str:
        upload_id = str(self.post("/uploads").json()["id"])
        self.uploads[upload_id] = {}
        body = b"".join(
            json.dumps({"name": name, "size": len(data)}).encode() + b"\n" + data for name, data in files.items()
        )
        assert self.post(f"/uploads/{upload_id}/files", content=body).json() == {"files": len(files)}
        self.uploads[upload_id] = files
        return upload_id

    def submit(self, upload_id: str, dataset: str, kind: str) -> None:
        source = {"source": {"upload": upload_id}} if kind == "import" else {"upload": upload_id, "mode": "create"}
        body = {"kind": kind, "parameters": {"dataset": dataset, **source}}
        job_id = self.post("/jobs", json=body, headers={"Idempotency-Key": dataset}).json()["id"]
        self.jobs[str(job_id)] = dataset
        self.files_of[dataset] = self.uploads.pop(upload_id, self.files_of.get(dataset, {}))

    def tag_item(self, key: str, tag: str) -> None:
        version = self.post("/datasets/base/items/bulk", json={"keys": [key], "action": "tag", "target": tag}).json()
        self.changes[int(version["number"])] = (key, tag)

    def submit_tagging(self, keys: list[str], tag: str) -> None:
        parameters = {"dataset": "base", "action": "tag", "target": tag, "keys": keys}
        job = self.post(
            "/jobs", json={"kind": "edit-items", "parameters": parameters}, headers={"Idempotency-Key": tag}
        )
        self.tags[str(job.json()["id"])] = tag

    def post(self, path: str, **arguments: object) -> httpx.Response:
        response = self.http.post(path, **arguments)  # type: ignore[arg-type]  # the arguments of httpx
        response.raise_for_status()
        return response

    # Checks

    def _wait_for_job(self, job_id: str, deadline: float) -> dict[str, Any]:
        while True:
            job: dict[str, Any] = self.http.get(f"/jobs/{job_id}").json()
            if job["state"] not in ("queued", "running"):
                return job
            assert time.monotonic() < deadline, job
            time.sleep(0.05)

    def wait_for_jobs(self) -> Counter[str]:
        """Wait until all jobs have ended; returns the number of import and upload jobs by final state."""
        states: Counter[str] = Counter()
        deadline = time.monotonic() + PATIENCE_S
        for job_id, dataset in self.jobs.items():
            job = self._wait_for_job(job_id, deadline)
            states[job["state"]] += 1
            if job["state"] == "failed":
                assert "process died 3 times" in job["error"], job
            else:
                assert (job["state"], job["result"].get("dataset")) == ("finished", f"{dataset}@1"), job
        for job_id in self.tags:
            job = self._wait_for_job(job_id, deadline)
            assert job["state"] == "finished" or "process died 3 times" in job["error"], job
        return states

    def check(self) -> None:
        for upload_id, files in self.uploads.items():
            upload = self.http.get(f"/uploads/{upload_id}").json()
            assert upload["files"] >= len(files), "acknowledged files exist"
        names = {dataset["name"] for dataset in self.http.get("/datasets").json()}
        with Workspace.open(self._folder) as workspace:
            for name in self.jobs.values():
                if name in names:
                    version = workspace.datasets.open(name)
                    contents = {version.read_media(item["image"]) for item in version.items()}
                    assert contents == {data for file, data in self.files_of[name].items() if "items" not in file}
            versions = workspace.datasets.log("base")
            assert set(self.changes) <= {version.number for version in versions}, "acknowledged versions exist"
            for job_id, tag in self.tags.items():
                numbers = [version.number for version in versions if version.message.endswith(f" as {tag}.")]
                job = self.http.get(f"/jobs/{job_id}").json()
                assert len(numbers) <= 1, "a retried job commits once"
                assert job["state"] == "failed" or [job["result"]["number"]] == numbers
            for number, (key, tag) in self.changes.items():
                assert tag in workspace.datasets.open(f"base@{number}").get(key)["tags"]
            assert [issue for issue in doctor(workspace, deep=True) if issue.level == "error"] == []


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds processes on Linux only")
def test_nothing_acknowledged_is_lost(tmp_path: Path, pictures: Path) -> None:
    rng = random.Random(5)
    images = [path.read_bytes() for path in sorted((pictures / "images").iterdir())]
    folder = tmp_path / "home"
    with Workspace.create(folder) as workspace:
        import_dataset(workspace, pictures, "base")
        keys = workspace.datasets.open("base").keys()
        owner = workspace.users.add("a@example.org", Role.OWNER, "A", "a password of mine")
        token = workspace.users.create_token(owner.id, "test", Role.MANAGER)[1]
    server = RestartedServer(folder, token)
    killed: Counter[str] = Counter()
    try:
        for number in range(KILLS):
            target = rng.choice(list(COMMANDS))
            timer = threading.Timer(rng.uniform(0, 4.0), kill, [server, target, killed])
            timer.start()
            dataset = f"created{number}"
            upload_id = ""
            attempts = 0
            files = {f"{index}.jpg": images[index] for index in range(rng.randrange(1, len(images)))}
            kind = ("import", "write-items")[number % 2]
            files = files if kind == "import" else with_items(files)
            while True:
                try:
                    upload_id = upload_id or server.upload(files)
                    server.submit(upload_id, dataset, kind)
                    server.submit_tagging(keys, f"all{number}")
                    for index in range(4):
                        server.tag_item(rng.choice(keys), f"t{number}.{index}.{attempts}")
                    server.wait_for_jobs()
                    break
                except httpx.TransportError:
                    attempts += 1
                    assert attempts < 5
                    server.restart()
            timer.join()
            try:
                server.http.get("/health")
            except httpx.TransportError:
                server.restart()
            server.check()
        assert sum(killed.values()) == KILLS
        assert server.wait_for_jobs()["finished"] >= len(server.jobs) * 0.9
        assert len({*server.jobs.values()}) == len(server.jobs) == KILLS, "the same key gives the same job"
    finally:
        server.end()


def with_items(images: dict[str, bytes]) -> dict[str, bytes]:
    """Build an upload of images with their items, as the Python client does."""
    schema = Schema((Column("image", Kind.IMAGE),))
    refs = {name: ImageRef(digest_bytes(data), len(data), name, 1, 1, "jpeg") for name, data in images.items()}
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, arrow_schema(schema, position=False)) as writer:
        writer.write_batch(encode_items([Item(name, {"image": ref}) for name, ref in refs.items()], schema))
    return {**{f"files/{refs[name].digest}": data for name, data in images.items()}, "items-0.arrow": sink.getvalue()}


def kill(server: RestartedServer, target: str, killed: Counter[str]) -> None:
    """Kill the target process, or another one if the target does not run."""
    while not (pids := server.processes()):
        time.sleep(0.01)
    name = next(name for name in (target, "worker", "server", *pids) if name in pids)
    with suppress(ProcessLookupError):
        os.kill(pids[name], signal.SIGKILL)
    killed[name] += 1
