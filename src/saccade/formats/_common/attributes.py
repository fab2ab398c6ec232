"""Attributes of objects as they come from files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from saccade.core.objects import AttributeValue
from saccade.core.report import Action, Report


def plain_attributes(
    given: Mapping[Any, Any], report: Report, *, key: str, object_id: str, finite: bool = True
) -> dict[str, AttributeValue]:
    """Those that are text, numbers or truth values; the others are reported.

    Args:
        finite: whether NaN and infinity are among the others.
    """
    kept: dict[str, AttributeValue] = {}
    for name, value in given.items():
        fits = isinstance(value, str | bool | int | float) and not (
            finite and isinstance(value, float) and not math.isfinite(value)
        )
        if isinstance(name, str) and fits:
            kept[name] = value
        else:
            reason = "attribute that is no text, number or truth value"
            report.add(Action.DROPPED, reason, key=key, object_id=object_id, detail=str(name)[:100])
    return kept
