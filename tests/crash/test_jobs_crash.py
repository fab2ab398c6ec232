"""Server, worker or the process of a job killed at any moment: what was acknowledged is there, and jobs end."""

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

import httpx
import pyarrow as pa
import pytest
from tests.crash.serving import Server

from saccade.app.ingest.importing import import_dataset
from saccade.core.digest import digest_bytes
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import Column, ImageRef, Kind, Schema
from saccade.store.arrow.codec import arrow_schema, encode_items
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

KILLS = int(os.environ.get("SACCADE_KILLS", "3"))
PATIENCE = 300.0
WHAT = {"server": "serve", "worker": "worker", "job": "saccade.app.jobs.run_job"}


class Site(Server):
    """A server with a worker that is begun anew whenever it was killed, and what it acknowledged."""

    def __init__(self, folder: Path, token: str) -> None:
        super().__init__(folder, token, workers=1)
        self.uploads: dict[str, dict[str, bytes]] = {}
        self.jobs: dict[str, str] = {}
        """The dataset that each job is to make."""
        self.files_of: dict[str, dict[str, bytes]] = {}
        self.changes: dict[int, tuple[str, str]] = {}
        """For each version that was acknowledged the key and the tag that it added."""
        self.tags: dict[str, str] = {}
        """The tag that each job of this kind is to add, as one version."""

    def processes(self) -> dict[str, int]:
        """The process ids of the server, its worker and the job that is being done."""
        found: dict[str, int] = {}
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (place / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if any(str(self._folder) in word for word in words):
                    found |= {name: int(place.name) for name, word in WHAT.items() if word in words[:4]}
        return found

    # What somebody does; httpx.TransportError where the server is gone

    def upload(self, files: dict[str, bytes]) -> str:
        upload = str(self.post("/uploads").json()["id"])
        self.uploads[upload] = {}
        body = b"".join(
            json.dumps({"name": name, "size": len(data)}).encode() + b"\n" + data for name, data in files.items()
        )
        assert self.post(f"/uploads/{upload}/files", content=body).json() == {"files": len(files)}
        self.uploads[upload] = files
        return upload

    def leave(self, upload: str, name: str, kind: str) -> None:
        more = {"source": {"upload": upload}} if kind == "import" else {"upload": upload, "mode": "create"}
        body = {"kind": kind, "parameters": {"dataset": name, **more}}
        job = self.post("/jobs", json=body, headers={"Idempotency-Key": name}).json()["id"]
        self.jobs[str(job)] = name
        self.files_of[name] = self.uploads.pop(upload, self.files_of.get(name, {}))

    def change(self, key: str, tag: str) -> None:
        made = self.post("/datasets/base/change", json={"keys": [key], "act": "tag", "value": tag}).json()
        self.changes[int(made["number"])] = (key, tag)

    def leave_change(self, keys: list[str], tag: str) -> None:
        given = {"dataset": "base", "act": "tag", "value": tag, "keys": keys}
        job = self.post("/jobs", json={"kind": "change", "parameters": given}, headers={"Idempotency-Key": tag})
        self.tags[str(job.json()["id"])] = tag

    def post(self, path: str, **more: object) -> httpx.Response:
        answer = self.http.post(path, **more)  # type: ignore[arg-type]  # what httpx takes
        answer.raise_for_status()
        return answer

    # What must be so

    def wait_for_jobs(self) -> Counter[str]:
        """The states in which the jobs ended."""
        states: Counter[str] = Counter()
        until = time.monotonic() + PATIENCE
        for job, name in self.jobs.items():
            while (found := self.http.get(f"/jobs/{job}").json())["state"] in ("queued", "running"):
                assert time.monotonic() < until, found
                time.sleep(0.05)
            states[found["state"]] += 1
            if found["state"] == "failed":
                assert "has died 3 times" in found["error"], found
            else:
                assert (found["state"], found["result"].get("dataset")) == ("finished", f"{name}@1"), found
        for job in self.tags:
            while (found := self.http.get(f"/jobs/{job}").json())["state"] in ("queued", "running"):
                assert time.monotonic() < until, found
                time.sleep(0.05)
            assert found["state"] == "finished" or "has died 3 times" in found["error"], found
        return states

    def check(self) -> None:
        for upload, files in self.uploads.items():
            found = self.http.get(f"/uploads/{upload}").json()
            assert found["files"] >= len(files), "a file that was acknowledged is there"
        names = {one["name"] for one in self.http.get("/datasets").json()}
        with Workspace.open(self._folder) as workspace:
            for name in self.jobs.values():
                if name in names:
                    version = workspace.datasets.open(name)
                    found = {version.read_media(item["image"]) for item in version.items()}
                    assert found == {data for file, data in self.files_of[name].items() if "items" not in file}
            versions = workspace.datasets.log("base")
            assert set(self.changes) <= {one.number for one in versions}, "a version that was acknowledged is there"
            for job, tag in self.tags.items():
                made = [one.number for one in versions if one.message.endswith(f" as {tag}.")]
                found = self.http.get(f"/jobs/{job}").json()
                assert len(made) <= 1, "whoever died meanwhile, it is done once"
                assert found["state"] == "failed" or [found["result"]["number"]] == made
            for number, (key, tag) in self.changes.items():
                assert tag in workspace.datasets.open(f"base@{number}").get(key)["tags"]
            assert [one for one in doctor(workspace, deep=True) if one.level == "error"] == []


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds processes on Linux only")
def test_nothing_acknowledged_is_lost(tmp_path: Path, pictures: Path) -> None:
    chance = random.Random(5)
    images = [one.read_bytes() for one in sorted((pictures / "images").iterdir())]
    folder = tmp_path / "home"
    with Workspace.create(folder) as workspace:
        import_dataset(workspace, pictures, "base")
        keys = workspace.datasets.open("base").keys()
        owner = workspace.people.add("a@example.org", Role.OWNER, "A", "a password of mine")
        token = workspace.people.new_token(owner.id, "test", Role.MANAGER)[1]
    site = Site(folder, token)
    killed: Counter[str] = Counter()
    try:
        for number in range(KILLS):
            wanted = chance.choice(list(WHAT))
            timer = threading.Timer(chance.uniform(0, 4.0), kill, [site, wanted, killed])
            timer.start()
            name, upload, tries = f"made{number}", "", 0
            files = {f"{at}.jpg": images[at] for at in range(chance.randrange(1, len(images)))}
            kind = ("import", "write")[number % 2]
            files = files if kind == "import" else as_items(files)
            while True:
                try:
                    upload = upload or site.upload(files)
                    site.leave(upload, name, kind)
                    site.leave_change(keys, f"all{number}")
                    for at in range(4):
                        site.change(chance.choice(keys), f"t{number}.{at}.{tries}")
                    site.wait_for_jobs()
                    break
                except httpx.TransportError:
                    tries += 1
                    assert tries < 5
                    site.begin()
            timer.join()
            try:
                site.http.get("/health")
            except httpx.TransportError:
                site.begin()
            site.check()
        assert sum(killed.values()) == KILLS
        assert site.wait_for_jobs()["finished"] >= len(site.jobs) * 0.9
        assert len({*site.jobs.values()}) == len(site.jobs) == KILLS, "asked again under its name, it is the same job"
    finally:
        site.end()


def as_items(images: dict[str, bytes]) -> dict[str, bytes]:
    """Images as a program sends them with the items that they are of."""
    schema = Schema((Column("image", Kind.IMAGE),))
    refs = {name: ImageRef(digest_bytes(data), len(data), name, 1, 1, "jpeg") for name, data in images.items()}
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, arrow_schema(schema, position=False)) as writer:
        writer.write_batch(encode_items([Item(name, {"image": ref}) for name, ref in refs.items()], schema))
    return {**{f"files/{refs[name].digest}": data for name, data in images.items()}, "items-0.arrow": sink.getvalue()}


def kill(site: Site, wanted: str, killed: Counter[str]) -> None:
    """Kill what is wanted, or what there is of it."""
    while not (found := site.processes()):
        time.sleep(0.01)
    name = next(one for one in (wanted, "worker", "server", *found) if one in found)
    with suppress(ProcessLookupError):
        os.kill(found[name], signal.SIGKILL)
    killed[name] += 1
