"""Open a workspace that version 0.1.0 wrote, before the rename, and check everything in it.

``data/workspace-0.1.0.tar.xz`` was written by the code of commit c9a1d59. ``data/expected.json`` lists its content.
``make_workspace.py`` made both. They never change: a failing test here means that the workspaces of users no longer
open, or lose something.

How to maintain this file:

- Rename imports, methods and attributes freely.
- The keys of ``expected.json`` belong to this file. Its values are stored data: states, kinds of jobs, event names,
  parameters, manifests, bodies of webhooks. If a migration changes stored data on purpose, translate the expected value
  here and give the reason.
- ``FILE_FIELDS`` contains names of attributes as text. A rename tool does not see them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

import saccade.operations
from saccade.app.datasets.classes import list_classes
from saccade.app.ingest.uploads import get_upload
from saccade.app.jobs.registry import JOB_TYPES
from saccade.app.jobs.run_job import job_dir
from saccade.app.jobs.run_job import run as run_job
from saccade.app.pipelines.run import list_steps, read_events, read_graph
from saccade.core.errors import AuthenticationError, ConflictError, NotFoundError
from saccade.core.objects import Object
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import Column, Kind, Schema
from saccade.operations import per_item
from saccade.pipeline.data.results import CachedResult
from saccade.pipeline.definition.yaml_loader import load_graph
from saccade.pipeline.execution.engine import LocalEngine
from saccade.pipeline.execution.runner import Runner
from saccade.runtime.process import lease_owner_id
from saccade.server.app import create_app
from saccade.store.arrow.codec import ARROW_TYPES, decode_column
from saccade.store.auth.service import hash_secret
from saccade.store.auth.sso import Identity, LoginResult
from saccade.store.catalog.queries import consumers, find_dataset
from saccade.store.catalog.tables import Base, JobRow, LoginFailureRow, UserRow
from saccade.store.maintenance.doctor import doctor, relocate_files
from saccade.store.maintenance.gc import collect_garbage
from saccade.store.maintenance.transfer import pull_dataset
from saccade.store.query.column_cache_files import leaf_path, read_arrays
from saccade.store.table.key_index import key_index_path
from saccade.store.workspace import Workspace

Facts = dict[str, Any]

DATA = Path(__file__).parent / "data"
PROJECTS = ["default", "night"]
API = "/api/v1"
SESSION_COOKIE = "saccade_session"
"""The cookie that browsers of signed-in users hold."""
RENAMED_TABLES = {
    "people": "users",
    "sign_ins": "pending_logins",
    "sign_in_failures": "login_failures",
    "requests": "idempotent_requests",
}
"""Maps the name of a table in 0.1.0 to its name today, if that differs."""
RENAMED_KINDS = {
    "look": "inspect-source",
    "write": "write-items",
    "backbones": "list-backbones",
    "change": "edit-items",
    "classes": "edit-classes",
}
"""Maps the kind of a job or run in 0.1.0 to its kind today, if that differs."""
RENAMED_EVENTS = {"person.joined": "member.joined", "person.removed": "member.removed"}
"""Maps the name of an event in 0.1.0 to its name today, if that differs."""
RENAMED_ARGUMENTS = {"reads": "input_columns", "writes": "output_columns"}
"""Maps arguments of the decorator ``per_item`` in 0.1.0 to their names today.

