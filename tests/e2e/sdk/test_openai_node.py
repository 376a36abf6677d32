"""OpenAI's SDK for Node over every endpoint it has; each case is a function of `openai.cjs`."""

import pytest

from tests.e2e.sdk import node
from tests.e2e.sdk.test_one_of_each import SENTENCE
from tests.e2e.stack import Stack

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("case", "shown"),
    [
        ("plain", [SENTENCE, 6]),
        ("streamed", [SENTENCE, 6]),
        ("tools", [["look_up", '{"text":"the"}'], ["write_down", '{"text":"the"}']]),
        ("models", [True, "gpt-4o-mini"]),
        ("refused", ["BadRequestError", 400, "model_not_priced"]),
        ("broken", ["APIError", "upstream_disconnected"]),
        ("completions", [SENTENCE, SENTENCE]),
        ("embeddings", [[0, "number"], [1, "number"]]),
        ("moderations", 2),
        ("responses", [SENTENCE, SENTENCE, True]),
        ("images", [1, 1, 1]),
        ("audio", [True, True, True]),
        ("files", [True, '{"a": 1}\n', True]),
        ("batches", ["a"]),
    ],
)
def test_node(stack: Stack, secret: str, case: str, shown: object) -> None:
    """What the case prints."""
    assert node.run(case, f"{stack.edge}/v1", secret) == shown
