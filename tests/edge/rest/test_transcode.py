"""HTTP to messages of the contract and back, without a server."""

import asyncio
import json
from typing import Any

import orjson
import pytest
from google.protobuf.message import Message

from edge.rest.contract import Binding, FieldBehavior, behaviors, bindings
from edge.rest.transcode import SLICE, json_of, request_of
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1.customers_pb2 import ListCustomersResponse
from tollkeeper.v1.keys_pb2 import Key

BINDINGS = {binding.rpc.name: binding for binding in bindings() if binding.number == 0}
OWN = {"key.customer_id": "acme", "key.key_id": "k1"}


def request(
    name: str, variables: dict[str, str], body: object = None, query: list[tuple[str, str]] | None = None
) -> Any:
    """The request message of a call of this name."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return request_of(BINDINGS[name], variables, query or [], data)


def refusal(*arguments: Any) -> str:
    """What the call is refused with."""
    with pytest.raises(TollkeeperError) as caught:
        request(*arguments)
    assert caught.value.reason == Reason.INVALID_ARGUMENT
    return caught.value.message


def test_path_query_and_body_meet_in_one_message() -> None:
    """A body field, nested and enum parameters, and nested variables."""
    made = request(
        "CreateKey",
        {"key.customer_id": "acme"},
        {"name": "k", "allowed_models": ["a*", "b"], "default_output_limit": "9007199254740993"},
        [("budget.limit_nanousd", "5"), ("budget.period", "PERIOD_DAILY"), ("request_id", "r")],
    )
    assert made.key.customer_id == "acme"
    assert (made.key.name, list(made.key.allowed_models)) == ("k", ["a*", "b"])
    assert made.key.default_output_limit == 9007199254740993
    assert (made.budget.limit_nanousd, made.budget.period, made.request_id) == (5, 2, "r")


def test_the_path_wins() -> None:
    """A resource that was read and is sent back may name its customer by id, the path by slug."""
    made = request("UpdateKey", OWN, {"customer_id": "other", "key_id": "other", "name": "n"})
    assert (made.key.customer_id, made.key.key_id) == ("acme", "k1")


@pytest.mark.parametrize(
    ("body", "query", "paths"),
    [
        ({"name": "n", "disabled": False}, [], ["disabled", "name"]),
        ({"allowed_models": None}, [], ["allowed_models"]),
        ({"allowedModels": []}, [], ["allowed_models"]),
        # What can't be changed, or says which version was read, is no change.
        ({"name": "n", "etag": '"1"', "key_id": "x", "create_time": None}, [], ["name"]),
        ({"name": "n", "disabled": False}, [("update_mask", "router_id,name")], ["router_id", "name"]),
        ({"name": "n"}, [("update_mask", "routerId")], ["router_id"]),
        ({}, [("budget.limit_nanousd", "5")], []),
    ],
)
def test_a_patch_changes_what_its_body_names(
    body: dict[str, object], query: list[tuple[str, str]], paths: list[str]
) -> None:
    """Also to false or nothing; a mask says it otherwise, in either spelling."""
    made = request("UpdateKey", OWN, body, query)
    assert sorted(made.update_mask.paths) == sorted(paths)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "JSON object"),
        (b'"x"', "JSON object"),
        (b"[" * 100_000, "not JSON"),
        ({"nme": "x"}, "'key.nme'"),
        ({"name": 5}, "name"),
        ({"name": ["x"]}, "name"),
        ({"disabled": "true"}, "disabled"),
        ({"disabled": 1}, "disabled"),
        ({"default_output_limit": "x"}, "default_output_limit"),
        ({"default_output_limit": 1.5}, "default_output_limit"),
        ({"default_output_limit": 10**30}, "default_output_limit"),
        ({"default_output_limit": True}, "default_output_limit"),
        ({"allowed_models": "x"}, "allowed_models"),
        ({"allowed_models": [1]}, "allowed_models"),
        ({"expire_time": "yesterday"}, "expire_time"),
        ({"expire_time": {"seconds": 1}}, "expire_time"),
        ({"expire_time": "99999-01-01T00:00:00Z"}, "expire_time"),
        ({"budgets": "x"}, "budgets"),
        ({"budgets": [{"perid": 1}]}, "'key.budgets[0].perid'"),
    ],
)
def test_bad_bodies(body: object, words: str) -> None:
    """Refused with the field's name, whatever is wrong."""
    assert words in refusal("CreateKey", {"key.customer_id": "acme"}, body)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ([("nope", "1")], "'nope'"),
        ([("key.name", "x")], "'key.name'"),
        ([("budget", "5")], "'budget'"),
        ([("budget.nope", "5")], "'budget.nope'"),
        ([("budget.limit_nanousd.x", "5")], "'budget.limit_nanousd.x'"),
        ([("budget.limit_nanousd", "x")], "limit_nanousd"),
        ([("budget.period", "SOMETIMES")], "period"),
        ([("request_id", "a"), ("request_id", "b")], "twice"),
        ([("key.customer_id", "x")], "'key.customer_id'"),
    ],
)
def test_bad_parameters(query: list[tuple[str, str]], words: str) -> None:
    """Unknown, doubled, of the wrong type, or belonging to body or path."""
    assert words in refusal("CreateKey", {"key.customer_id": "acme"}, {"name": "k"}, query)


