"""Every call of the OpenAPI description to a running `rapport up`, with requests that follow it and requests that
break it: nothing fails, and every answer is one that the description has. More: `pytest --api-examples 500`."""

from __future__ import annotations

import ipaddress
import itertools

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from edge.target import PATIENCE_SECONDS, Target
from pipeline.api.openapi import openapi

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SCHEMA = schemathesis.openapi.from_dict(openapi())
OPERATIONS = {operation.label: operation for operation in (found.ok() for found in SCHEMA.get_all_operations())}
TAKING = [label for label, operation in OPERATIONS.items() if operation.body or operation.path_parameters]
CALLERS = (str(ipaddress.ip_address("198.18.0.0") + n) for n in itertools.count())
"""Nobody asks so often that it is told to come again."""


@pytest.mark.parametrize(
    ("label", "mode"),
    [
        *((label, GenerationMode.POSITIVE) for label in OPERATIONS),
        *((label, GenerationMode.NEGATIVE) for label in TAKING),
    ],
    ids=str,
)
def test_every_call(target: Target, label: str, mode: GenerationMode, request: pytest.FixtureRequest) -> None:
    option = request.config.getoption
    fixed = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much)

    @seed(int(option("--seed")))
    @settings(
        max_examples=int(option("--api-examples")),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=fixed,
    )
    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    def call(case: Case) -> None:
        named = {"Authorization": f"Bearer {target.home.server_key}", "X-Forwarded-For": next(CALLERS)}
        answer = case.call(target.role.url, headers=named, timeout=PATIENCE_SECONDS)
        case.validate_response(answer, checks=CHECKS)

    call()
    assert target.is_well()
