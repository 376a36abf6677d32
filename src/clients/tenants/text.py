"""Tenants files as text: YAML in, with every mistake told by line and field; YAML out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from clients.tenants.schema import Key, Tenants, implied

MAX_FILE_BYTES = 16 * 1024 * 1024
_MAX_PROBLEMS = 50
# Aliases may repeat a part, but not so often that a small file becomes a large one.
_MAX_NODES = 2_000_000
_FLOAT, _TIME = "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp"


class FileProblem(Exception):
    """A tenants file that can't be used. `problems` has one line for each mistake."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class _Loader(yaml.SafeLoader):
    """Decimals and times stay text, so that money is exact; a field that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As the base does, for mappings whose fields differ."""
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen:
                problem = f"{key.value!r} stands here twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_FLOAT, _TIME)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(path: Path) -> Tenants:
    """The file's content. Raises FileProblem."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileProblem([f"{(error.strerror or str(error)).lower()}"]) from None
    if len(content) > MAX_FILE_BYTES:
        raise FileProblem([f"larger than {MAX_FILE_BYTES} bytes"])
    try:
        node = yaml.compose(content, _Loader)
        if node is not None:
            _bound(node)
        loader = _Loader("")
        values = loader.construct_document(node) if node is not None else {}
    except yaml.YAMLError as error:
        raise FileProblem([_yaml_problem(error)]) from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise FileProblem([f"not a YAML file: {error}"]) from None
    try:
        return Tenants.model_validate(values)
    except ValidationError as error:
        raise FileProblem(_problems(node, error)) from None


def dump(tenants: Tenants) -> str:
    """The file that says it."""
    text: str = yaml.safe_dump(plain(tenants), sort_keys=False, allow_unicode=True, width=110)
    return text


def plain(tenants: Tenants) -> dict[str, Any]:
    """What such a file holds, without what goes without saying."""
    customers = []
    for customer in tenants.customers:
        values = customer.model_dump(exclude_defaults=True, exclude={"keys"})
        if customer.keys:
            usual = implied(customer)
            values["keys"] = [_key(key, usual) for key in customer.keys]
        customers.append(values)
    return {"customers": customers}


def where(location: Sequence[str | int]) -> str:
    """`customers[0].keys[2].name`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return text.removeprefix(".")


def _key(key: Key, usual: dict[str, Any]) -> dict[str, Any]:
    """What differs from a key that says nothing."""
    values: dict[str, Any] = {}
    for name, info in Key.model_fields.items():
        value = getattr(key, name)
        if info.is_required() or value != usual.get(name, info.get_default()):
            values[name] = _value(value)
    return values


def _value(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_defaults=True)
    return [_value(each) for each in value] if isinstance(value, list) else value


def _bound(root: yaml.Node) -> None:
    """Raises YAMLError when aliases make the document too large."""
    stack, count = [root], 0
    while stack:
        node = stack.pop()
        count += 1
        if count > _MAX_NODES:
            raise yaml.YAMLError("aliases repeat too much")
        if isinstance(node, yaml.MappingNode):
            stack.extend(part for pair in node.value for part in pair)
        elif isinstance(node, yaml.SequenceNode):
            stack.extend(node.value)


def _yaml_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error)
    return f"line {mark.line + 1}: {what}" if mark is not None else str(what)


def _problems(node: yaml.Node | None, error: ValidationError) -> list[str]:
    problems = []
    for detail in error.errors(include_url=False, include_input=False)[:_MAX_PROBLEMS]:
        message = detail["msg"].removeprefix("Value error, ")
        if detail["type"] == "extra_forbidden":
            message = "there is no such field"
        line = _line(node, detail["loc"])
        problems.append(f"line {line}: {where(detail['loc']) or 'the file'}: {message}")
    return problems


def _line(node: yaml.Node | None, location: Sequence[str | int]) -> int:
    """Where a place of the document stands, or what is around it."""
    for step in location:
        inner = None
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            inner = node.value[step]
        elif isinstance(node, yaml.MappingNode):
            inner = next((value for key, value in node.value if key.value == step), None)
        if inner is None:
            break
        node = inner
    return node.start_mark.line + 1 if node is not None else 1
