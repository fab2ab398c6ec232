"""HTTP API: models, runs, evaluations, pipeline plans and maintenance jobs."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest
from tests.server.conftest import PASSWORD, ServerHarness, error_of
from tests.server.test_jobs import INNER, PIPELINE, pack, process_jobs, send

from saccade.core.roles import Role
from saccade.server.dependencies.auth import CSRF_HEADER
from saccade.server.permissions import API


def run_job(server: ServerHarness, client: Any, kind: str, **parameters: Any) -> dict[str, Any]:
    created = client.post(f"{API}/jobs", json={"kind": kind, "parameters": parameters})
    assert created.status_code == 201, created.text
    process_jobs(server)
    job: dict[str, Any] = client.get(f"{API}/jobs/{created.json()['id']}").json()
    return job


def add_two_models(server: ServerHarness) -> None:
    for number in (1, 2):
        recipe = {"recipe": {"train": {"epochs": number}}}
        files = {"weights.safetensors": b"w" * 3_000_000 + str(number).encode(), "more/notes.txt": b"n"}
        server.workspace.models.add("ships", files=files, manifest=recipe, metrics={"ap": 0.5 * number})
        score = {"ap": 0.25 * number, "per_class": {}}
        server.workspace.evaluations.add(f"ships@{number}", "harbour@1", "val", "boxes", score, b"<p>report</p>")


def test_models_are_compared_exported_and_removed(server: ServerHarness) -> None:
    add_two_models(server)
    viewer, manager = server.signed_in(Role.VIEWER), server.signed_in(Role.MANAGER)
    comparison = viewer.get(f"{API}/models/ships@1/compare", params={"other": "ships"}).json()
    assert (comparison["first"], comparison["second"]) == ("ships@1", "ships@2")
    assert comparison["evaluations"] == [
        {"dataset": "harbour@1", "split": "val", "metrics": {"ap": [0.25, 0.5]}, "warnings": []}
    ]
    assert comparison["settings"] == {"train.epochs": [1, 2]}
    exported = viewer.get(f"{API}/models/ships@1/export")
    assert "attachment" in exported.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(exported.content)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [
            "ships-1/manifest.json",
            "ships-1/more/notes.txt",
            "ships-1/weights.safetensors",
        ]
        assert archive.read("ships-1/weights.safetensors") == b"w" * 3_000_000 + b"1"
        assert json.loads(archive.read("ships-1/manifest.json"))["version"] == 1
    file = viewer.get(f"{API}/models/ships@2/file", params={"name": "more/notes.txt"})
    assert (file.content, file.headers["content-type"]) == (b"n", "application/octet-stream")
    assert viewer.get(f"{API}/models/ships/file", params={"name": "../../catalog.db"}).status_code == 404
    manager.post(f"{API}/models/ships@1/aliases", json={"name": "production"})
    assert viewer.delete(f"{API}/models/ships@1").status_code == 403
    assert manager.delete(f"{API}/models/ships@1").status_code == 409
    assert manager.delete(f"{API}/models/ships@2").status_code == 204
    assert manager.delete(f"{API}/models/ships", params={"force": True}).status_code == 204
    assert viewer.get(f"{API}/models").json() == []


def test_evaluations_and_uploaded_results(server: ServerHarness) -> None:
    add_two_models(server)
    manager = server.signed_in(Role.MANAGER)
    second, first = manager.get(f"{API}/evaluations").json()
    assert manager.get(f"{API}/evaluations/{first['id']}").json()["metrics"]["ap"] == 0.25
    report = manager.get(f"{API}/evaluations/{first['id']}/report")
    assert (report.content, report.headers["content-type"]) == (b"<p>report</p>", "application/octet-stream")
    comparison = manager.get(f"{API}/evaluations/{first['id']}/compare", params={"other": second["id"]}).json()
    assert (comparison["comparable"], comparison["metrics"]) == (True, {"ap": [0.25, 0.5]})
    assert manager.get(f"{API}/evaluations/missing/report").status_code == 404
    truth = {
        "images": [{"id": 1, "width": 20, "height": 10}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [0, 0, 5, 5], "area": 25, "iscrowd": 0}],
    }
    results = [{"image_id": 1, "category_id": 3, "bbox": [0, 0, 5, 5], "score": 0.5}]
    upload = manager.post(f"{API}/uploads").json()["id"]
    files = {"a/truth.json": json.dumps(truth).encode(), "results.json": json.dumps(results).encode()}
    send(manager, upload, pack(files))
    wrong = run_job(
        server, manager, "evaluate-files", upload=upload, truth="../upload.json", predictions="results.json"
    )
    assert (wrong["state"], wrong["result"]) == ("failed", {"code": "not-found"})
    done = run_job(server, manager, "evaluate-files", upload=upload, truth="a/truth.json", predictions="results.json")
    assert (done["state"], done["result"]["metrics"]["ap"]) == ("finished", 1.0), done
    assert manager.get(f"{API}/uploads/{upload}").status_code == 404
    other = server.signed_in(Role.MANAGER, "other@example.org")
    upload = manager.post(f"{API}/uploads").json()["id"]
    parameters = {"upload": upload, "truth": "a", "predictions": "b"}
    assert other.post(f"{API}/jobs", json={"kind": "evaluate-files", "parameters": parameters}).status_code == 404


def test_pipelines_are_planned_explained_and_inspected(server: ServerHarness) -> None:
    manager, viewer = server.signed_in(Role.MANAGER), server.signed_in(Role.VIEWER)
    parameters: dict[str, Any] = {"pipeline": PIPELINE, "files": {"inner.yaml": INNER}, "variables": {"least": 2}}
    plan = run_job(server, manager, "plan", **parameters)["result"]
    assert [(step["step"], step["action"]) for step in plan["steps"]] == [
        ("data", "run"),
        ("some", "wait"),
        ("inner/kept", "wait"),
    ]
    assert plan["steps"][0]["reasons"] == ["it has not run yet"]
    assert [(entry["from"], entry["to"]) for entry in plan["graph"]["edges"]] == [
        ("data", "some"),
        ("some", "inner/kept"),
    ]
    assert plan["graph"]["edges"][0]["path"].startswith("M")
    ran = run_job(server, manager, "pipeline", **parameters)
    again = run_job(server, manager, "plan", **parameters)["result"]
    assert {step["action"] for step in again["steps"]} == {"skip"}
    key = server.workspace.datasets.open("few").keys()[0]
    explanations = run_job(server, manager, "plan", **parameters, item=key)["result"]["causes"]
    assert {(entry["step"], entry["known"]) for entry in explanations} >= {("some", True), ("data", True)}
    assert run_job(server, manager, "plan", **parameters, item="missing")["result"]["code"] == "not-found"
    subset = run_job(server, manager, "plan", **parameters, only=["some"])["result"]
    assert [step["step"] for step in subset["steps"]] == ["data", "some"]
    run = viewer.get(f"{API}/runs/{ran['result']['run']}").json()
    assert (run["job"], run["config"]["pipeline"]) == (ran["id"], PIPELINE)
    details = viewer.get(f"{API}/runs/{run['id']}/pipeline").json()
    assert details["graph"] == plan["graph"]
    assert [(step["step"], step["state"], step["action"]) for step in details["steps"]] == [
        ("data", "done", "run"),
        ("some", "done", "run"),
        ("inner/kept", "done", "run"),
    ]
    assert (details["steps"][1]["computed"], details["steps"][1]["reasons"]) == (10, ["it has not run yet"])
    events = viewer.get(f"{API}/runs/{run['id']}/events", params={"step": "some"}).json()
    assert ([entry["event"] for entry in events["events"]], events["total"]) == (["begin", "step"], 2)
    assert viewer.get(f"{API}/runs/{run['id']}/events", params={"start": 3, "limit": 1}).json()["events"]
    imported = next(entry for entry in viewer.get(f"{API}/runs", params={"kind": "import"}).json())
    assert viewer.get(f"{API}/runs/{imported['id']}/pipeline").json() == {"graph": None, "steps": []}
    bad = manager.post(f"{API}/jobs", json={"kind": "plan", "parameters": {"pipeline": "steps: {a: {use: b.py:c}}"}})
    assert error_of(bad) == "pipeline"


def test_runs_are_cancelled_and_deleted(server: ServerHarness) -> None:
    manager, viewer = server.signed_in(Role.MANAGER), server.signed_in(Role.VIEWER)
    runs = server.workspace.runs
    [imported] = runs.list()
    owned = manager.delete(f"{API}/runs/{imported.id}")
    assert (owned.status_code, "is the lineage of" in owned.json()["error"]["message"]) == (409, True)
    assert manager.post(f"{API}/runs/{imported.id}/cancel").status_code == 409
    job = server.workspace.jobs.add("inspect-source", "x", {}, None)
    runs.job_id = job.id
    of_job = runs.start("pipeline", "p", {})
    runs.job_id = None
    mine = runs.start("pipeline", "q", {})
    assert viewer.post(f"{API}/runs/{of_job.id}/cancel").status_code == 403
    assert manager.post(f"{API}/runs/{of_job.id}/cancel").status_code == 202
    assert server.workspace.jobs.get(job.id).cancel_requested
    itself = manager.post(f"{API}/runs/{mine.id}/cancel")
    assert itself.status_code == 409, "the server does not stop itself"
    assert manager.delete(f"{API}/runs/{mine.id}").status_code == 409
    runs.finish(mine.id, "failed")
    assert manager.delete(f"{API}/runs/{mine.id}").status_code == 204
    assert not mine.folder.exists()


def test_what_there_is_to_choose_from(server: ServerHarness) -> None:
    viewer = server.signed_in(Role.VIEWER)
    operations = {entry["name"]: entry for entry in viewer.get(f"{API}/operations").json()}
    assert operations["filter"] == viewer.get(f"{API}/operations/filter").json()
    assert operations["filter"]["granularity"] == "filter"
    assert "where" in operations["filter"]["parameters"]["properties"]
    assert viewer.get(f"{API}/operations/steps.py:run").status_code == 404
    assert "coco" in {entry["name"] for entry in viewer.get(f"{API}/formats").json()}
    components = viewer.get(f"{API}/components").json()
    assert components["heads"] == ["classes", "dense_boxes"]


def test_maintenance_jobs_require_an_owner_of_the_default_project(server: ServerHarness) -> None:
    owner, manager, viewer = (server.signed_in(role) for role in (Role.OWNER, Role.MANAGER, Role.VIEWER))
    orphan = server.workspace.blobs.put_bytes(b"not referenced")
    for kind in ("doctor", "gc"):
        refused = manager.post(f"{API}/jobs", json={"kind": kind, "parameters": {}})
        assert (refused.status_code, error_of(refused)) == (403, "permission-denied")
    check = run_job(server, owner, "doctor", deep=True)
    assert (check["state"], check["result"]["sound"], check["result"]["total"]) == ("finished", True, 0), check
    preview = run_job(server, owner, "gc", dry_run=True)
    assert (preview["result"]["objects"], server.workspace.blobs.exists(orphan)) == (1, True)
    done = run_job(server, owner, "gc")
    assert (done["result"]["objects"], server.workspace.blobs.exists(orphan)) == (1, False)
    for client in (manager, viewer):
        seen = client.get(f"{API}/jobs/{done['id']}").json()
        assert (seen["state"], seen["result"]) == ("finished", {}), "the result covers all projects"
        assert all(entry["result"] == {} for entry in client.get(f"{API}/jobs").json()["jobs"])
        events = client.get(f"{API}/jobs/{done['id']}/events").text
        assert json.loads(events.removeprefix("data: "))["result"] == {}
        assert client.get(f"{API}/jobs/{done['id']}/files/report.json").status_code == 403
    assert manager.get(f"{API}/jobs/{done['id']}/log").status_code == 403
    for action in ("cancel", "retry"):
        assert manager.post(f"{API}/jobs/{done['id']}/{action}").status_code == 403
    assert owner.get(f"{API}/jobs/{done['id']}/log").status_code == 200
    workspace = server.workspace.scoped_to_project(server.workspace.projects.add("other").name)
    workspace.users.add("boss@example.org", Role.OWNER, "Boss", PASSWORD)
    boss = server.client()
    answer = boss.post(f"{API}/session", json={"email": "boss@example.org", "password": PASSWORD})
    boss.headers[CSRF_HEADER] = answer.json()["csrf_token"]
    for kind in ("doctor", "gc"):
        refused = boss.post(f"{API}/projects/other/jobs", json={"kind": kind, "parameters": {}})
        assert (refused.status_code, error_of(refused)) == (403, "permission-denied"), "an owner of another project"


def test_existing_blobs(server: ServerHarness) -> None:
    manager = server.signed_in(Role.MANAGER)
    image = next(server.workspace.datasets.open("harbour").items())["image"]
    files = [
        {"kind": "image", "digest": image.digest},
        {"kind": "file", "digest": image.digest},
        {"kind": "image", "digest": image.digest, "frame": 3},
        {"kind": "image", "digest": "0" * 64},
    ]
    assert manager.post(f"{API}/blobs/exists", json={"files": files}).json() == {
        "existing": [True, False, False, False]
    }
    other = server.workspace.scoped_to_project(server.workspace.projects.add("other").name)
    person = other.users.add("boss@example.org", Role.OWNER, "Boss", PASSWORD)
    token = other.users.create_token(person.id, "t", Role.OWNER)[1]
    program = server.client()
    program.headers["Authorization"] = f"Bearer {token}"
    existing = program.post(f"{API}/projects/other/blobs/exists", json={"files": files}).json()["existing"]
    assert existing == [False] * 4, "blobs of other projects are not revealed"
    assert manager.post(f"{API}/blobs/exists", json={"files": [{"kind": "image", "digest": "x"}]}).status_code == 422


@pytest.mark.slow
def test_recipe_checks_and_backbones(server: ServerHarness) -> None:
    manager = server.signed_in(Role.MANAGER)
    keys = server.workspace.datasets.open("harbour").keys()
    for split, part in (("train", keys[:6]), ("val", keys[6:])):
        manager.post(f"{API}/datasets/harbour/items/bulk", json={"keys": part, "action": "split", "target": split})
    recipe = manager.get(f"{API}/recipes/suggested", params={"dataset": "harbour"}).json()["recipe"]
    checked = run_job(server, manager, "train", recipe=recipe, check=True)
    assert checked["title"].startswith("Check "), checked
    assert all(entry["passed"] for entry in checked["result"]["checks"]), checked
    assert server.workspace.models.list() == []
    names = run_job(server, manager, "list-backbones", containing="resnet18")["result"]["names"]
    assert "timm/resnet18" in names
    assert all("resnet18" in name for name in names)
