"""Tenants files as text: what is understood, and what is said about what isn't."""

from pathlib import Path

import pytest

from clients.tenants.schema import Key, complete
from clients.tenants.text import FileProblem, dump, load


def problems(tmp_path: Path, text: str) -> str:
    """What is wrong with a file, a line each."""
    path = tmp_path / "tenants.yaml"
    path.write_text(text)
    with pytest.raises(FileProblem) as caught:
        load(path)
    return "\n".join(caught.value.problems)


MISTAKES = [
    ("customers: [", "line 1"),
    ("customers:\n- slug: a\n  slug: b\n  name: A", "line 3: 'slug' stands here twice"),
    ("tenants: []", "line 1: tenants: there is no such field"),
    ("customers: 5", "line 1: customers: Input should be a valid list"),
    ("- a", "the file: Input should be a valid dictionary"),
    ("customers:\n- name: A", "line 2: customers[0].slug: Field required"),
    ("customers:\n- slug: a\n  name: A\n  hue: red", "line 4: customers[0].hue: there is no such field"),
    ("@suspended: 'no'", "customers[0].suspended: Input should be a valid boolean"),
    ("@requests_per_minute: '5'", "requests_per_minute: Input should be a valid integer"),
    ("@requests_per_minute: -5", "greater than or equal to 0"),
    ("@tokens_per_minute: 99999999999999999999", "less than"),
    ("@budgets: [{limit_usd: 0}]", "budgets[0].limit_usd: a limit is more than nothing"),
    ("@budgets: [{limit_usd: -1}]", "less than nothing"),
    ("@budgets: [{limit_usd: cheap}]", "'cheap' is not an amount"),
    ("@budgets: [{limit_usd: 0.0000000001}]", "more than nine decimals"),
    ("@budgets: [{limit_usd: true}]", "an amount in US dollars is needed"),
    ("@budgets: [{limit_usd: 1, period: yearly}]", "budgets[0].period"),
    ("@budgets: [{limit_usd: 1, thresholds: [0]}]", "budgets[0].thresholds[0]"),
    ("@users: [{email: e@x, role: king}]", "users[0].role"),
    ("@providers: [{name: p, type: openai, credential: sk-1}]", "never stands in the file"),
    ("@providers: [{name: platform/p, type: openai}]", "are the platform's"),
    ("@keys: [{name: k, allowed_ips: [10.0.0.1/8]}]", "write '10.0.0.0/8'"),
    ("@keys: [{name: k, expire_time: soon}]", "a time is needed"),
    ("@keys: [{name: ''}]", "customers[0].keys[0].name"),
    ("customers: !!python/object:os.system [x]", "could not determine a constructor"),
    ("a: &a [1,1,1,1,1,1,1,1,1]\n" + "\n".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]" for n in range(9)
    ), "aliases repeat too much"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), MISTAKES)
def test_mistakes_name_line_and_field(tmp_path: Path, text: str, problem: str) -> None:
    """No mistake is guessed around, and none shows a traceback. `@`: fields of a customer."""
    if text.startswith("@"):
        text = f"customers: [{{slug: a, name: A, {text[1:]}}}]"
    assert problem in problems(tmp_path, text)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """A line each; files that can't be read, too."""
    told = problems(tmp_path, "customers:\n- slug: a\n  plans: x\n- name: B\n  suspended: 1").splitlines()
    assert [line.partition(":")[0] for line in told] == ["line 2", "line 3", "line 4", "line 5"]
    with pytest.raises(FileProblem, match="no such file"):
        load(tmp_path / "gone.yaml")


def test_values_are_read_exactly(tmp_path: Path) -> None:
    """Decimals never become floats, times stay as written, and one form stands for all."""
    path = tmp_path / "tenants.yaml"
    path.write_text(
        """\
customers:
- &common {slug: a, name: A, plan: pro}
- <<: *common
  slug: b
  budgets: [{limit_usd: 0.10, thresholds: [100, 80, 80]}, {limit_usd: 7}]
  keys:
  - name: k
    expire_time: 2099-01-01T01:00:00+01:00
    allowed_ips: [192.0.2.1, 2001:DB8::/32]
    allowed_models: [a, a]
"""
    )
    first, second = load(path).customers
    assert (first.plan, second.plan, second.name) == ("pro", "pro", "A")
    assert [each.limit_usd for each in second.budgets] == ["0.10", "7.00"]
    assert second.budgets[0].thresholds == [80, 100]
    [key] = second.keys
    assert key.expire_time == "2099-01-01T00:00:00Z"
    assert (key.allowed_ips, key.allowed_models) == (["192.0.2.1/32", "2001:db8::/32"], ["a"])


def test_what_a_file_leaves_out_goes_without_saying(tmp_path: Path) -> None:
    """Keys take what they don't say from their customer; writing leaves it out again."""
    path = tmp_path / "tenants.yaml"
    text = """\
customers:
- slug: a
  name: A
  default_router: main
  key_defaults:
    requests_per_minute: 60
    budget:
      limit_usd: '2.00'
  routers:
  - name: main
  keys:
  - name: plain
  - name: own
    requests_per_minute: 0
    budgets: []
"""
    path.write_text(text)
    tenants = load(path)
    [customer] = tenants.customers
    plain, own = (complete(key, customer) for key in customer.keys)
    assert (plain.router, plain.requests_per_minute, plain.budgets[0].limit_usd) == ("main", 60, "2.00")
    assert (own.router, own.requests_per_minute, own.budgets) == ("main", 0, [])
    filled = customer.model_copy(update={"keys": [plain, own]})
    assert dump(tenants.model_copy(update={"customers": [filled]})) == text
    assert complete(Key(name="k", router=None), customer).router == "main"
