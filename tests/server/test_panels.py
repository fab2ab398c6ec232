"""Panels of a package that is installed: what they show, who sees them, and how little a bad one can do."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import PASSWORD, Site, error_of
from tests.support.plugin_package import HARM, write_package

from saccade.app.ingest.importing import SplitRequest, import_dataset
from saccade.app.panels.host import Panels
from saccade.core.roles import Role
from saccade.server.dependencies.auth import GUARD
from saccade.server.permissions import API

pytestmark = pytest.mark.slow
P = f"{API}/panels"
SECONDS = 4.0


@pytest.fixture
def panelled(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server beside which a package with panels is installed, also for the processes that it begins."""
    folder = write_package(tmp_path / "packages")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    panels = Panels(site.workspace, seconds=SECONDS)
    site.app.state.panels = panels
    yield site
    panels.close()


def shown(site: Site, name: str, role: Role = Role.VIEWER, **query: Any) -> Any:
    answer = site.signed_in(role).get(f"{P}/{name}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def texts(answer: Any) -> str:
    assert answer["error"] is None, answer["error"]
    return " ".join(one["text"] for one in answer["blocks"] if one["kind"] == "text")


def test_panels_are_listed_for_those_who_may_see_them(panelled: Site) -> None:
    found = {one["name"]: one for one in panelled.signed_in(Role.VIEWER).get(P).json()}
    assert {"class_balance", "everything", "about", "overview"} <= set(found)
    assert "for_managers" not in found
    assert not any(one["error"] for one in found.values())
    assert (found["everything"]["place"], found["everything"]["package"]) == ("dataset", "street-panels")
    assert found["about"]["help"] == "What an item has."
    manager = panelled.signed_in(Role.MANAGER)
    while "sleepy" not in (managers := {one["name"]: one for one in manager.get(P).json()}):
        time.sleep(0.5)  # a machine that is busy takes longer than is waited for
    assert set(found) < set(managers)
    errors = {name: one["error"] for name, one in managers.items() if one["error"]}
    assert set(errors) == {"broken", "sleepy", "ending", "missing", "other_name", "no_panel"}
    assert "ModuleNotFoundError" in errors["broken"]
    assert "took more than" in errors["sleepy"]
    assert "its process ended" in errors["ending"]
    assert "not a Panel" in errors["no_panel"]
    assert "'overview' is offered as 'other_name'" in errors["other_name"]
    refused = panelled.signed_in(Role.MANAGER).get(f"{P}/broken").json()
    assert refused["error"]["code"] == "panel"


def test_every_block(panelled: Site) -> None:
    keys = panelled.workspace.datasets.open("harbour").keys()
    answer = shown(panelled, "everything", dataset="harbour")
    assert answer["error"] is None
    blocks = answer["blocks"]
    assert [one["kind"] for one in blocks] == [
        "form",
        "text",
        "text",
        "figures",
        "table",
        "plot",
        "plot",
        "pictures",
        "link",
        "button",
        "button",
    ]
    fields = {one["name"]: one for one in blocks[0]["fields"]}
    assert [one["type"] for one in fields.values()] == [
        "text",
        "whole",
        "number",
        "truth",
        "choice",
        "choice",
        "texts",
        "number",
        "truth",
    ]
    assert (fields["count"]["low"], fields["count"]["high"], fields["count"]["value"]) == (1, 100, 3)
    assert (fields["size"]["options"], fields["size"]["value"]) == (["small", "large"], "small")
    assert blocks[3]["figures"][1]["value"] == 1234567
    assert blocks[4]["rows"][2][:2] == ["x", None], "what is no number is nothing"
    assert blocks[5]["series"][0]["values"] == [1.0, 2.0, None]
    assert blocks[7]["keys"] == keys[:3]
    assert blocks[1]["text"].endswith(HARM)
    parameters = json.dumps({"count": 9, "tags": ["a"], "size": "large"})
    assert "count 9 share 0.5 tags ['a']" in texts(
        shown(panelled, "everything", dataset="harbour@1", parameters=parameters)
    )


def test_the_other_places(panelled: Site) -> None:
    item = next(panelled.workspace.datasets.open("harbour").items())
    said = texts(shown(panelled, "about", dataset="harbour", key=item.key))
    assert said == f"{item.key} of harbour@1 has {len(item['objects'])} objects"
    assert texts(shown(panelled, "overview")) == "default: harbour"
    assert texts(shown(panelled, "closes")) == "still here"
    assert "count 3" in texts(shown(panelled, "everything", dataset="harbour")), "it prints, to what the other closed"


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("nobody", {}, 404),
        ("everything", {"dataset": "nobody"}, 404),
        ("everything", {}, 422),
        ("about", {"dataset": "harbour", "key": "nobody"}, 404),
        ("about", {"dataset": "harbour"}, 422),
        ("overview", {"parameters": "[]"}, 422),
        ("overview", {"parameters": "{"}, 422),
        ("overview", {"parameters": '{"x": 1}'}, 422),
        ("overview", {"parameters": "[" * 5000}, 422),
        ("everything", {"dataset": "harbour", "parameters": '{"count": 0}'}, 422),
        ("os.system", {}, 404),
    ],
)
def test_wrong_questions(panelled: Site, path: str, query: dict[str, str], status: int) -> None:
    answer = panelled.signed_in(Role.VIEWER).get(f"{P}/{path}", params=query)
    assert answer.status_code == status, answer.text
    assert error_of(answer)