Saccade does not accept the old names. The tests translate them, because the file itself must stay as it is: its text is
part of the cache keys.
"""
FILE_FIELDS = (
    "digest",
    "size",
    "name",
    "width",
    "height",
    "frames",
    "duration",
    "rate",
    "format",
    "mode",
    "codec",
    "orientation",
    "uri",
    "frame",
)


# Fixtures


@pytest.fixture(scope="module")
def expected() -> Facts:
    facts: Facts = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))
    _rename(facts)
    return facts


def _rename(facts: Any) -> None:
    """Rename the kinds, events and states in the facts to today's names."""
    if isinstance(facts, list):
        for element in facts:
            _rename(element)
    if not isinstance(facts, dict):
        return
    for name, value in facts.items():
        if name != "body":  # the body of a delivery stays as it was sent, except for the name of the event
            _rename(value)
    if "id" in facts and "kind" in facts:  # a job or run; columns have no id
        facts["kind"] = RENAMED_KINDS.get(facts["kind"], facts["kind"])
    if "secret" not in facts and "events" in facts:
        facts["events"] = [RENAMED_EVENTS.get(event, event) for event in facts["events"]]
    if "event" in facts:
        facts["event"] = RENAMED_EVENTS.get(facts["event"], facts["event"])
        if "body" in facts:
            facts["body"]["type"] = facts["event"]
    if facts.get("state") == "waiting":
        facts["state"] = "pending"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked archive. Tests copy it and never open it."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(DATA / "workspace-0.1.0.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def workspace(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """The workspace, for tests that only read. All of them share it."""
    folder = tmp_path_factory.mktemp("read-only")
    shutil.copytree(unpacked, folder, dirs_exist_ok=True)
    with Workspace.open(folder / "home") as opened:
        yield opened


@pytest.fixture
def folder(unpacked: Path, tmp_path: Path) -> Path:
    """A copy of the archive's files for one test."""
    shutil.copytree(unpacked, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def writable(folder: Path) -> Iterator[Workspace]:
    """The workspace, for one test that changes it."""
    with Workspace.open(folder / "home") as opened:
        yield opened


# Plain values, in the form that expected.json uses


def iso(timestamp: datetime) -> str:
    return timestamp.astimezone(UTC).isoformat()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def digest_of(value: Any) -> str:
    """SHA-256 of a value as JSON."""
    return sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode())


def as_json(value: Any) -> Any:
    """Convert tuples to lists and keys to text, as JSON does."""
    return json.loads(json.dumps(value))


def plain_value(value: Any) -> Any:
    """Convert a value of an item to JSON."""
    if isinstance(value, Object):
        geometry = value.geometry
        return [
            value.id,
            value.class_name,
            geometry.type,
            list(geometry.bounds_xyxy()),
            geometry.area(),
            value.score,
            value.track,
            dict(value.attributes),
        ]
    if hasattr(value, "digest"):
        return [getattr(value, field, None) for field in FILE_FIELDS]
    if isinstance(value, tuple | list):
        return [plain_value(element) for element in value]
    return value


def plain_items(version: Any) -> list[Any]:
    names = version.schema.names
    return [[item.key, {name: plain_value(item[name]) for name in names}] for item in version.items()]


def without_dates(node: Any) -> Any:
    """Remove creation times from a lineage tree."""
    if isinstance(node, dict):
        return {name: without_dates(value) for name, value in node.items() if name != "created"}
    return [without_dates(child) for child in node] if isinstance(node, list) else node


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# The workspace as a whole


def test_workspace_keeps_its_id_and_projects(workspace: Workspace, expected: Facts) -> None:
    assert workspace.id == expected["workspace"]["id"]
    assert [project.name for project in workspace.projects.list()] == expected["workspace"]["projects"]


def test_no_row_is_lost(workspace: Workspace, expected: Facts) -> None:
    """Every table of the old catalog has the same number of rows today."""
    with workspace.catalog.unscoped.read_tx() as session:
        counts = {
            table.name: session.scalar(select(func.count()).select_from(table)) for table in Base.metadata.sorted_tables
        }
    old_counts = {RENAMED_TABLES.get(name, name): count for name, count in expected["row_counts"].items()}
    assert {name: counts.get(name) for name in old_counts} == old_counts


def test_doctor_reports_nothing(workspace: Workspace) -> None:
    assert doctor(workspace, deep=True) == []


def test_garbage_collection_keeps_what_is_in_use(writable: Workspace, expected: Facts) -> None:
    """Files that only the pipeline cache refers to are kept. One file of a removed model is garbage."""
    garbage = collect_garbage(writable, dry_run=True)
    counts = {"objects": garbage.objects, "leftovers": garbage.leftovers, "bytes": garbage.bytes}
    assert counts == expected["garbage"]


# Datasets


@pytest.mark.parametrize("project", PROJECTS)
def test_datasets_and_their_histories(workspace: Workspace, expected: Facts, project: str) -> None:
    datasets = workspace.scoped_to_project(project).datasets
    expected_datasets = expected["projects"][project]["datasets"]
    assert [info.name for info in datasets.list()] == sorted(expected_datasets)
    for name, facts in expected_datasets.items():
        log = [
            {
                "number": version.number,
                "branch": version.branch,
                "parent": version.parent,
                "merged": version.merged,
                "message": version.message,
                "author": version.author,
                "created": iso(version.created),
                "items": version.items,
                "added": version.added,
                "removed": version.removed,
                "changed": version.changed,
                "run": version.run_id,
                "inputs": list(version.inputs),
            }
            for version in datasets.log(name)
        ]
        assert log == facts["log"], name


@pytest.mark.parametrize("project", PROJECTS)
def test_items_of_every_version(workspace: Workspace, expected: Facts, project: str) -> None:
    datasets = workspace.scoped_to_project(project).datasets
    for name, facts in expected["projects"][project]["datasets"].items():
        for number, version_facts in facts["versions"].items():
            version = datasets.open(f"{name}@{number}")
            columns = {column.name: str(column.kind) for column in version.schema.columns}
            items = as_json(plain_items(version))
            assert columns == version_facts["columns"], version.ref
            assert digest_of(version.keys()) == version_facts["keys"], version.ref
            if "items" in version_facts:  # a readable difference is better than two digests
                assert items == version_facts["items"], version.ref
            assert digest_of(items) == version_facts["content"], version.ref


@pytest.mark.parametrize("project", PROJECTS)
def test_branches_aliases_and_tags(workspace: Workspace, expected: Facts, project: str) -> None:
    datasets = workspace.scoped_to_project(project).datasets
    for name, facts in expected["projects"][project]["datasets"].items():
        assert datasets.branches(name) == facts["branches"]
        assert datasets.aliases(name) == facts["aliases"]
        assert datasets.tags(name) == facts["tags"]
        for selector, number in {**facts["branches"], **facts["aliases"]}.items():
            assert datasets.open(f"{name}@{selector}").number == number


def test_tag_cannot_be_moved(writable: Workspace) -> None:
    with pytest.raises(ConflictError):
        writable.datasets.alias("harbour", "v1", 2)


def test_saved_views(workspace: Workspace, expected: Facts) -> None:
    for name, facts in expected["projects"]["default"]["datasets"].items():
        views = [
            {"name": view.name, "filters": dict(view.filters), "author": view.author}
            for view in workspace.datasets.views(name)
        ]
        assert views == facts["views"]


def test_diff_of_two_versions(workspace: Workspace, expected: Facts) -> None:
    facts = expected["diff"]
    diff = workspace.datasets.diff(facts["before"], facts["after"])
    assert list(diff.added) == facts["added"]
    assert list(diff.removed) == facts["removed"]
    assert list(diff.changed) == facts["changed"]


def test_removed_dataset_keeps_its_version_numbers(writable: Workspace, expected: Facts) -> None:
    facts = expected["removed_dataset"]
    assert not writable.datasets.exists(facts["name"])
    schema = Schema((Column("number", Kind.NUMBER),))
    version = writable.datasets.write(facts["name"], schema, [Item("a", {"number": 1.0})], mode="create")
    assert version.number == facts["last_number"] + 1


def test_datasets_accept_new_versions(writable: Workspace) -> None:
    """Merge by key, delete on a branch, merge the branch, restore."""
    before = writable.datasets.open("harbour")
    schema = Schema((Column("note", Kind.TEXT),))
    writable.datasets.write("harbour", schema, [Item("scene-0", {"note": "n"})], mode="merge")
    writable.datasets.delete_items("harbour", ["scene-4"], branch="review")
    merged = writable.datasets.merge("harbour@review").version
    assert merged is not None
    old_keys = before.keys()
    assert merged.keys() == [key for key in old_keys if key != "scene-4"]
    restored = writable.datasets.restore("harbour", before.number)
    assert plain_items(restored) == plain_items(before)


def test_media_files(workspace: Workspace, expected: Facts) -> None:
    """Read files that are single objects, in a pack, frames of a video, and external."""
    for name, digest in expected["media"].items():
        ref, key, column = name.split(" ")
        version = workspace.datasets.open(ref)
        assert sha256(version.read_media(version.get(key)[column])) == digest, name


def test_external_files_can_be_relinked(folder: Path, expected: Facts) -> None:
    """The old code recorded where external files moved to. Without these records, doctor misses the files."""
    for record in (folder / "home").rglob("*.moved"):
        record.unlink()
    with Workspace.open(folder / "home") as opened:
        (issue,) = doctor(opened)
        assert "2 linked files are missing" in issue.what
        relocated = relocate_files(opened, folder / "media")
        assert sorted(Path(path).name for path in relocated.found.values()) == expected["linked"]
        assert doctor(opened) == []


def test_pushed_dataset_can_be_pulled(writable: Workspace, folder: Path, expected: Facts) -> None:
    numbers = expected["shelf"]["versions"]
    facts = expected["projects"]["default"]["datasets"][expected["shelf"]["dataset"]]
    pulled = pull_dataset(writable, str(folder / "shelf"), as_name="again")
    assert pulled.versions == tuple(f"again@{number}" for number in numbers)
    for number in numbers:
        version = writable.datasets.open(f"again@{number}")
        assert digest_of(plain_items(version)) == facts["versions"][str(number)]["content"]
    assert writable.datasets.tags("again") == facts["tags"]


# Classes


@pytest.mark.parametrize("project", PROJECTS)
def test_classes_and_their_counts(workspace: Workspace, expected: Facts, project: str) -> None:
    datasets = workspace.scoped_to_project(project).datasets
    for name, facts in expected["projects"][project]["datasets"].items():
        for number, version_facts in facts["versions"].items():
            version = datasets.open(f"{name}@{number}")
            classes = {
                column.name: [
                    [
                        info.name,
                        info.parent,
                        info.color,
                        list(info.keypoints),
                        [list(pair) for pair in info.skeleton],
                        list(info.was),
                    ]
                    for info in column.classes
                ]
                for column in version.schema.columns
                if column.classes
            }
            counts: dict[str, dict[str, list[int]]] = {column: {} for column in classes}
            for count in list_classes(version):
                counts[count.column][count.name] = [count.objects, count.items]
            assert classes == version_facts["classes"], version.ref
            assert counts == version_facts["class_counts"], version.ref


def test_former_class_names_resolve(workspace: Workspace) -> None:
    column = workspace.datasets.open("harbour").schema["objects"]
    assert column.resolve_class("ship") == "vessel"
    assert column.resolve_class("tug") == "vessel"
    assert column.resolve_class("unused") is None


# Indexes of large tables


def test_queries_on_a_large_dataset(workspace: Workspace, expected: Facts) -> None:
    facts = expected["indexes"]
    version = workspace.datasets.open(facts["dataset"])
    assert {key: version.get(key)["number"] for key in facts["lookups"]} == facts["lookups"]
    assert {query: len(version.where(query)) for query in facts["queries"]} == facts["queries"]


def test_old_index_files_are_used(workspace: Workspace, expected: Facts) -> None:
    """The old index files are at the paths where the code looks for them, and they can be read."""
    facts = expected["indexes"]
    table = workspace.datasets.open(facts["dataset"]).snapshot.folder
    data_file = facts["data_file"]
    key_index = key_index_path(table, data_file)
    assert key_index.is_file()
    for path in facts["indexed_columns"]:
        assert read_arrays(leaf_path(key_index.parent, data_file, tuple(path))), path
    assert files_below(key_index.parent) == facts["files"]


# People


@pytest.mark.parametrize("project", PROJECTS)
def test_members_and_their_roles(workspace: Workspace, expected: Facts, project: str) -> None:
    members = [
        {
            "id": person.id,
            "email": person.email,
            "name": person.name,
            "role": str(person.role),
            "has_password": person.has_password,
            "created": iso(person.created),
        }
        for person in workspace.scoped_to_project(project).users.list()
    ]
    assert members == expected["projects"][project]["people"]


def test_removed_person_keeps_the_hash_of_the_address(workspace: Workspace, expected: Facts) -> None:
    with workspace.catalog.unscoped.read_tx() as session:
        hashes = session.scalars(select(UserRow.former_email_hash).where(UserRow.removed.is_not(None))).all()
    assert hashes == [hash_secret(expected["removed_person"]["email"])]


@pytest.mark.parametrize("project", PROJECTS)
def test_audit_log(workspace: Workspace, expected: Facts, project: str) -> None:
    entries = workspace.scoped_to_project(project).users.audit_log()
    assert [[entry.user, entry.action, entry.subject, entry.address] for entry in entries] == expected["projects"][
        project
    ]["audit"]


def test_pending_invitation_can_be_accepted(writable: Workspace, expected: Facts) -> None:
    facts = expected["invitation"]
    (invitation,) = writable.users.list_invitations()
    assert (invitation.email, str(invitation.role)) == (facts["email"], facts["role"])
    person = writable.users.accept_invitation(facts["secret"], "Eve", "a password of some length")
    assert (person.email, str(person.role)) == (facts["email"], facts["role"])


# Passwords, sessions, API tokens, single sign-on


def test_password_login(writable: Workspace, expected: Facts) -> None:
    for email, password in expected["passwords"].items():
        _, principal = writable.users.sign_in(email, password)
        assert principal.user.email == email
    with pytest.raises(AuthenticationError):
        writable.users.sign_in("ann@example.org", "not the password")


def test_failed_logins_still_count(writable: Workspace, expected: Facts) -> None:
    """The failures of an account count on, from whichever address."""
    email = "fay@example.org"
    with pytest.raises(AuthenticationError):
        writable.users.sign_in(email, "not the password", "198.51.100.7")
    with writable.catalog.unscoped.read_tx() as session:
        count = session.get_one(LoginFailureRow, hash_secret(email)).count
    assert count == expected["login_failures"][email] + 1


def test_session_stays_valid(workspace: Workspace, expected: Facts) -> None:
    facts = expected["session"]
    for project in PROJECTS:
        principal = workspace.scoped_to_project(project).users.authenticate_session(facts["secret"])
        assert principal is not None
        assert (principal.user.email, principal.role) == (facts["email"], Role.OWNER)
        assert principal.csrf_token == facts["csrf_token"]


def test_api_token_stays_valid(writable: Workspace, expected: Facts) -> None:
    facts = expected["token"]
    principal = writable.users.authenticate_token(facts["secret"])
    assert principal is not None
    assert (principal.user.email, str(principal.role), principal.csrf_token) == (facts["email"], facts["role"], None)
    tokens = {token.id: token for token in writable.users.list_tokens(principal.user.id)}
    token = tokens[facts["id"]]
    assert (token.name, str(token.role)) == (facts["name"], facts["role"])
    assert token.used is not None
    night = writable.scoped_to_project("night")
    assert night.users.authenticate_token(facts["secret"]) is None, "a token belongs to one project"


def test_federated_identity_is_known(writable: Workspace, expected: Facts) -> None:
    facts = expected["sso"]
    known = facts["known"]
    result = writable.sso.complete_login(Identity(facts["issuer"], known["subject"], known["email"], known["name"]))
    assert isinstance(result, LoginResult)
    person = result.principal.user
    assert (person.email, str(person.role), person.has_password) == (known["email"], known["role"], False)


def test_unfinished_single_sign_on_can_be_finished(writable: Workspace, expected: Facts) -> None:
    facts = expected["sso"]
    pending = writable.sso.pop_pending(facts["pending_login"]["secret"])
    assert pending is not None
    assert (pending.project, pending.path) == (facts["pending_login"]["project"], facts["pending_login"]["path"])

    challenge = facts["link_challenge"]
    assert writable.sso.pending_link(challenge["secret"]) == challenge["email"]
    assert writable.sso.link_account(challenge["secret"], writable.users.get(challenge["email"]).id)
    result = writable.sso.complete_login(Identity(facts["issuer"], challenge["subject"], challenge["email"], "Bob"))
    assert isinstance(result, LoginResult)
    assert result.principal.user.email == challenge["email"]


# Idempotency keys


def test_stored_responses_are_replayed(writable: Workspace, expected: Facts) -> None:
    # A server on another machine may still be handling the request, if that has just begun.
    errors = {"secret": "secret", "unknown": "its outcome is unknown|still being processed"}
    for facts in expected["requests"]:
        person = writable.users.get(facts["email"]).id
        begin = partial(writable.idempotency.begin, person, facts["key"])
        if facts["outcome"] == "answered":
            response = begin(facts["fingerprint"])
            assert response is not None, facts["key"]
            assert (response.status, response.body, response.etag) == (facts["status"], facts["body"], facts["etag"])
        else:
            with pytest.raises(ConflictError, match=errors[facts["outcome"]]):
                begin(facts["fingerprint"])
        with pytest.raises(ConflictError):
            begin("the fingerprint of another request")


# Webhooks


@pytest.mark.parametrize("project", PROJECTS)
def test_webhooks(workspace: Workspace, expected: Facts, project: str) -> None:
    webhooks = [
        {
            "id": webhook.id,
            "url": webhook.url,
            "events": list(webhook.events),
            "enabled": webhook.enabled,
            "disabled_reason": webhook.disabled_reason,
            "is_failing": webhook.failing_since is not None,
            "author": webhook.author,
            "pending": webhook.pending,
        }
        for webhook in workspace.scoped_to_project(project).webhooks.list()
    ]
    expected_webhooks = [
        {field: value for field, value in facts.items() if field != "deliveries"}
        for facts in expected["projects"][project]["webhooks"]
    ]
    assert webhooks == expected_webhooks


@pytest.mark.parametrize("project", PROJECTS)
def test_webhook_deliveries(workspace: Workspace, expected: Facts, project: str) -> None:
    """Of each event, expected.json has one body. The other bodies are compared by digest."""
    webhooks = workspace.scoped_to_project(project).webhooks
    former_events = {new: old for old, new in RENAMED_EVENTS.items()}
    for webhook in expected["projects"][project]["webhooks"]:
        for delivery, facts in zip(webhooks.list_deliveries(webhook["id"]), webhook["deliveries"], strict=True):
            body = json.loads(delivery.body)
            assert body == facts.get("body", body)
            assert {
                "number": delivery.number,
                "id": delivery.id,
                "event": delivery.event,
                "state": delivery.state,
                "attempts": delivery.attempts,
                "status": delivery.status,
                "duration_ms": delivery.duration_ms,
                "error": delivery.error,
                "content": digest_of({**body, "type": former_events.get(body["type"], body["type"])}),
            } == {field: value for field, value in facts.items() if field != "body"}


def test_fixture_has_a_delivery_in_each_state(expected: Facts) -> None:
    webhooks = [webhook for facts in expected["projects"].values() for webhook in facts["webhooks"]]
    states = {delivery["state"] for webhook in webhooks for delivery in webhook["deliveries"]}
    assert states == {"pending", "sending", "delivered", "failed"}


def test_pending_deliveries_are_claimed_and_signed_with_both_secrets(writable: Workspace, expected: Facts) -> None:
    """The oldest delivery of each webhook comes first, also if the worker that was sending it died."""
    facts = expected["webhook_secrets"]
    claims = []
    while (claim := writable.delivery_queue.claim(lease_owner_id())) is not None:
        claims.append(claim)
    claims_by_url = {claim.url: claim for claim in claims}
    assert set(claims_by_url) == {facts["url"], f"{facts['url']}/night"}
    claim = claims_by_url[facts["url"]]
    assert claim.secrets == (facts["secret"], facts["previous_secret"])
    deliveries = expected["projects"]["default"]["webhooks"][0]["deliveries"]
    oldest = [delivery for delivery in deliveries if delivery["state"] == "pending"][-1]
    assert (claim.delivery_id, claim.attempt) == (oldest["id"], oldest["attempts"] + 1)


def test_failed_deliveries_can_be_retried(writable: Workspace) -> None:
    webhook = writable.webhooks.list()[1]
    failed = [delivery for delivery in writable.webhooks.list_deliveries(webhook.id) if delivery.state == "failed"]
    writable.webhooks.update(webhook.id, enabled=True)
    assert writable.webhooks.redeliver_failed(webhook.id) == len(failed) > 0


# Jobs


@pytest.mark.parametrize("project", PROJECTS)
def test_jobs(workspace: Workspace, expected: Facts, project: str) -> None:
    scoped_workspace = workspace.scoped_to_project(project)
    with scoped_workspace.catalog.read_tx() as session:
        idempotency_keys = {row.id: row.idempotency_key for row in session.scalars(select(JobRow))}
    jobs = [
        {
            "id": job.id,
            "person": job.user,
            "kind": job.kind,
            "title": job.title,
            "parameters": dict(job.parameters),
            "state": job.state,
            "attempts": job.attempts,
            "is_cancelled": job.cancel_requested,
            "progress": dict(job.progress),
            "result": dict(job.result),
            "error": job.error,
            "hint": job.hint,
            "created": iso(job.created),
            "runs": [run.id for run in scoped_workspace.runs.list_for_job(job.id)],
            "idempotency_key": idempotency_keys[job.id],
            "files": files_below(job_dir(scoped_workspace, job.id)),
        }
        for job in scoped_workspace.jobs.list()
    ]
    assert as_json(jobs) == expected["projects"][project]["jobs"]


def test_fixture_has_a_job_of_each_kind_and_state(expected: Facts) -> None:
    jobs = [job for facts in expected["projects"].values() for job in facts["jobs"]]
    assert {job["state"] for job in jobs} == {"queued", "running", "finished", "failed", "cancelled"}
    assert len({job["kind"] for job in jobs}) == 16


def test_parameters_of_every_job_are_valid(workspace: Workspace) -> None:
    """Queued jobs will run, and failed ones may be retried."""
    for job in workspace.jobs.list():
        JOB_TYPES[job.kind].parameters.model_validate(dict(job.parameters))


def test_job_with_an_idempotency_key_is_not_repeated(writable: Workspace, expected: Facts) -> None:
    jobs = expected["projects"]["default"]["jobs"]
    facts = next(job for job in jobs if job["idempotency_key"] is not None)
    key = facts["idempotency_key"].partition(":")[2]
    job = writable.jobs.add(facts["kind"], facts["title"], facts["parameters"], facts["person"], key)
    assert job.id == facts["id"]


def test_queued_jobs_run(writable: Workspace, expected: Facts) -> None:
    """Jobs run in the order of their creation. A job whose worker died is claimed again."""
    needs_network_or_torch_or_real_files = {"inspect-source", "list-backbones", "evaluate-files"}
    worker = lease_owner_id()
    claimed = []
    while (job := writable.jobs.claim(worker)) is not None:
        claimed.append(job.id)
        if job.kind not in needs_network_or_torch_or_real_files:
            scoped_workspace = writable.scoped_to_project(writable.projects.get_name(job.project))
            run_job(scoped_workspace, job, worker)
            ended = scoped_workspace.jobs.get(job.id)
            assert (ended.state, ended.error) == ("finished", ""), job.kind
    unfinished = [
        job["id"]
        for project in PROJECTS
        for job in reversed(expected["projects"][project]["jobs"])
        if job["state"] in ("queued", "running")
    ]
    assert claimed == unfinished
    assert writable.datasets.open("sent").keys() == ["r00001", "r00002"]
    assert writable.datasets.open("harbour").get("scene-1")["split"] == "val"


def test_uploads(workspace: Workspace, expected: Facts) -> None:
    assert expected["uploads"]
    for facts in expected["uploads"]:
        assert get_upload(workspace, facts["id"], facts["person"]).files == len(facts["files"])


# Runs and lineage


@pytest.mark.parametrize("project", PROJECTS)
def test_runs(workspace: Workspace, expected: Facts, project: str) -> None:
    step_fields = {name: name for name in ("step", "operation", "action", "state", "items", "failed")}
    step_fields["worked"] = "computed"
    store = workspace.scoped_to_project(project).runs
    runs = [
        {
            "id": run.id,
            "kind": run.kind,
            "name": run.name,
            "state": run.state,
            "config": dict(run.config),
            "inputs": list(run.inputs),
            "outputs": list(run.outputs),
            "metrics": dict(run.metrics),
            "error": run.error,
            "job": run.job,
            "created": iso(run.created),
            "version_made": store.output_version(run.id),
            "files": files_below(run.folder),
            "steps": [{name: step.get(field) for name, field in step_fields.items()} for step in list_steps(run)],
        }
        for run in store.list()
    ]
    assert as_json(runs) == expected["projects"][project]["runs"]


def test_graph_of_a_pipeline_run(workspace: Workspace) -> None:
    run = workspace.runs.latest("pipeline", "fixture")
    assert run is not None
    assert read_events(run)[-1]["state"] == "finished"
    graph = read_graph(run)
    assert graph is not None
    assert graph["name"] == "fixture"
    assert len(graph["nodes"]) == len(list_steps(run))


def test_lineage(workspace: Workspace, expected: Facts) -> None:
    for ref, tree in expected["lineage"].items():
        assert as_json(without_dates(workspace.lineage(ref))) == tree, ref


@pytest.mark.parametrize("project", PROJECTS)
def test_consumers_of_datasets(workspace: Workspace, expected: Facts, project: str) -> None:
    with workspace.scoped_to_project(project).catalog.read_tx() as session:
        for name, facts in expected["projects"][project]["datasets"].items():
            row = find_dataset(session, name)
            uses = sorted([use.number, use.user_kind, use.user_ref] for use in consumers(session, row))
            assert uses == facts["used_by"], name
            assert row.uid == facts["uid"], name


# Models and evaluations


def test_models(workspace: Workspace, expected: Facts) -> None:
    expected_models = expected["projects"]["default"]["models"]
    assert [model.name for model in workspace.models.list()] == sorted(expected_models)
    for name, facts in expected_models.items():
        versions = [
            {
                "ref": version.ref,
                "manifest": dict(version.manifest),
                "metrics": dict(version.metrics),
                "files": dict(version.files),
                "run": version.run_id,
                "inputs": list(version.inputs),
                "licence": version.licence,
                "aliases": list(version.aliases),
            }
            for version in workspace.models.versions(name)
        ]
        assert as_json(versions) == facts["versions"]


def test_model_files(workspace: Workspace, expected: Facts) -> None:
    for name in expected["projects"]["default"]["models"]:
        for version in workspace.models.versions(name):
            for file, digest in version.files.items():
                assert sha256(version.read_file(file)) == digest


def test_model_aliases(workspace: Workspace, expected: Facts) -> None:
    for name, facts in expected["projects"]["default"]["models"].items():
        changes = workspace.models.alias_changes(name)
        assert [[change.alias, change.previous, change.number, change.author] for change in changes] == facts[
            "alias_changes"
        ]
    assert workspace.models.open("ships@production").ref == "ships@1"
    assert workspace.models.open("scenes@candidate").ref == "scenes@1"
    assert workspace.models.open("plain@production").ref == "plain@2"


def test_removed_model_keeps_its_version_numbers(writable: Workspace, expected: Facts) -> None:
    facts = expected["removed_model"]
    with pytest.raises(NotFoundError):
        writable.models.open(facts["name"])
    version = writable.models.add(facts["name"], files={"w": b"y"}, manifest={}, metrics={}, inputs=[])
    assert version.number == facts["last_number"] + 1


@pytest.mark.slow
def test_models_give_the_same_predictions(workspace: Workspace, expected: Facts) -> None:
    pytest.importorskip("torch")
    from saccade.app.ml.model_loader import load_predictor
    from saccade.media.loader import read_image

    version = workspace.datasets.open("harbour@7")
    for ref, predictions in expected["predictions"].items():
        loaded = load_predictor(workspace, ref)
        for key, facts in predictions.items():
            image = version.get(key)["image"]
            (prediction,) = loaded.predictor.predict([(key, partial(read_image, version, image))])
            if loaded.is_detector:
                scores = sorted((obj.score or 0.0 for obj in prediction.objects[loaded.target]), reverse=True)
                assert scores[:3] == pytest.approx(facts["best_scores"], abs=1e-3)
            else:
                assert prediction.probabilities[loaded.target] == pytest.approx(facts["probabilities"], abs=1e-3)


@pytest.mark.slow
def test_stopped_training_can_be_resumed(writable: Workspace, expected: Facts) -> None:
    """The same run continues from its checkpoint."""
    pytest.importorskip("torch")
    import yaml

    from saccade.app.ml.train import train
    from saccade.training.recipe import parse_recipe

    recipe = parse_recipe(yaml.safe_load(expected["resume"]["recipe"]))
    stopped = writable.runs.latest("train", recipe.name)
    assert stopped is not None
    assert stopped.state == expected["resume"]["state"]
    result = train(writable, recipe, resume=True, tensorboard=False)
    assert (result.run.id, result.run.state, result.outcome.reason) == (stopped.id, "finished", "epochs")
    assert [epoch["epoch"] for epoch in result.outcome.state.history] == [1, 2]


def test_evaluations(workspace: Workspace, expected: Facts) -> None:
    evaluations = [
        {
            "id": evaluation.id,
            "model": evaluation.model,
            "dataset": evaluation.dataset,
            "split": evaluation.split,
            "kind": evaluation.kind,
            "metrics": dict(evaluation.metrics),
            "run": evaluation.run_id,
            "report": None if evaluation.report is None else sha256(evaluation.report),
        }
        for evaluation in workspace.evaluations.list()
    ]
    assert as_json(evaluations) == expected["projects"]["default"]["evaluations"]
    (of_ships,) = workspace.evaluations.list(model="ships@production")
    assert of_ships.model == "ships@1"


# The HTTP API


def paths_of(facts: Facts) -> Iterator[str]:
    """List the paths of everything in a project."""
    collections = ("datasets", "jobs", "runs", "models", "evaluations", "webhooks", "members", "invitations", "audit")
    yield from (f"/{collection}" for collection in collections)
    for name, dataset in facts["datasets"].items():
        yield from (f"/datasets/{name}{part}" for part in ("/refs", "/versions", "/views"))
        for number in dataset["versions"]:
            parts = ("", "/items", "/stats", "/classes", "/arrow")
            yield from (f"/datasets/{name}@{number}{part}" for part in parts)
    for job in facts["jobs"]:
        yield from (f"/jobs/{job['id']}", f"/jobs/{job['id']}/log")
        yield from (f"/jobs/{job['id']}/{file}" for file in job["files"] if file.startswith("files/"))
    for run in facts["runs"]:
        yield f"/runs/{run['id']}"
        if "metrics.jsonl" in run["files"]:
            yield f"/runs/{run['id']}/metrics"
        if run["steps"]:
            yield f"/runs/{run['id']}/pipeline"
    for model in facts["models"].values():
        for version in model["versions"]:
            yield from (f"/models/{version['ref']}{part}" for part in ("", "/lineage"))
    for evaluation in facts["evaluations"]:
        yield f"/evaluations/{evaluation['id']}"
    for webhook in facts["webhooks"]:
        yield from (f"/webhooks/{webhook['id']}{part}" for part in ("", "/deliveries"))


@pytest.mark.slow
def test_api_returns_everything_to_an_old_session(writable: Workspace, expected: Facts) -> None:
    with TestClient(create_app(writable), base_url="http://127.0.0.1:8080") as client:
        client.cookies.set(SESSION_COOKIE, expected["session"]["secret"])
        for project, facts in expected["projects"].items():
            prefix = API if project == "default" else f"{API}/projects/{project}"
            for path in paths_of(facts):
                response = client.get(f"{prefix}{path}")
                assert response.status_code == 200, f"{path}: {response.text[:300]}"


@pytest.mark.slow
def test_api_accepts_an_old_token(writable: Workspace, expected: Facts) -> None:
    with TestClient(create_app(writable), base_url="http://127.0.0.1:8080") as client:
        headers = {"Authorization": f"Bearer {expected['token']['secret']}"}
        response = client.get(f"{API}/datasets", headers=headers)
    assert response.status_code == 200
    assert {dataset["name"] for dataset in response.json()} == set(expected["projects"]["default"]["datasets"])


# The cache of pipelines


def per_item_with_old_arguments(name: str, **options: Any) -> Any:
    """The decorator ``per_item`` as operations for 0.1.0 call it."""
    return per_item(name, **{RENAMED_ARGUMENTS.get(argument, argument): value for argument, value in options.items()})


def open_pipeline(workspace: Workspace, folder: Path, *last_steps: str) -> Runner:
    """A runner of the fixture's pipeline: of all steps, or of some and those that they need."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saccade.operations, "per_item", per_item_with_old_arguments)
        graph = load_graph(folder / "pipeline" / "pipeline.yaml")
        return Runner(workspace, graph.subgraph(last_steps) if last_steps else graph, engine=LocalEngine(1))


def column_of_result(runner: Runner, table: Any, column: str) -> dict[str, Any]:
    """The values of a column by key."""
    reader = runner.environment.reader(table)
    return dict(zip(reader.keys(), reader.column(column), strict=True))


def cached_values(runner: Runner, cached_result: CachedResult) -> dict[str, str]:
    """Digests of the values of each column that a cached result contains."""
    digests = {}
    for column in cached_result.schema.columns:
        lazy_column = runner.cache.column(*cached_result.columns[column.name])
        array = runner.environment.loader.load_column(lazy_column, ARROW_TYPES[column.kind])
        digests[column.name] = digest_of(plain_value(decode_column(column, array)))
    return digests


def test_cache_folders(workspace: Workspace, expected: Facts) -> None:
    assert workspace.pipeline_cache.relative_to(workspace.location).as_posix() == expected["pipeline"]["folder"]
    assert workspace.scoped_to_project("night").pipeline_cache.is_dir()


def test_cached_results(workspace: Workspace, folder: Path, expected: Facts) -> None:
    runner = open_pipeline(workspace, folder)
    for facts in expected["pipeline"]["cached_steps"]:
        content = runner.cache.get_entry("steps", facts["key"])
        assert content is not None, facts["key"]
        cached_result = CachedResult.from_json(content)
        stored = [*cached_result.columns.values(), cached_result.keys, cached_result.rows]
        result = {
            "key": facts["key"],
            "type": str(cached_result.type),
            "columns": sorted(cached_result.columns),
            "column_ids": sorted(column[0] for column in stored if column is not None),
            "failed": cached_result.failed,
            "failures": [list(failure) for failure in cached_result.failures],
            "ref": cached_result.ref,
            "value": cached_result.value,
            "segments": list(cached_result.segments),
            "values": cached_values(runner, cached_result),
        }
        assert result == facts
        assert cached_result.is_available(runner.cache), "its columns and segments are available"


def test_cached_segments(workspace: Workspace, folder: Path, expected: Facts) -> None:
    runner = open_pipeline(workspace, folder)
    for name, facts in expected["pipeline"]["memos"].items():
        memo = runner.cache.memo(name)
        assert [segment.path.name for segment in memo.segments] == facts["segments"]
        assert len(memo) == facts["items"]
        assert sum(len(segment.batch.rows) for segment in memo.segments) == facts["rows"]


def test_cached_columns(workspace: Workspace, folder: Path, expected: Facts) -> None:
    facts = expected["pipeline"]
    runner = open_pipeline(workspace, folder)
    assert set(facts["delta_columns"]) < set(facts["columns"])
    for column in facts["columns"]:
        assert runner.cache.has_column(column)


def test_pinned_files(workspace: Workspace, folder: Path, expected: Facts) -> None:
    """The cache records which files its columns refer to, so that the garbage collection keeps them."""
    runner = open_pipeline(workspace, folder)
    for column, (count, content) in expected["pipeline"]["pinned"].items():
        digests = runner.cache.file_digests(column)
        assert digests is not None
        assert (len(digests), digest_of(digests)) == (count, content)


def test_cached_notes(workspace: Workspace, folder: Path, expected: Facts) -> None:
    """What steps depended on when they last ran, and the columns of dataset versions."""
    runner = open_pipeline(workspace, folder)
    for name in expected["pipeline"]["last"]:
        assert runner.cache.get_entry("last", name.removesuffix(".json")) is not None
    for name in expected["pipeline"]["sources"]:
        assert runner.cache.get_entry("sources", name) is not None


def test_steps_with_unchanged_code_are_cache_hits(writable: Workspace, folder: Path, expected: Facts) -> None:
    """These operations use nothing of Saccade but the decorator, so their cache keys must stay the same.

    The keys of built-in operations contain a fingerprint of their code, which every rename changes.
    """
    facts = expected["pipeline"]
    runner = open_pipeline(writable, folder, "double", "careful")
    outcome = runner.run()
    steps = {step.step: step for step in outcome.steps}
    for name in ("double", "careful"):
        step = steps[name]
        assert {"action": str(step.action), "items": step.items, "failed": step.failed} == facts["steps"][name]
        assert column_of_result(runner, outcome[name].table, "brightness") == facts["values"][name]


def test_pipeline_gives_the_same_results(writable: Workspace, folder: Path, expected: Facts) -> None:
    """With results from the old cache, or computed again."""
    facts = expected["pipeline"]
    runner = open_pipeline(writable, folder, "calculated", "some", "both", "tiles", "counts")
    outcome = runner.run()
    for name, column in (("calculated", "count"), ("some", "brightness"), ("both", "count")):
        assert column_of_result(runner, outcome[name].table, column) == facts["values"][name]
    tiles = outcome["tiles"].table
    assert tiles is not None
    assert runner.environment.reader(tiles).keys() == facts["tile_keys"]
    assert outcome["counts"].value == facts["counts"]
