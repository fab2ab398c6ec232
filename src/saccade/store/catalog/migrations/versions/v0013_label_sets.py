"""Label sets, their classes, items and objects, and the log of edits."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "label_sets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("dataset_id", sa.Integer(), nullable=False),
        sa.Column("branch", sa.String(length=255), nullable=False),
        sa.Column("column", sa.String(length=255), nullable=False),
        sa.Column("start", sa.String(length=16), nullable=False),
        sa.Column("query", sa.Text(), nullable=True),
        sa.Column("source", sa.Integer(), nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("committed_seq", sa.Integer(), nullable=False),
        sa.Column("classes_version", sa.Integer(), nullable=False),
        sa.Column("author_id", sa.String(length=32), nullable=False),
        sa.Column("author", sa.String(length=255), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_label_sets_project_id_projects")),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name=op.f("fk_label_sets_dataset_id_datasets")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label_sets")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_label_sets_project_id_name")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_label_sets_dataset_id"), "label_sets", ["dataset_id"])
    op.create_table(
        "label_classes",
        sa.Column("set_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("dataset_name", sa.String(length=255), nullable=True),
        sa.Column("color", sa.String(length=7), nullable=False),
        sa.Column("hotkey", sa.String(length=1), nullable=True),
        sa.Column("parent", sa.String(length=64), nullable=True),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("keypoints", sa.JSON(), nullable=False),
        sa.Column("skeleton", sa.JSON(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("successor", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["set_id"], ["label_sets.id"], name=op.f("fk_label_classes_set_id_label_sets")),
        sa.PrimaryKeyConstraint("set_id", "id", name=op.f("pk_label_classes")),
    )
    op.create_table(
        "label_items",
        sa.Column("set_id", sa.Integer(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("objects", sa.Integer(), nullable=False),
        sa.Column("next_order", sa.Double(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("edit_seq", sa.Integer(), nullable=False),
        sa.Column("state_seq", sa.Integer(), nullable=False),
        sa.Column("state_author_id", sa.String(length=32), nullable=False),
        sa.Column("state_author", sa.String(length=255), nullable=False),
        sa.Column("updated", sa.DateTime(), nullable=False),
        sa.Column("updated_by", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["set_id"], ["label_sets.id"], name=op.f("fk_label_items_set_id_label_sets")),
        sa.PrimaryKeyConstraint("set_id", "item", name=op.f("pk_label_items")),
    )
    op.create_index(op.f("ix_label_items_set_id_seq"), "label_items", ["set_id", "seq"])
    op.create_table(
        "label_objects",
        sa.Column("set_id", sa.Integer(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("class_id", sa.String(length=64), nullable=False),
        sa.Column("geometry", sa.JSON(), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("track", sa.Text(), nullable=True),
        sa.Column("order", sa.Double(), nullable=False),
        sa.Column("source", sa.String(length=255), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("stamps", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["set_id"], ["label_sets.id"], name=op.f("fk_label_objects_set_id_label_sets")),
        sa.PrimaryKeyConstraint("set_id", "item", "object", name=op.f("pk_label_objects")),
    )
    op.create_table(
        "label_edits",
        sa.Column("set_id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=True),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("overwrote", sa.JSON(), nullable=False),
        sa.Column("deleted_by", sa.String(length=255), nullable=True),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("group", sa.String(length=36), nullable=False),
        sa.Column("undoes", sa.String(length=36), nullable=True),
        sa.Column("redoes", sa.String(length=36), nullable=True),
        sa.Column("author_id", sa.String(length=32), nullable=False),
        sa.Column("author", sa.String(length=255), nullable=False),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.Column("is_merge", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["set_id"], ["label_sets.id"], name=op.f("fk_label_edits_set_id_label_sets")),
        sa.PrimaryKeyConstraint("set_id", "seq", name=op.f("pk_label_edits")),
        sa.UniqueConstraint("set_id", "id", name=op.f("uq_label_edits_set_id_id")),
    )
    op.create_index(op.f("ix_label_edits_set_id_item_seq"), "label_edits", ["set_id", "item", "seq"])


def downgrade() -> None:
    for table in ("label_edits", "label_objects", "label_items", "label_classes", "label_sets"):
        op.drop_table(table)
