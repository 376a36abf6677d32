"""People who call management with plain httpx, each in a customer of the test's own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.e2e.admin import Tenant
from tests.e2e.stack import Stack
from tollkeeper.v1.users_pb2 import CreateUserRequest, Role, User
from tollkeeper.v1.users_pb2_grpc import UsersServiceStub

PASSWORD = "correct horse battery"
UNKNOWN = "01a2016f-0000-7000-8000-000000000000"


@dataclass(frozen=True)
class Person:
    """A signed-in user."""

    http: httpx.Client
    user_id: str
    email: str
    customer_id: str

    def json(self, method: str, path: str, body: object = None, status: int = 200) -> Any:
        """The answer's JSON. Raises AssertionError for another status."""
        answer = self.http.request(method, path, json=body)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def refusal(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        """Status and reason of a refusal; its text is one, and nobody sees how we are made."""
        answer = self.http.request(method, path, json=body)
        said = answer.json()
        assert isinstance(said["error"], str)
        assert said["error"]
        assert "Traceback" not in answer.text
        return answer.status_code, said.get("reason", "")


Join = Callable[..., Person]


@contextmanager
def joining(stack: Stack) -> Iterator[Join]:
    """Makes users of customers, with a role each, and signs them in over REST."""
    with ExitStack() as opened:

        def join(customer_id: str, role: Role = Role.ROLE_OWNER) -> Person:
            email = f"{uuid4().hex[:12]}@example.com"
            user = User(customer_id=customer_id, email=email, name="Person", role=role)
            request = CreateUserRequest(user=user, password=PASSWORD)
            user_id = UsersServiceStub(stack.admin.channel).CreateUser(request).user_id
            http = opened.enter_context(httpx.Client(base_url=stack.edge, timeout=30))
            signed_in = http.post("/v1/sessions", json={"email": email, "password": PASSWORD})
            assert signed_in.status_code == 200, signed_in.text
            http.headers["authorization"] = f"Bearer {signed_in.json()['secret']}"
            return Person(http, user_id, email, customer_id)

        yield join


@pytest.fixture
def join(stack: Stack) -> Iterator[Join]:
    """Makes a user of a customer with a role."""
    with joining(stack) as join:
        yield join


@pytest.fixture(scope="module")
def resident(stack: Stack) -> Iterator[Person]:
    """The owner of a customer with provider and router, for tests that change nothing there."""
    with joining(stack) as join:
        yield join(stack.admin.tenant().customer_id)


@pytest.fixture
def owner(tenant: Tenant, join: Join) -> Person:
    """The owner of the test's own customer, which has an OpenAI provider and a router."""
    return join(tenant.customer_id)


@pytest.fixture(scope="session")
def operator(stack: Stack) -> Iterator[Person]:
    """The operator that the first start made, who also owns the demo customer."""
    known = stack.up.ready["operator"]
    with httpx.Client(base_url=stack.edge, timeout=30) as http:
        answer = http.post(
            "/api/auth/login", json={"username": known["email"], "password": known["password"]}
        )
        assert answer.status_code == 200, answer.text
        http.headers["authorization"] = f"Bearer {answer.json()['token']}"
        user_id = http.get("/v1/session").json()["user"]["user_id"]
        yield Person(http, user_id, known["email"], answer.json()["user"]["id"])
