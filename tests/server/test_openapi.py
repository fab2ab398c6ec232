"""Conformance of all routes to the OpenAPI document, for generated requests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.server.conftest import ServerHarness

from saccade.core.roles import Role

EXAMPLES = int(os.environ.get("SACCADE_EXAMPLES", "12"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
schema = schemathesis.openapi.from_path(Path(__file__).parents[2] / "docs" / "reference" / "openapi.json")


@pytest.fixture
def headers(server: ServerHarness) -> dict[str, str]:
    _, secret = server.workspace.users.create_token(server.owner.user.id, "test", Role.OWNER)
    return {"Authorization": f"Bearer {secret}", "Host": "127.0.0.1"}


@pytest.mark.slow
@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_responses_conform_to_the_document(case: Any, server: ServerHarness, headers: dict[str, str]) -> None:
    case.operation.schema.app = server.app  # in this process, not over a socket
    case.call_and_validate(headers=headers, checks=CHECKS, app=server.app)