@pytest.mark.parametrize("text", ["1", "yes", "TRUE", ""])
def test_flags_are_true_or_false(text: str) -> None:
    """Nothing else is guessed."""
    assert "show_deleted" in refusal("ListCustomers", {}, None, [("show_deleted", text)])


def test_secrets_do_not_travel_in_urls() -> None:
    """No call of the contract takes one from the query."""

    taking = {
        binding.rpc.full_name: binding.body
        for binding in bindings()
        for field in binding.rpc.input_type.fields
        if FieldBehavior.INPUT_ONLY in behaviors(field)
    }
    assert taking
    assert {name for name, body in taking.items() if body != "*"} == set()


def test_a_call_without_body_takes_none() -> None:
    """A body that would be ignored could have said `force`."""
    message = refusal("DeleteCustomer", {"customer_id": "acme"}, {"force": True})
    assert "no body" in message


def test_deep_nesting_is_refused() -> None:
    """Messages that hold themselves end at a depth that the control plane can read."""
    rates: dict[str, Any] = {"input": "1"}
    for _ in range(100):
        rates = {"input": "1", "steps": [{"above_input_tokens": "1", "rates": rates}]}
    assert "nested" in refusal("CreatePrice", {}, {"model": "m", "rates": rates})


@pytest.mark.parametrize("count", [0, 1, SLICE, SLICE + 1, 3 * SLICE + 7])
async def test_long_lists_come_whole(count: int) -> None:
    """In slices or at once, the answer is the same, and others get their turn in between."""
    message = ListCustomersResponse(next_page_token="t")
    for number in range(count):
        message.customers.add(customer_id=str(number))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    answer = orjson.loads(await json_of(message))
    task.cancel()
    assert [each["customer_id"] for each in answer["customers"]] == [str(number) for number in range(count)]
    assert answer["next_page_token"] == "t"
    assert turns >= count // SLICE - 1


async def test_answers_tell_empty_values() -> None:
    """false, zero and empty are there; absent messages aren't; integers of 64 bits are strings."""
    answer = orjson.loads(await json_of(Key(key_id="k", spend_nanousd=2**60)))
    assert (answer["disabled"], answer["allowed_models"], answer["name"]) == (False, [], "")
    assert answer["spend_nanousd"] == str(2**60)
    assert "expire_time" not in answer


def test_every_message_can_be_transcoded() -> None:
    """An empty call of each binding makes a request; nothing of the contract is beyond the transcoder."""
    for binding in bindings():
        variables = dict.fromkeys(binding.path_fields, "x")
        assert isinstance(_empty_request(binding, variables), Message)


def _empty_request(binding: Binding, variables: dict[str, str]) -> Message | str:
    try:
        return request_of(binding, variables, [], b"{}" if binding.body else b"")
    except TollkeeperError as error:
        # A variable that isn't a text.
        return error.message if error.reason == Reason.INVALID_ARGUMENT else ""
