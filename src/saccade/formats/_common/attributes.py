"""Attributes and ids of objects, as they come from files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from saccade.core.objects import AttributeValue
from saccade.core.report import ConversionReport, FindingType


def claim_object_id(object_id: str, used_ids: set[str]) -> str:
    """Return the id, with apostrophes appended if another object of the item has it, and add it to ``used_ids``."""
    while object_id in used_ids:
        object_id += "'"
    used_ids.add(object_id)
    return object_id


def scalar_attributes(
    attributes: Mapping[Any, Any], report: ConversionReport, *, key: str, object_id: str, finite: bool = True
) -> dict[str, AttributeValue]:
    """Return the attributes that are text, numbers or booleans; report the others as dropped.

    Args:
        finite: whether NaN and infinity are dropped too.
    """
    scalars: dict[str, AttributeValue] = {}
    for name, value in attributes.items():
        is_scalar = isinstance(value, str | bool | int | float)
        if is_scalar and finite and isinstance(value, float):
            is_scalar = math.isfinite(value)
        if isinstance(name, str) and is_scalar:
            scalars[name] = value
        else:
            reason = "attribute that is not text, a number or a boolean"
            report.add(FindingType.DROPPED, reason, key=key, object_id=object_id, detail=str(name)[:100])
    return scalars
