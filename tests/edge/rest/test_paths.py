"""Path templates and the tree that finds them."""

import pytest

from edge.rest.paths import Found, Routes, Template
from tollkeeper.errors import Reason, TollkeeperError


def routes() -> Routes[str]:
    made: Routes[str] = Routes()
    for method, template in (
        ("GET", "/v1/keys"),
        ("GET", "/v1/keys/{key.key_id}"),
        ("DELETE", "/v1/keys/{hash}"),
        ("POST", "/v1/keys/{key_id}:revoke"),
        ("POST", "/v1/session:changePassword"),
        ("GET", "/v1/session"),
        ("GET", "/v1/keys/mine"),
        ("GET", "/v1/keys/{hash}/details"),
    ):
        made.add(method, template, f"{method} {template}")
    return made


@pytest.mark.parametrize(
    ("method", "path", "target", "variables"),
    [
        ("GET", "/v1/keys", "GET /v1/keys", {}),
        ("GET", "/v1/keys/", "GET /v1/keys", {}),
        ("GET", "/v1/keys/a", "GET /v1/keys/{key.key_id}", {"key.key_id": "a"}),
        ("GET", "/v1/keys/a%2Fb%20c", "GET /v1/keys/{key.key_id}", {"key.key_id": "a/b c"}),
        ("DELETE", "/v1/keys/a", "DELETE /v1/keys/{hash}", {"hash": "a"}),
        # A literal goes before a variable, but only where it takes the method.
        ("GET", "/v1/keys/mine", "GET /v1/keys/mine", {}),
        ("DELETE", "/v1/keys/mine", "DELETE /v1/keys/{hash}", {"hash": "mine"}),
        ("GET", "/v1/keys/mine/details", "GET /v1/keys/{hash}/details", {"hash": "mine"}),
        ("POST", "/v1/keys/a:revoke", "POST /v1/keys/{key_id}:revoke", {"key_id": "a"}),
        # What looks like a verb and isn't one belongs to the value; an encoded colon always does.
        ("GET", "/v1/keys/llama:7b", "GET /v1/keys/{key.key_id}", {"key.key_id": "llama:7b"}),
        ("GET", "/v1/keys/a%3Arevoke", "GET /v1/keys/{key.key_id}", {"key.key_id": "a:revoke"}),
        ("POST", "/v1/session:changePassword", "POST /v1/session:changePassword", {}),
    ],
)
def test_found(method: str, path: str, target: str, variables: dict[str, str]) -> None:
    """Target and decoded variables."""
    assert routes().find(method, path) == Found(target, variables)


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/keys", "/v1//keys", "/v1/keys//details", "/v1/keys/%ff"])
def test_unknown_paths(path: str) -> None:
    """NOT_FOUND, also for values that aren't UTF-8 or empty."""
    with pytest.raises(TollkeeperError) as caught:
        routes().find("GET", path)
    assert caught.value.reason == Reason.NOT_FOUND


def test_another_method() -> None:
    """Names the methods that there are."""
    with pytest.raises(TollkeeperError) as caught:
        routes().find("PUT", "/v1/keys/mine")
    assert caught.value.reason == Reason.METHOD_NOT_ALLOWED
    assert caught.value.metadata["allow"] == "DELETE, GET"


def test_a_route_is_there_once() -> None:
    """Two calls on one path would hide one of them."""
    made = routes()
    with pytest.raises(ValueError, match="twice"):
        made.add("GET", "/v1/keys/{other}", "x")


@pytest.mark.parametrize("text", ["v1/x", "/v1/{x=**}", "/v1/*", "/v1/{x}y", "/v1//x"])
def test_templates_that_are_not_served(text: str) -> None:
    """A contract that needs more is noticed when the edge starts, not by a client."""
    with pytest.raises(ValueError, match="template"):
        Template.parse(text)
