"""/openapi.json is a sound document, the page that reads it needs nobody else, and what the document says is
what the edge does, also to strange requests (schemathesis)."""

import re
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from openapi_spec_validator import validate
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.e2e.rest.conftest import Person
from tests.e2e.stack import Stack, running

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# They would sign the caller out, or end the customer that it acts in.
FATAL = {
    "SessionsService_DeleteSession",
    "SessionsService_RevokeSession",
    "SessionsService_RevokeSession_1",
    "UsersService_ChangePassword",
    "CustomersService_UpdateCustomer",
    "CustomersService_DeleteCustomer",
}
# Nothing takes traces in yet (503); without a credential the models are inference's.
OTHERWISE = {"post_v1_traces", "get_v1_ai_models"}


@pytest.fixture(scope="module")
def document(stack: Stack) -> dict[str, Any]:
    """What anybody gets."""
    answer = httpx.get(f"{stack.edge}/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    return dict(answer.json())


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    """OpenAPI 3.1, by the specification's own schema."""
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_what_the_document_tells(document: dict[str, Any]) -> None:
    """Required fields, those of one direction only, enums, errors, and who needs a credential."""
    schemas = document["components"]["schemas"]
    assert schemas["Period"]["enum"][:2] == ["PERIOD_UNSPECIFIED", "PERIOD_NONE"]
    create = document["paths"]["/v1/customers/{customer_id}/keys"]["post"]
    body = create["requestBody"]["content"]["application/json"]["schema"]
    assert "name" in body["required"]
    assert "customer_id" not in body["properties"], "the path has it"
    assert "key_hash" not in body["properties"], "output only"
    assert schemas["Key"]["properties"]["spend_nanousd"]["type"] == "string"
    assert "credential" not in schemas["Provider"]["properties"], "input only"
    change = document["paths"]["/v1/customers/{customer_id}/keys/{key_id}"]["patch"]
    body = change["requestBody"]["content"]["application/json"]["schema"]
    assert "required" not in body
    assert {"400", "401", "403", "404", "409", "429", "500", "503"} <= create["responses"].keys()
    assert document["security"] == [{"bearer": []}]
    assert document["paths"]["/v1/sessions"]["post"]["security"] == []
    assert "security" not in create


def test_the_page_loads_nothing_from_elsewhere(stack: Stack) -> None:
    """All that it names is at the edge, and its policy allows nothing else."""
    page = httpx.get(f"{stack.edge}/docs")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert re.findall(r"https?:", policy) == []
    named = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text)
    assert {"/docs/docs.js", "/docs/docs.css", "/openapi.json"} <= set(named)
    for path in named:
        assert path.startswith("/")
        part = httpx.get(f"{stack.edge}{path}")
        assert part.status_code == 200
        # The document's texts have examples.
        assert path == "/openapi.json" or "://" not in part.text
    assert "<script>" not in page.text


def sound(document: dict[str, Any], edge: str, secret: str, customer_id: str, examples: int) -> None:
    """Every operation, with what it takes and with what it doesn't. Fails naming those that err."""
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=edge)
    checked, problems = 0, []
    for result in schema.get_all_operations():
        operation = result.ok()
        name = operation.definition.raw["operationId"]
        if name in OTHERWISE:
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            cases = operation.as_strategy(generation_mode=mode)
            try:
                _check(cases, name, secret, customer_id, examples)
            except (FailureGroup, Failure) as failure:
                problems.append(f"{name} {mode.value}: {_told(failure)}")
            except Unsatisfiable:
                # Nothing but an id, which may be any text, can't be wrong.
                continue
        checked += 1
    assert not problems, "\n\n".join(problems)
    assert checked > 100


def _told(failure: Exception) -> str:
    inner = getattr(failure, "exceptions", [failure])
    return "; ".join(f"{each} {getattr(each, 'message', '')}"[:1000] for each in inner)


def _check(cases: st.SearchStrategy[Case], name: str, secret: str, customer_id: str, examples: int) -> None:
    @given(case=cases, own=st.booleans())
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def each(case: Case, own: bool) -> None:
        if own and name not in FATAL and "customer_id" in (case.path_parameters or {}):
            case.path_parameters["customer_id"] = customer_id
        headers = {} if name in FATAL else {"Authorization": f"Bearer {secret}"}
        response = case.call(headers=headers, timeout=30)
        case.validate_response(response, checks=CHECKS)
        assert "Traceback" not in response.text

    each()


def _secret(person: Person) -> str:
    return person.http.headers["authorization"].removeprefix("Bearer ")


def test_schemathesis_as_an_owner(stack: Stack, resident: Person, document: dict[str, Any]) -> None:
    """A few requests of each operation: no 5xx, no traceback, and answers as documented."""
    sound(document, stack.edge, _secret(resident), resident.customer_id, examples=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_schemathesis_as_an_operator(document: dict[str, Any]) -> None:
    """Many more, by somebody who may do everything, in an installation of its own."""
    with running({"TOLLKEEPER_EDGE_WORKERS": "1"}) as stack:
        known = stack.up.ready["operator"]
        signed_in = httpx.post(f"{stack.edge}/v1/sessions", json=known).json()
        customer_id = signed_in["session"]["customer_id"]
        sound(document, stack.edge, signed_in["secret"], customer_id, examples=10)