def test_roles(panelled: Site) -> None:
    for role in (Role.VIEWER, Role.ANNOTATOR, Role.REVIEWER):
        answer = panelled.signed_in(role).get(f"{P}/for_managers")
        assert (answer.status_code, error_of(answer)) == (403, "not-allowed")
    assert texts(shown(panelled, "for_managers", Role.MANAGER)) == "seen by a manager"
    assert panelled.client().get(f"{P}/overview").status_code == 401
    assert panelled.client().get(P).status_code == 401


def test_a_panel_sees_one_project(panelled: Site) -> None:
    workspace = panelled.workspace
    other = workspace.in_project(workspace.projects.add("theirs").name)
    from saccade.core.reader import Item
    from saccade.core.schema import Column, Kind, Schema

    other.datasets.write("hidden", Schema((Column("note", Kind.TEXT),)), [Item("k", {"note": "x"})], mode="create")
    other.people.add("them@example.org", Role.OWNER, "Them", PASSWORD)
    ours = panelled.signed_in(Role.OWNER, "owner@example.org")
    assert texts(ours.get(f"{P}/overview").json()) == "default: harbour"
    assert ours.get(f"{P}/opens", params={"parameters": '{"ref": "hidden"}'}).status_code == 404
    assert ours.get(f"{P}/class_balance", params={"dataset": "hidden"}).status_code == 404
    assert ours.get(f"{API}/projects/theirs/panels/overview").status_code == 404
    theirs = panelled.client()
    guard = theirs.post(f"{API}/session", json={"email": "them@example.org", "password": PASSWORD}).json()["guard"]
    theirs.headers[GUARD] = guard
    assert texts(theirs.get(f"{API}/projects/theirs/panels/overview").json()) == "theirs: hidden"
    assert theirs.get(f"{P}/overview").status_code == 404


@pytest.mark.parametrize(
    ("name", "words"),
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
def test_a_bad_panel_is_told_and_hurts_nothing(
    panelled: Site, name: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = shown(panelled, name)
    assert answer["blocks"] == []
    assert words in answer["error"]["message"], answer
    assert "secret" not in json.dumps(answer)
    assert "Traceback" not in json.dumps(answer)
    if name == "raises":
        assert "the secret of the server" in caplog.text, "the log says all of it"
        assert "street_panels.py" in caplog.text
    assert texts(shown(panelled, "overview")) == "default: harbour"


def test_a_panel_may_say_itself_what_is_wrong(panelled: Site) -> None:
    assert shown(panelled, "tells")["error"] == {
        "code": "panel",
        "message": "There is too little to see.",
        "hint": "Import more.",
        "fields": {},
    }


def test_many_that_hang_leave_the_other_routes_alone(panelled: Site) -> None:
    viewer = panelled.signed_in(Role.VIEWER)
    viewer.get(P)
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(viewer.get(f"{P}/slow").status_code)) for _ in range(60)]
    for one in threads:
        one.start()
    time.sleep(0.5)
    began = time.monotonic()
    assert viewer.get(f"{API}/datasets").status_code == 200
    took = time.monotonic() - began
    for one in threads:
        one.join()
    assert took < SECONDS, "it waited for a panel"
    assert set(codes) <= {200, 429}
    assert codes.count(429) >= 60 - 10 * 6
    assert 429 in codes
    assert texts(shown(panelled, "overview")) == "default: harbour"


def test_class_balance(site: Site, pictures: Path) -> None:
    workspace = site.workspace
    import_dataset(workspace, pictures, "split", split=SplitRequest({"train": 0.6, "val": 0.4}))
    version = workspace.datasets.open("split")
    answer = shown(site, "class_balance", dataset="split", parameters='{"show": "count", "apart": 1.2}')
    plot = next(one for one in answer["blocks"] if one["kind"] == "plot")
    expected: dict[str, dict[str, int]] = {"train": {}, "val": {}}
    for item in version.items():
        for one in item["objects"]:
            of = expected[item["split"]]
            of[one.class_name] = of.get(one.class_name, 0) + 1
    for series in plot["series"]:
        assert series["values"] == [expected[series["name"]].get(name, 0) for name in plot["along"]]
    assert set(plot["along"]) == {name for of in expected.values() for name in of}
    table = next(one for one in answer["blocks"] if one["kind"] == "table")
    for name, split, count, there, usual, link in table["rows"]:
        assert count == expected[split].get(name, 0)
        assert not 1 / 1.2 <= there / usual <= 1.2
        if count:
            assert len(version.where(link["query"])) == sum(
                item["split"] == split and any(one.class_name == name for one in item["objects"])
                for item in version.items()
            )
    unsplit = shown(site, "class_balance", dataset="harbour")
    assert "no splits" in texts(unsplit)
    site.app.state.panels.close()
