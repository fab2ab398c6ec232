"""Questions to a version, answered by DuckDB over its table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from saccade.core.errors import InvalidValueError
from saccade.core.query import Node
from saccade.core.query.tree import Type
from saccade.core.schema import KEY, Column
from saccade.store.codec import POSITION
from saccade.store.columns import to_list
from saccade.store.lance_table import open_table
from saccade.store.query_sql import MACROS, quoted, to_sql
from saccade.store.snapshot import Snapshot

MOST_VALUES = 1000
_THING = '"#o"'  # no column of a user can have this name


@contextmanager
def _connection(snapshot: Snapshot) -> Iterator[Any]:
    import duckdb

    with duckdb.connect(config={"enable_external_access": False}) as connection:
        connection.register("#items", open_table(snapshot.folder, snapshot.version, sparing=True))
        for macro in MACROS:
            connection.execute(macro)
        yield connection


def run_sql(snapshot: Snapshot, query: str) -> pa.Table:
    """The result of a query of a user over the table ``items``; InvalidValueError with DuckDB's words."""
    import duckdb

    columns = ", ".join(map(quoted, (KEY, *snapshot.schema.names)))
    with _connection(snapshot) as connection:
        connection.execute(f'CREATE VIEW items AS SELECT {columns} FROM "#items"')  # noqa: S608 (names are quoted)
        connection.execute("SET lock_configuration = true")
        try:
            relation = connection.sql(query)
            return pa.table({}) if relation is None else relation.to_arrow_table()
        except duckdb.Error as error:
            raise InvalidValueError(f"The query failed: {error}", hint=f"Columns of items: {columns}.") from error


def keys_where(
    snapshot: Snapshot, query: Node | None, order: Node | None = None, *, descending: bool = False
) -> list[str]:
    """The keys of the items for which a query holds, in the order of the items or of the values of an expression.

    Items without a value come last, and those of one value in their order.
    """
    condition = "true" if query is None else to_sql(query)
    by = "" if order is None else f"{to_sql(order)} {'DESC' if descending else 'ASC'} NULLS LAST, "
    with _connection(snapshot) as connection:
        found = connection.sql(
            f'SELECT {quoted(KEY)} FROM "#items" WHERE {condition} ORDER BY {by}{quoted(POSITION)}'  # noqa: S608
        ).to_arrow_table()
    return to_list(found.column(0).combine_chunks())


def histogram(
    snapshot: Snapshot, expression: Node, *, where: Node | None, over: Column | None, bins: int
) -> dict[str, Any]:
    """How often each value occurs: in equal bins for numbers, one by one for text and truth.

    ``missing`` counts the items or objects without a value, ``infinite`` the numbers that are not finite.
    """
    condition = "true" if where is None else to_sql(where)
    rows = f'SELECT *, unnest({quoted(over.name)}) AS {_THING} FROM "#items"' if over else 'SELECT * FROM "#items"'  # noqa: S608
    # Objects can only be unnested beside the rows that stay, so the condition comes last in the same select.
    source = f"SELECT {to_sql(expression, _THING if over else '')} AS v FROM ({rows} WHERE {condition})"  # noqa: S608
    with _connection(snapshot) as connection:
        connection.execute(f"CREATE TEMP TABLE found AS {source}")
        if expression.type is Type.NUMBER:
            return {"type": "number", **_bins(connection, bins)}
        return {"type": "text" if expression.type is Type.TEXT else "truth", **_values(connection)}


def _bins(connection: Any, bins: int) -> dict[str, Any]:
    total, finite, present, low, high, mean = connection.execute(
        "SELECT count(*), count(*) FILTER (isfinite(v)), count(v), min(v) FILTER (isfinite(v)),"
        " max(v) FILTER (isfinite(v)), avg(v) FILTER (isfinite(v)) FROM found"
    ).fetchone()
    facts = {"count": total, "missing": total - present, "infinite": present - finite, "min": low, "max": high,
             "mean": mean, "bins": []}  # fmt: skip
    if not finite:
        return facts
    bins = 1 if low == high else bins
    counted = connection.execute(
        "SELECT least(CAST(floor((v / ? - ? / ?) / (? / ? - ? / ?) * ?) AS BIGINT), ?) AS bin, count(*) FROM found"
        " WHERE isfinite(v) GROUP BY bin",
        [*_scaled(low, high), bins, bins - 1],
    ).fetchall() if bins > 1 else [(0, finite)]  # fmt: skip
    counts = dict(counted)
    edges = [low + (high / bins - low / bins) * at for at in range(bins)] + [high]
    facts["bins"] = [{"from": edges[at], "to": edges[at + 1], "count": counts.get(at, 0)} for at in range(bins)]
    return facts


def _scaled(low: float, high: float) -> list[float]:
    """The parameters of (v/s - low/s) / (high/s - low/s), where s keeps a difference of huge numbers finite."""
    scale = max(abs(low), abs(high), 1.0)
    return [scale, low, scale, high, scale, low, scale]


def _values(connection: Any) -> dict[str, Any]:
    total, present, kinds = connection.execute("SELECT count(*), count(v), count(DISTINCT v) FROM found").fetchone()
    rows = connection.execute(
        f"SELECT v, count(*) AS n FROM found WHERE v IS NOT NULL GROUP BY v ORDER BY n DESC, v LIMIT {MOST_VALUES}"  # noqa: S608
    ).fetchall()
    values = [{"value": value, "count": count} for value, count in rows]
    return {"count": total, "missing": total - present, "distinct": kinds, "values": values}
