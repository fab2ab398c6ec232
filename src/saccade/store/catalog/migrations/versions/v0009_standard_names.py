"""Standard names: tables, columns, states of deliveries, names of events and kinds of jobs.

Constraints keep the names that they have, except unique ones, whose names Alembic compares. SQLite cannot recreate a
table that others reference, so the unique constraint of ``users.email`` keeps its old name.
"""

import json
from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TABLES = {
    "people": "users",
    "sign_ins": "pending_logins",
    "sign_in_failures": "login_failures",
    "requests": "idempotent_requests",
}
_COLUMNS = (
    ("users", "password", "password_hash"),
    ("users", "former", "former_email_hash"),
    ("identities", "person_id", "user_id"),
    ("members", "person_id", "user_id"),
    ("sessions", "person_id", "user_id"),
    ("sessions", "guard", "csrf_token"),
    ("sessions", "seen", "last_seen"),
    ("tokens", "person_id", "user_id"),
    ("tokens", "used", "last_used"),
    ("audit", "person_id", "user_id"),
    ("jobs", "person_id", "user_id"),
    ("jobs", "request", "idempotency_key"),
    ("jobs", "is_cancelled", "cancel_requested"),
    ("idempotent_requests", "person_id", "user_id"),
    ("idempotent_requests", "name", "key_hash"),
    ("idempotent_requests", "asked", "fingerprint"),
    ("webhooks", "previous", "previous_secret"),
    ("webhooks", "previous_until", "previous_secret_expires_at"),
    ("webhooks", "is_on", "enabled"),
    ("webhooks", "trouble", "disabled_reason"),
    ("webhook_deliveries", "due", "next_attempt_at"),
    ("webhook_deliveries", "began", "first_attempt_at"),
    ("webhook_deliveries", "tried", "last_attempt_at"),
    ("webhook_deliveries", "took", "duration_ms"),
)
_INDEXES = (  # table, old name, old columns, new name, new columns
    ("users", "ix_people_former", ["former"], "ix_users_former_email_hash", ["former_email_hash"]),
    ("identities", "ix_identities_person_id", ["person_id"], "ix_identities_user_id", ["user_id"]),
    ("sessions", "ix_sessions_person_id", ["person_id"], "ix_sessions_user_id", ["user_id"]),
    ("tokens", "ix_tokens_person_id", ["person_id"], "ix_tokens_user_id", ["user_id"]),
    (
        "idempotent_requests",
        "ix_requests_project_id",
        ["project_id"],
        "ix_idempotent_requests_project_id",
        ["project_id"],
    ),
    ("idempotent_requests", "ix_requests_created", ["created"], "ix_idempotent_requests_created", ["created"]),
    (
        "webhook_deliveries",
        "ix_webhook_deliveries_state_due",
        ["state", "due"],
        "ix_webhook_deliveries_state_next_attempt_at",
        ["state", "next_attempt_at"],
    ),
)
_UNIQUE = (  # table, old name, old columns, new name, new columns
    (
        "jobs",
        "uq_jobs_person_id_request",
        ["person_id", "request"],
        "uq_jobs_user_id_idempotency_key",
        ["user_id", "idempotency_key"],
    ),
    (
        "idempotent_requests",
        "uq_requests_project_id_person_id_name",
        ["project_id", "person_id", "name"],
        "uq_idempotent_requests_project_id_user_id_key_hash",
        ["project_id", "user_id", "key_hash"],
    ),
)

_JOB_KINDS = {
    "look": "inspect-source",
    "write": "write-items",
    "backbones": "list-backbones",
    "change": "edit-items",
    "classes": "edit-classes",
}
_DELIVERY_STATES = {"waiting": "pending"}
_EVENTS = {"person.joined": "member.joined", "person.removed": "member.removed"}


def upgrade() -> None:
    for old, new in _TABLES.items():
        op.rename_table(old, new)
    for table, old, new in _COLUMNS:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
    for table, old, _, new, columns in _INDEXES:
        op.drop_index(op.f(old), table_name=table)
        op.create_index(op.f(new), table, columns)
    for table, old, _, new, columns in _UNIQUE:
        with op.batch_alter_table(table) as batch:
            batch.drop_constraint(op.f(old), type_="unique")
            batch.create_unique_constraint(op.f(new), columns)
    _rename_values(_JOB_KINDS, _DELIVERY_STATES, _EVENTS)


def downgrade() -> None:
    _rename_values(*({new: old for old, new in names.items()} for names in (_JOB_KINDS, _DELIVERY_STATES, _EVENTS)))
    for table, _, _, new, _ in _INDEXES:
        op.drop_index(op.f(new), table_name=table)
    for table, old, new in _COLUMNS:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {new} TO {old}")
    for table, old, old_columns, new, _ in _UNIQUE:
        with op.batch_alter_table(table) as batch:
            batch.drop_constraint(op.f(new), type_="unique")
            batch.create_unique_constraint(op.f(old), old_columns)
    for table, old, old_columns, _, _ in _INDEXES:
        op.create_index(op.f(old), table, old_columns)
    for old, new in _TABLES.items():
        op.rename_table(new, old)


def _rename_values(job_kinds: Mapping[str, str], delivery_states: Mapping[str, str], events: Mapping[str, str]) -> None:
    connection = op.get_bind()
    jobs_and_runs = [sa.table(name, sa.column("kind")) for name in ("jobs", "runs")]
    deliveries = sa.table("webhook_deliveries", sa.column("state"), sa.column("event"), sa.column("body"))
    webhooks = sa.table("webhooks", sa.column("id"), sa.column("events", sa.JSON))
    for old, new in job_kinds.items():
        for table in jobs_and_runs:
            connection.execute(sa.update(table).where(table.c.kind == old).values(kind=new))
    for old, new in delivery_states.items():
        connection.execute(sa.update(deliveries).where(deliveries.c.state == old).values(state=new))
    for old, new in events.items():
        body = sa.func.replace(deliveries.c.body, json.dumps(old), json.dumps(new))
        renamed = sa.update(deliveries).where(deliveries.c.event == old).values(event=new, body=body)
        connection.execute(renamed)
    for webhook in connection.execute(sa.select(webhooks)).all():
        names = [events.get(name, name) for name in webhook.events]
        if names != webhook.events:
            connection.execute(sa.update(webhooks).where(webhooks.c.id == webhook.id).values(events=names))
