"""Group commit: many clients at once, a batch that fails among others, and closing."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.annotation.conftest import ANN, BEN, put

from saccade.annotation.label_sets import LabelSets
from saccade.annotation.records import AppliedEdit
from saccade.annotation.writer import EditWriter
from saccade.core.errors import NotFoundError, StorageFullError, WorkspaceError


def test_all_edits_of_many_threads_are_written_once_and_in_order(label_sets: LabelSets) -> None:
    announced: list[int] = []

    def listen(set_id: int, edits: Sequence[AppliedEdit]) -> None:
        announced.extend(applied.seq for applied in edits)

    writer = EditWriter(label_sets.workspace.catalog, listen)
    results: list[str] = []

    def work(thread: int) -> None:
        for number in range(10):
            batch = label_sets.batch("pets", [put("k0", f"{thread}-{number}"), put("k3", f"{thread}-{number}")], ANN)
            results.extend(result.status for result in writer.submit(batch).result().results)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert results == ["applied"] * 120
    assert announced == list(range(1, 121))
    assert [applied.seq for applied in label_sets.history("pets")] == announced
    assert len(label_sets.item("pets", "k0").objects) == 60


def test_a_batch_that_fails_does_not_fail_the_others(label_sets: LabelSets) -> None:
    label_sets.create("gone", "pets")
    batches: list[Any] = [label_sets.batch("pets", [put("k0", f"n{n}")], ANN) for n in range(3)]
    batches.insert(1, label_sets.batch("gone", [put("k0", "n")], BEN))
    unwritable = put("k0", "m")
    batches.insert(3, label_sets.batch("pets", [replace(unwritable, group="x" * 99, base=2**80)], BEN))
    label_sets.delete("gone")
    writer = EditWriter(label_sets.workspace.catalog)
    with label_sets.workspace.catalog.write_tx():  # so that all of them wait for one transaction
        futures = [writer.submit(batch) for batch in batches]
    errors = [future.exception() for future in futures]
    assert [type(error) for error in errors[:3]] == [type(None), NotFoundError, type(None)]
    assert errors[3] is not None
    assert errors[4] is None
    assert {obj.id for obj in label_sets.item("pets", "k0").objects} == {"n0", "n1", "n2"}
    writer.close()


def test_a_full_disk_is_told_to_all(label_sets: LabelSets, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = EditWriter(label_sets.workspace.catalog)
    writer.submit(label_sets.batch("pets", [put("k0", "n")], ANN)).result()
    if label_sets.workspace.catalog.is_sqlite:
        with label_sets.workspace.catalog.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        from sqlalchemy import event

        def limit(connection: Any, *_: Any) -> None:
            connection.execute(f"PRAGMA max_page_count={pages}")

        label_sets.workspace.catalog.engine.dispose()
        event.listen(label_sets.workspace.catalog.engine, "connect", limit)
        large = put("k0", "large", attributes={f"a{n}": "x" * 9000 for n in range(40)})
        error = writer.submit(label_sets.batch("pets", [large], ANN)).exception()
        assert isinstance(error, StorageFullError)
        assert [obj.id for obj in label_sets.item("pets", "k0").objects] == ["n"]
    writer.close()


def test_closing_writes_what_waits(label_sets: LabelSets) -> None:
    writer = EditWriter(label_sets.workspace.catalog)
    futures = [writer.submit(label_sets.batch("pets", [put("k0", f"n{n}")], ANN)) for n in range(20)]
    writer.close()
    writer.close()
    assert all(future.result().results[0].status == "applied" for future in futures)
    with pytest.raises(WorkspaceError, match="stopping"):
        writer.submit(label_sets.batch("pets", [put("k0", "late")], ANN))
    assert len(label_sets.history("pets")) == 20
