"""The report of a conversion."""

from __future__ import annotations

import json

from saccade.core.report import Action, Finding, Report


def test_findings_keep_their_order_and_are_counted() -> None:
    report = Report()
    report.add(Action.DROPPED, "box without area", key="a", object_id="1")
    report.add(Action.CLIPPED, "box outside", key="a", object_id="2", detail="by 3 px")
    report.add(Action.DROPPED, "box without area", key="b")
    assert len(report) == 3
    assert [finding.key for finding in report] == ["a", "a", "b"]
    assert report.counts() == {(Action.DROPPED, "box without area"): 2, (Action.CLIPPED, "box outside"): 1}
    assert report.of(Action.CLIPPED) == [Finding(Action.CLIPPED, "box outside", "a", "2", "by 3 px")]
    assert report.of(Action.GUESSED) == []


def test_json() -> None:
    report = Report()
    report.add(Action.SET_ASIDE, "unreadable", key="a", detail="truncated")
    assert json.loads(json.dumps(report.to_json())) == {
        "counts": [{"action": "set_aside", "reason": "unreadable", "count": 1}],
        "findings": [
            {"action": "set_aside", "reason": "unreadable", "key": "a", "object_id": "", "detail": "truncated"}
        ],
    }
    assert Report().to_json() == {"counts": [], "findings": []}
