"""A process that changes a workspace until it is killed; run by test_webhooks_crash."""

from __future__ import annotations

import sys

from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.store.workspace import Workspace

SCHEMA = Schema((Column("number", Kind.NUMBER),))


def main(location: str) -> None:
    with Workspace.open(location) as workspace:
        number = len(workspace.datasets.log("d"))
        print("ready", flush=True)
        while True:
            number += 1
            workspace.datasets.write("d", SCHEMA, [Item(f"k{number}", {"number": float(number)})], mode="append")
            for _ in range(2):
                workspace.jobs.cancel(workspace.jobs.add("inspect-source", "Look", {}).id)


if __name__ == "__main__":
    main(sys.argv[1])
