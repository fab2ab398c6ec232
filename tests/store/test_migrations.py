"""The migrations create exactly the tables that the code expects."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_mock_engine, select

from saccade.store.catalog.migrations import HEAD, config, upgrade
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import (
    AliasChangeRow,
    AuditRow,
    Base,
    DatasetAliasRow,
    DatasetRow,
    EvaluationRow,
    JobRow,
    ProjectRow,
    RunRow,
    TokenRow,
    UserRow,
    VersionRow,
)


def _catalog(tmp_path: Path) -> Catalog:
    catalog = Catalog(f"sqlite:///{tmp_path / 'catalog.db'}")
    catalog.migrate()
    return catalog


def test_migrated_tables_match_the_code(tmp_path: Path) -> None:
    catalog = _catalog(tmp_path)
    with catalog.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    catalog.close()


def test_head_is_the_last_revision() -> None:
    assert ScriptDirectory.from_config(config()).get_heads() == [HEAD]


def test_migrating_twice_changes_nothing_and_creates_one_default_project(tmp_path: Path) -> None:
    catalog = _catalog(tmp_path)
    catalog.migrate()
    with catalog.read_tx() as session:
        assert [row.name for row in session.scalars(select(ProjectRow))] == ["default"]
    catalog.close()


def test_a_failed_upgrade_is_rolled_back(tmp_path: Path) -> None:
    catalog = Catalog(f"sqlite:///{tmp_path / 'catalog.db'}")
    with catalog.engine.connect() as connection:
        with connection.begin() as transaction:
            upgrade(connection)
            transaction.rollback()
        assert connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar() == 0
    catalog.close()


def test_downgrade_drops_all_tables(tmp_path: Path) -> None:
    catalog = _catalog(tmp_path)
    with catalog.engine.begin() as connection:
        settings = config()
        settings.attributes["connection"] = connection
        command.downgrade(settings, "base")
        names = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars().all()
    assert [name for name in names if not name.startswith("sqlite_")] == ["alembic_version"]
    catalog.close()


def test_the_first_revision_is_upgraded(tmp_path: Path) -> None:
    """Rows of the first revision are kept, with default values in the new columns."""
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    catalog = Catalog(url)
    with catalog.engine.begin() as connection:
        settings = config()
        settings.attributes["connection"] = connection
        command.upgrade(settings, "0001")
        connection.exec_driver_sql(
            "INSERT INTO datasets (id, project_id, name, last_number, created) VALUES (1, 1, 'd', 1, '2026-01-01')"
        )
        connection.exec_driver_sql(
            "INSERT INTO dataset_versions (dataset_id, number, branch, table_id, table_version, schema, message,"
            " author, created, items, added, removed, changed, inputs) VALUES (1, 1, 'main', 't', '1', '{}',"
            " 'hello', '', '2026-01-01', 3, 3, 0, 0, '[]')"
        )
        connection.exec_driver_sql("INSERT INTO dataset_aliases VALUES (1, 'gold', 1)")
    catalog.migrate()
    with catalog.read_tx() as session:
        version = session.scalars(select(VersionRow)).one()
        assert (version.message, version.items, version.merged, version.origin) == ("hello", 3, None, None)
        assert len(session.scalars(select(DatasetRow)).one().uid) == 32
        assert [(row.name, row.fixed) for row in session.scalars(select(DatasetAliasRow))] == [("gold", False)]
    catalog.close()


def test_every_table_can_be_created_in_postgresql() -> None:
    statements: list[str] = []
    postgresql = create_mock_engine("postgresql://", lambda statement, *_: statements.append(str(statement)))
    Base.metadata.create_all(postgresql, checkfirst=False)
    assert sum("CREATE TABLE" in statement for statement in statements) == len(Base.metadata.sorted_tables)


def test_connections_are_durable_and_enforce_foreign_keys(tmp_path: Path) -> None:
    catalog = _catalog(tmp_path)
    with catalog.engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")
        }
        assert pragmas == {"journal_mode": "wal", "synchronous": 2}
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    catalog.close()


ROWS = {
    "0001": [
        "INSERT INTO runs (id, kind, name, state, config, inputs, outputs, metrics, error, process, heartbeat, created)"
        " VALUES ('r1', 'train', 'n', 'finished', '{}', '[]', '[]', '{}', '', 'h~1~1', '2026-01-01', '2026-01-01')",
        "INSERT INTO evaluations (id, dataset, split, kind, metrics, created)"
        " VALUES ('e1', 'd@1', 'test', 'boxes', '{}', '2026-01-01')",
        "INSERT INTO alias_changes (subject, name, alias, number, author, at)"
        " VALUES ('model', 'm', 'production', 1, '', '2026-01-01')",
    ],
    "0003": [
        "INSERT INTO people (id, email, name, created) VALUES ('p1', 'a@example.org', 'A', '2026-01-01')",
        "INSERT INTO members (project_id, person_id, role, since) VALUES (1, 'p1', 'owner', '2026-01-01')",
        "INSERT INTO tokens (id, person_id, name, secret, role, created, expires)"
        " VALUES ('t1', 'p1', 'n', 's', 'viewer', '2026-01-01', '2027-01-01')",
        "INSERT INTO audit (at, person_id, action, subject, address) VALUES ('2026-01-01', 'p1', 'did', 'it', '')",
    ],
    "0004": [
        "INSERT INTO jobs (id, project_id, kind, title, parameters, state, attempts, is_cancelled, process, heartbeat,"
        " progress, result, error, hint, created) VALUES ('j1', 1, 'look', 't', '{}', 'finished', 1, 0, '',"
        " '2026-01-01', '{}', '{}', '', '', '2026-01-01')",
    ],
    "0005": [
        f"UPDATE {table} SET project_id = 1" for table in ("runs", "evaluations", "alias_changes", "tokens", "audit")
    ],
}


@pytest.mark.parametrize("revision_id", ["0001", "0002", "0003", "0004", "0005", "0006"])
def test_every_revision_is_upgraded(tmp_path: Path, revision_id: str) -> None:
    """Rows are kept, and belong to the default project afterwards."""
    catalog = Catalog(f"sqlite:///{tmp_path / 'catalog.db'}")
    with catalog.engine.begin() as connection:
        settings = config()
        settings.attributes["connection"] = connection
        for revision, rows in ROWS.items():
            if revision <= revision_id:
                command.upgrade(settings, revision)
                for row in rows:
                    connection.exec_driver_sql(row)
        command.upgrade(settings, revision_id)
    catalog.migrate()
    with catalog.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    with catalog.scoped(1).read_tx() as session:
        assert [row.id for row in session.scalars(select(RunRow))] == ["r1"]
        assert [row.id for row in session.scalars(select(EvaluationRow))] == ["e1"]
        assert [row.alias for row in session.scalars(select(AliasChangeRow))] == ["production"]
        expected = ["t1"] if revision_id >= "0003" else []
        assert [row.id for row in session.scalars(select(TokenRow))] == expected
        assert [row.former_email_hash for row in session.scalars(select(UserRow))] == [None for _ in expected]
        assert len(session.scalars(select(AuditRow)).all()) == len(expected)
        assert [row.id for row in session.scalars(select(JobRow))] == (["j1"] if revision_id >= "0004" else [])
    catalog.close()
