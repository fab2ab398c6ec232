"""The report of a conversion."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade.core import report as core_report
from saccade.core.report import ConversionReport, Finding, FindingType


def test_findings_keep_their_order_and_are_counted() -> None:
    report = ConversionReport()
    report.add(FindingType.DROPPED, "box without area", key="a", object_id="1")
    report.add(FindingType.CLIPPED, "box outside", key="a", object_id="2", detail="by 3 px")
    report.add(FindingType.DROPPED, "box without area", key="b")
    assert len(report) == 3
    assert [finding.key for finding in report] == ["a", "a", "b"]
    assert report.counts() == {(FindingType.DROPPED, "box without area"): 2, (FindingType.CLIPPED, "box outside"): 1}
    assert list(report)[1] == Finding(FindingType.CLIPPED, "box outside", "a", "2", "by 3 px")


@given(
    st.lists(
        st.tuples(st.sampled_from(FindingType), st.sampled_from("ab"), st.text(), st.text(), st.text()), max_size=20
    ),
    st.integers(1, 5),
)
def test_findings_are_what_they_were_however_many(
    found: list[tuple[FindingType, str, str, str, str]], together: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core_report, "_CHUNK_SIZE", together)
        report = ConversionReport()
        for action, reason, key, object_id, detail in found:
            report.add(action, reason, key=key, object_id=object_id, detail=detail)
        findings = [Finding(*one) for one in found]
        assert list(report) == findings
        assert len(report) == len(found)
        assert list(report.counts().items()) == list(Counter((one.action, one.reason) for one in findings).items())
        lost = [one for one in findings if one.action is not FindingType.WARNING]
        assert report.losses() == (len(lost), lost[0] if lost else None)
        told = report.to_json()
        assert json.loads("".join(report.iter_json())) == json.loads(json.dumps(told))
        assert report.to_json(2) == told | {"findings": told["findings"][:2]}


def test_json() -> None:
    report = ConversionReport()
    report.add(FindingType.SKIPPED, "unreadable", key="a", detail="truncated")
    assert json.loads(json.dumps(report.to_json())) == {
        "counts": [{"action": "skipped", "reason": "unreadable", "count": 1}],
        "findings": [{"action": "skipped", "reason": "unreadable", "key": "a", "object_id": "", "detail": "truncated"}],
    }
    assert ConversionReport().to_json() == {"counts": [], "findings": []}
