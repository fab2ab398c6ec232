"""HTTP API: panels of a plugin package, permissions, and faulty panels."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import PASSWORD, ServerHarness, error_of
from tests.support.plugin_package import HARM, write_package

from saccade.app.ingest.importing import SplitRequest, import_dataset
from saccade.app.panels.host import PanelHost
from saccade.core.roles import Role
from saccade.server.dependencies.auth import CSRF_HEADER
from saccade.server.permissions import API

pytestmark = pytest.mark.slow
P = f"{API}/panels"
SECONDS = 4.0


@pytest.fixture
def with_plugin(server: ServerHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerHarness]:
    """A server with an installed plugin package, which its child processes see too."""
    folder = write_package(tmp_path / "packages")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    panels = PanelHost(server.workspace, timeout_s=SECONDS)
    server.app.state.panels = panels
    yield server
    panels.close()


def render(server: ServerHarness, name: str, role: Role = Role.VIEWER, **query: Any) -> Any:
    answer = server.signed_in(role).get(f"{P}/{name}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def texts(answer: Any) -> str:
    assert answer["error"] is None, answer["error"]
    return " ".join(entry["text"] for entry in answer["blocks"] if entry["kind"] == "text")


def test_listed_panels_depend_on_the_role(with_plugin: ServerHarness) -> None:
    viewers = {entry["name"]: entry for entry in with_plugin.signed_in(Role.VIEWER).get(P).json()}
    assert {"class_balance", "everything", "about", "overview"} <= set(viewers)
    assert "for_managers" not in viewers
    assert not any(entry["error"] for entry in viewers.values())
    assert (viewers["everything"]["slot"], viewers["everything"]["package"]) == ("dataset", "street-panels")
    assert viewers["about"]["help"] == "What an item has."
    manager = with_plugin.signed_in(Role.MANAGER)
    while "sleepy" not in (managers := {entry["name"]: entry for entry in manager.get(P).json()}):
        time.sleep(0.5)  # on a busy machine, loading takes longer than the first request waits
    assert set(viewers) < set(managers)
    errors = {name: entry["error"] for name, entry in managers.items() if entry["error"]}
    assert set(errors) == {"broken", "sleepy", "ending", "missing", "other_name", "no_panel"}
    assert "ModuleNotFoundError" in errors["broken"]
    assert "took more than" in errors["sleepy"]
    assert "its process ended" in errors["ending"]
    assert "not a Panel" in errors["no_panel"]
    assert "'overview' is registered as 'other_name'" in errors["other_name"]
    refused = with_plugin.signed_in(Role.MANAGER).get(f"{P}/broken").json()
    assert refused["error"]["code"] == "panel"


def test_every_block(with_plugin: ServerHarness) -> None:
    keys = with_plugin.workspace.datasets.open("harbour").keys()
    answer = render(with_plugin, "everything", dataset="harbour")
    assert answer["error"] is None
    blocks = answer["blocks"]
    assert [entry["kind"] for entry in blocks] == [
        "form",
        "text",
        "text",
        "figures",
        "table",
        "plot",
        "plot",
        "images",
        "link",
        "button",
        "button",
    ]
    fields = {entry["name"]: entry for entry in blocks[0]["fields"]}
    assert [entry["type"] for entry in fields.values()] == [
        "text",
        "integer",
        "number",
        "boolean",
        "choice",
        "choice",
        "strings",
        "number",
        "boolean",
    ]
    assert (fields["count"]["minimum"], fields["count"]["maximum"], fields["count"]["value"]) == (1, 100, 3)
    assert (fields["size"]["options"], fields["size"]["value"]) == (["small", "large"], "small")
    assert blocks[3]["figures"][1]["value"] == 1234567
    assert blocks[4]["rows"][2][:2] == ["x", None], "NaN becomes null"
    assert blocks[5]["series"][0]["values"] == [1.0, 2.0, None]
    assert blocks[7]["keys"] == keys[:3]
    assert blocks[1]["text"].endswith(HARM)
    parameters = json.dumps({"count": 9, "tags": ["a"], "size": "large"})
    assert "count 9 share 0.5 tags ['a']" in texts(
        render(with_plugin, "everything", dataset="harbour@1", parameters=parameters)
    )


def test_item_and_home_panels(with_plugin: ServerHarness) -> None:
    item = next(with_plugin.workspace.datasets.open("harbour").items())
    text = texts(render(with_plugin, "about", dataset="harbour", key=item.key))
    assert text == f"{item.key} of harbour@1 has {len(item['objects'])} objects"
    assert texts(render(with_plugin, "overview")) == "default: harbour"
    assert texts(render(with_plugin, "closes")) == "still here"
    assert "count 3" in texts(render(with_plugin, "everything", dataset="harbour")), (
        "it prints, although another panel closed the output"
    )


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("unknown", {}, 404),
        ("everything", {"dataset": "missing"}, 404),
        ("everything", {}, 422),
        ("about", {"dataset": "harbour", "key": "missing"}, 404),
        ("about", {"dataset": "harbour"}, 422),
        ("overview", {"parameters": "[]"}, 422),
        ("overview", {"parameters": "{"}, 422),
        ("overview", {"parameters": '{"x": 1}'}, 422),
        ("overview", {"parameters": "[" * 5000}, 422),
        ("everything", {"dataset": "harbour", "parameters": '{"count": 0}'}, 422),
        ("os.system", {}, 404),
    ],
)
def test_invalid_requests(with_plugin: ServerHarness, path: str, query: dict[str, str], status: int) -> None:
    answer = with_plugin.signed_in(Role.VIEWER).get(f"{P}/{path}", params=query)
    assert answer.status_code == status, answer.text
    assert error_of(answer)


def test_roles(with_plugin: ServerHarness) -> None:
    for role in (Role.VIEWER, Role.ANNOTATOR, Role.REVIEWER):
        answer = with_plugin.signed_in(role).get(f"{P}/for_managers")
        assert (answer.status_code, error_of(answer)) == (403, "permission-denied")
    assert texts(render(with_plugin, "for_managers", Role.MANAGER)) == "seen by a manager"
    assert with_plugin.client().get(f"{P}/overview").status_code == 401
    assert with_plugin.client().get(P).status_code == 401


def test_a_panel_sees_one_project(with_plugin: ServerHarness) -> None:
    workspace = with_plugin.workspace
    other = workspace.scoped_to_project(workspace.projects.add("theirs").name)
    from saccade.core.reader import Item
    from saccade.core.schema import Column, Kind, Schema

    other.datasets.write("hidden", Schema((Column("note", Kind.TEXT),)), [Item("k", {"note": "x"})], mode="create")
    other.users.add("them@example.org", Role.OWNER, "Them", PASSWORD)
    ours = with_plugin.signed_in(Role.OWNER, "owner@example.org")
    assert texts(ours.get(f"{P}/overview").json()) == "default: harbour"
    assert ours.get(f"{P}/opens", params={"parameters": '{"ref": "hidden"}'}).status_code == 404
    assert ours.get(f"{P}/class_balance", params={"dataset": "hidden"}).status_code == 404
    assert ours.get(f"{API}/projects/theirs/panels/overview").status_code == 404
    theirs = with_plugin.client()
    csrf_token = theirs.post(f"{API}/session", json={"email": "them@example.org", "password": PASSWORD}).json()[
        "csrf_token"
    ]
    theirs.headers[CSRF_HEADER] = csrf_token
    assert texts(theirs.get(f"{API}/projects/theirs/panels/overview").json()) == "theirs: hidden"
    assert theirs.get(f"{P}/overview").status_code == 404


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raises", "failed: RuntimeError"),
        ("ends", "failed: SystemExit"),
        ("dies", "its process ended"),
        ("html", "failed: TypeError"),
        ("huge", "failed: ValueError"),
        ("surrogate", "failed: "),
        ("slow", "took more than 4 seconds"),
        ("busy", "took more than 4 seconds"),
        ("endless", "took more than 4"),
    ],
)
def test_faulty_panels_are_contained(
    with_plugin: ServerHarness, name: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = render(with_plugin, name)
    assert answer["blocks"] == []
    assert message in answer["error"]["message"], answer
    assert "secret" not in json.dumps(answer)
    assert "Traceback" not in json.dumps(answer)
    if name == "raises":
        assert "the secret of the server" in caplog.text, "the log has the details"
        assert "street_panels.py" in caplog.text
    assert texts(render(with_plugin, "overview")) == "default: harbour"


def test_panels_can_raise_their_own_errors(with_plugin: ServerHarness) -> None:
    assert render(with_plugin, "tells")["error"] == {
        "code": "panel",
        "message": "There is too little to see.",
        "hint": "Import more.",
        "fields": {},
    }


def test_hanging_panels_do_not_block_other_routes(with_plugin: ServerHarness) -> None:
    viewer = with_plugin.signed_in(Role.VIEWER)
    viewer.get(P)
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(viewer.get(f"{P}/slow").status_code)) for _ in range(60)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    start = time.monotonic()
    assert viewer.get(f"{API}/datasets").status_code == 200
    duration = time.monotonic() - start
    for thread in threads:
        thread.join()
    assert duration < SECONDS, "it waited for a panel"
    assert set(codes) <= {200, 429}
    assert codes.count(429) >= 60 - 10 * 6
    assert 429 in codes
    assert texts(render(with_plugin, "overview")) == "default: harbour"


def test_class_balance(server: ServerHarness, pictures: Path) -> None:
    workspace = server.workspace
    import_dataset(workspace, pictures, "split", split=SplitRequest({"train": 0.6, "val": 0.4}))
    version = workspace.datasets.open("split")
    answer = render(server, "class_balance", dataset="split", parameters='{"show": "count", "apart": 1.2}')
    plot = next(entry for entry in answer["blocks"] if entry["kind"] == "plot")
    expected: dict[str, dict[str, int]] = {"train": {}, "val": {}}
    for item in version.items():
        for obj in item["objects"]:
            counts = expected[item["split"]]
            counts[obj.class_name] = counts.get(obj.class_name, 0) + 1
    for series in plot["series"]:
        assert series["values"] == [expected[series["name"]].get(name, 0) for name in plot["categories"]]
    assert set(plot["categories"]) == {name for counts in expected.values() for name in counts}
    table = next(entry for entry in answer["blocks"] if entry["kind"] == "table")
    for name, split, count, share, average, link in table["rows"]:
        assert count == expected[split].get(name, 0)
        assert not 1 / 1.2 <= share / average <= 1.2
        if count:
            assert len(version.where(link["query"])) == sum(
                item["split"] == split and any(obj.class_name == name for obj in item["objects"])
                for item in version.items()
            )
    unsplit = render(server, "class_balance", dataset="harbour")
    assert "no splits" in texts(unsplit)
    server.app.state.panels.close()
