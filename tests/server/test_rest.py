"""Models, runs, evaluations, pipelines before they run, and the upkeep of the workspace, by HTTP."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest
from tests.server.conftest import PASSWORD, Site, error_of
from tests.server.test_jobs import INNER, PIPELINE, packed, send, work

from saccade.core.roles import Role
from saccade.server.dependencies.auth import GUARD
from saccade.server.permissions import API


def job_of(site: Site, client: Any, kind: str, **parameters: Any) -> dict[str, Any]:
    left = client.post(f"{API}/jobs", json={"kind": kind, "parameters": parameters})
    assert left.status_code == 201, left.text
    work(site)
    found: dict[str, Any] = client.get(f"{API}/jobs/{left.json()['id']}").json()
    return found


def two_models(site: Site) -> None:
    for number in (1, 2):
        recipe = {"recipe": {"train": {"epochs": number}}}
        files = {"weights.safetensors": b"w" * 3_000_000 + str(number).encode(), "more/notes.txt": b"n"}
        site.workspace.models.add("ships", files=files, manifest=recipe, metrics={"ap": 0.5 * number})
        score = {"ap": 0.25 * number, "per_class": {}}
        site.workspace.evaluations.add(f"ships@{number}", "harbour@1", "val", "boxes", score, b"<p>report</p>")


def test_models_are_compared_exported_and_removed(site: Site) -> None:
    two_models(site)
    viewer, manager = site.signed_in(Role.VIEWER), site.signed_in(Role.MANAGER)
    found = viewer.get(f"{API}/models/ships@1/compare", params={"other": "ships"}).json()
    assert (found["first"], found["second"]) == ("ships@1", "ships@2")
    assert found["evaluations"] == [{"dataset": "harbour@1", "split": "val", "metrics": {"ap": [0.25, 0.5]}}]
    assert found["settings"] == {"train.epochs": [1, 2]}
    whole = viewer.get(f"{API}/models/ships@1/export")
    assert "attachment" in whole.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
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


def test_evaluations_and_files_from_elsewhere(site: Site) -> None:
    two_models(site)
    manager = site.signed_in(Role.MANAGER)
    second, first = manager.get(f"{API}/evaluations").json()
    assert manager.get(f"{API}/evaluations/{first['id']}").json()["metrics"]["ap"] == 0.25
    report = manager.get(f"{API}/evaluations/{first['id']}/report")
    assert (report.content, report.headers["content-type"]) == (b"<p>report</p>", "application/octet-stream")
    both = manager.get(f"{API}/evaluations/{first['id']}/compare", params={"other": second["id"]}).json()
    assert (both["comparable"], both["metrics"]) == (True, {"ap": [0.25, 0.5]})
    assert manager.get(f"{API}/evaluations/nobody/report").status_code == 404
    truth = {
        "images": [{"id": 1, "width": 20, "height": 10}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [0, 0, 5, 5], "area": 25, "iscrowd": 0}],
    }
    results = [{"image_id": 1, "category_id": 3, "bbox": [0, 0, 5, 5], "score": 0.5}]
    upload = manager.post(f"{API}/uploads").json()["id"]
    files = {"a/truth.json": json.dumps(truth).encode(), "results.json": json.dumps(results).encode()}
    send(manager, upload, packed(files))
    wrong = job_of(site, manager, "evaluate-files", upload=upload, truth="../upload.json", predictions="results.json")
    assert (wrong["state"], wrong["result"]) == ("failed", {"code": "not-found"})
    done = job_of(site, manager, "evaluate-files", upload=upload, truth="a/truth.json", predictions="results.json")
    assert (done["state"], done["result"]["metrics"]["ap"]) == ("finished", 1.0), done
    assert manager.get(f"{API}/uploads/{upload}").status_code == 404
    other = site.signed_in(Role.MANAGER, "other@example.org")
    upload = manager.post(f"{API}/uploads").json()["id"]
    given = {"upload": upload, "truth": "a", "predictions": "b"}
    assert other.post(f"{API}/jobs", json={"kind": "evaluate-files", "parameters": given}).status_code == 404


def test_a_pipeline_is_planned_explained_and_looked_into(site: Site) -> None:
    manager, viewer = site.signed_in(Role.MANAGER), site.signed_in(Role.VIEWER)
    parameters: dict[str, Any] = {"pipeline": PIPELINE, "files": {"inner.yaml": INNER}, "variables": {"least": 2}}
    plan = job_of(site, manager, "plan", **parameters)["result"]
    assert [(step["step"], step["action"]) for step in plan["steps"]] == [
        ("data", "run"),
        ("some", "wait"),
        ("inner/kept", "wait"),
    ]
    assert plan["steps"][0]["reasons"] == ["it has not run yet"]
    assert [(one["from"], one["to"]) for one in plan["drawing"]["lines"]] == [("data", "some"), ("some", "inner/kept")]
    assert plan["drawing"]["lines"][0]["path"].startswith("M")
    ran = job_of(site, manager, "pipeline", **parameters)
    again = job_of(site, manager, "plan", **parameters)["result"]
    assert {step["action"] for step in again["steps"]} == {"skip"}
    key = site.workspace.datasets.open("few").keys()[0]
    causes = job_of(site, manager, "plan", **parameters, item=key)["result"]["causes"]
    assert {(one["step"], one["known"]) for one in causes} >= {("some", True), ("data", True)}
    assert job_of(site, manager, "plan", **parameters, item="nobody")["result"]["code"] == "not-found"
    few = job_of(site, manager, "plan", **parameters, only=["some"])["result"]
    assert [step["step"] for step in few["steps"]] == ["data", "some"]
    run = viewer.get(f"{API}/runs/{ran['result']['run']}").json()
    assert (run["job"], run["config"]["pipeline"]) == (ran["id"], PIPELINE)
    seen = viewer.get(f"{API}/runs/{run['id']}/pipeline").json()
    assert seen["drawing"] == plan["drawing"]
    assert [(step["step"], step["state"], step["action"]) for step in seen["steps"]] == [
        ("data", "done", "run"),
        ("some", "done", "run"),
        ("inner/kept", "done", "run"),
    ]
    assert (seen["steps"][1]["worked"], seen["steps"][1]["reasons"]) == (10, ["it has not run yet"])
    told = viewer.get(f"{API}/runs/{run['id']}/events", params={"step": "some"}).json()
    assert ([one["event"] for one in told["events"]], told["total"]) == (["begin", "step"], 2)
    assert viewer.get(f"{API}/runs/{run['id']}/events", params={"start": 3, "limit": 1}).json()["events"]
    imported = next(one for one in viewer.get(f"{API}/runs", params={"kind": "import"}).json())
    assert viewer.get(f"{API}/runs/{imported['id']}/pipeline").json() == {"drawing": None, "steps": []}
    bad = manager.post(f"{API}/jobs", json={"kind": "plan", "parameters": {"pipeline": "steps: {a: {use: b.py:c}}"}})
    assert error_of(bad) == "pipeline"


def test_runs_are_cancelled_and_forgotten(site: Site) -> None:
    manager, viewer = site.signed_in(Role.MANAGER), site.signed_in(Role.VIEWER)
    runs = site.workspace.runs
    [imported] = runs.list()
    owned = manager.delete(f"{API}/runs/{imported.id}")
    assert (owned.status_code, "made a dataset version" in owned.json()["error"]["message"]) == (409, True)
    assert manager.post(f"{API}/runs/{imported.id}/cancel").status_code == 409
    job = site.workspace.jobs.add("look", "x", {}, None)
    runs.job = job.id
    of_job = runs.start("pipeline", "p", {})
    runs.job = None
    mine = runs.start("pipeline", "q", {})
    assert viewer.post(f"{API}/runs/{of_job.id}/cancel").status_code == 403
    assert manager.post(f"{API}/runs/{of_job.id}/cancel").status_code == 202
    assert site.workspace.jobs.get(job.id).is_cancelled
    itself = manager.post(f"{API}/runs/{mine.id}/cancel")
    assert itself.status_code == 409, "the server does not stop itself"
    assert manager.delete(f"{API}/runs/{mine.id}").status_code == 409
    runs.finish(mine.id, "failed")
    assert manager.delete(f"{API}/runs/{mine.id}").status_code == 204
    assert not mine.folder.exists()


def test_what_there_is_to_choose_from(site: Site) -> None:
    viewer = site.signed_in(Role.VIEWER)
    operations = {one["name"]: one for one in viewer.get(f"{API}/operations").json()}
    assert operations["filter"] == viewer.get(f"{API}/operations/filter").json()
    assert operations["filter"]["granularity"] == "filter"
    assert "where" in operations["filter"]["parameters"]["properties"]
    assert viewer.get(f"{API}/operations/steps.py:run").status_code == 404
    assert "coco" in {one["name"] for one in viewer.get(f"{API}/formats").json()}
    components = viewer.get(f"{API}/components").json()
    assert components["heads"] == ["classes", "dense_boxes"]


def test_only_owners_of_the_server_look_after_the_workspace(site: Site) -> None:
    owner, manager, viewer = (site.signed_in(role) for role in (Role.OWNER, Role.MANAGER, Role.VIEWER))
    lost = site.workspace.objects.put_bytes(b"nobody needs this")
    for kind in ("doctor", "gc"):
        refused = manager.post(f"{API}/jobs", json={"kind": kind, "parameters": {}})
        assert (refused.status_code, error_of(refused)) == (403, "not-allowed")
    sound = job_of(site, owner, "doctor", deep=True)
    assert (sound["state"], sound["result"]["sound"], sound["result"]["total"]) == ("finished", True, 0), sound
    would = job_of(site, owner, "gc", dry_run=True)
    assert (would["result"]["objects"], site.workspace.objects.exists(lost)) == (1, True)
    done = job_of(site, owner, "gc")
    assert (done["result"]["objects"], site.workspace.objects.exists(lost)) == (1, False)
    for client in (manager, viewer):
        seen = client.get(f"{API}/jobs/{done['id']}").json()
        assert (seen["state"], seen["result"]) == ("finished", {}), "what is found is of all projects"
        assert all(one["result"] == {} for one in client.get(f"{API}/jobs").json()["jobs"])
        events = client.get(f"{API}/jobs/{done['id']}/events").text
        assert json.loads(events.removeprefix("data: "))["result"] == {}
        assert client.get(f"{API}/jobs/{done['id']}/files/report.json").status_code == 403
    assert manager.get(f"{API}/jobs/{done['id']}/log").status_code == 403
    for what in ("cancel", "retry"):
        assert manager.post(f"{API}/jobs/{done['id']}/{what}").status_code == 403
    assert owner.get(f"{API}/jobs/{done['id']}/log").status_code == 200
    workspace = site.workspace.in_project(site.workspace.projects.add("other").name)
    workspace.people.add("boss@example.org", Role.OWNER, "Boss", PASSWORD)
    boss = site.client()
    answer = boss.post(f"{API}/session", json={"email": "boss@example.org", "password": PASSWORD})
    boss.headers[GUARD] = answer.json()["guard"]
    for kind in ("doctor", "gc"):
        refused = boss.post(f"{API}/projects/other/jobs", json={"kind": kind, "parameters": {}})
        assert (refused.status_code, error_of(refused)) == (403, "not-allowed"), "the owner of one project"


def test_files_that_the_project_has(site: Site) -> None:
    manager = site.signed_in(Role.MANAGER)
    image = next(site.workspace.datasets.open("harbour").items())["image"]
    asked = [
        {"kind": "image", "digest": image.digest},
        {"kind": "file", "digest": image.digest},
        {"kind": "image", "digest": image.digest, "frame": 3},
        {"kind": "image", "digest": "0" * 64},
    ]
    assert manager.post(f"{API}/files/held", json={"files": asked}).json() == {"held": [True, False, False, False]}
    other = site.workspace.in_project(site.workspace.projects.add("other").name)
    person = other.people.add("boss@example.org", Role.OWNER, "Boss", PASSWORD)
    token = other.people.new_token(person.id, "t", Role.OWNER)[1]
    program = site.client()
    program.headers["Authorization"] = f"Bearer {token}"
    held = program.post(f"{API}/projects/other/files/held", json={"files": asked}).json()["held"]
    assert held == [False] * 4, "that another project has it is not told"
    assert manager.post(f"{API}/files/held", json={"files": [{"kind": "image", "digest": "x"}]}).status_code == 422


@pytest.mark.slow
def test_a_recipe_is_checked_and_backbones_are_listed(site: Site) -> None:
    manager = site.signed_in(Role.MANAGER)
    keys = site.workspace.datasets.open("harbour").keys()
    for split, part in (("train", keys[:6]), ("val", keys[6:])):
        manager.post(f"{API}/datasets/harbour/change", json={"keys": part, "act": "split", "value": split})
    recipe = manager.get(f"{API}/recipe", params={"dataset": "harbour"}).json()["recipe"]
    checked = job_of(site, manager, "train", recipe=recipe, check=True)
    assert checked["title"].startswith("Check "), checked
    assert all(one["passed"] for one in checked["result"]["checks"]), checked
    assert site.workspace.models.list() == []
    names = job_of(site, manager, "backbones", containing="resnet18")["result"]["names"]
    assert "timm/resnet18" in names
    assert all("resnet18" in name for name in names)
