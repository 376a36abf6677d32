"""Expressions that routing rules carry: a small part of CEL, with CEL's meaning.

    model.startsWith("gpt-4") && prompt_bytes < 20000 && ("batch" in tags || hour >= 22)

Compiled once (`compile_expression`) into closures, with every type checked then: what compiles can't fail
later. There are no loops and no user-made patterns, so an expression costs at most what its length allows;
that is why this isn't one of the CEL libraries, whose macros (`all`, `map`, …) let 500 characters run for
hours (docs/decisions/0017-routing-expressions.md).
"""

import operator
import re
from collections.abc import Callable
from typing import Any, NamedTuple

MAX_EXPRESSION_CHARS = 500
MAX_DEPTH = 20

_STRING, _INT, _BOOL, _STRINGS, _INTS = "string", "int", "bool", "list(string)", "list(int)"


class Facts(NamedTuple):
    """What an expression may ask about a request; each field is a name of the language."""

    model: str = ""
    """As the client asked for it."""
    family: str = ""
    """What is asked for: chat, completions, responses, embeddings, …, as the metrics name routes."""
    stream: bool = False
    prompt_bytes: int = 0
    """Size of the request's body without the images in it."""
    output_limit: int = 0
    """The client's own `max_tokens`; 0: none."""
    end_user: str = ""
    tags: tuple[str, ...] = ()
    key_id: str = ""
    team_id: str = ""
    user_id: str = ""
    hour: int = 0
    """0 to 23, UTC."""
    weekday: int = 1
    """1 (Monday) to 7, UTC."""


Expression = Callable[[Facts], bool]
"""A compiled expression; never raises."""

_TYPES = {str: _STRING, bool: _BOOL, int: _INT, tuple[str, ...]: _STRINGS}
_NAMES = {name: (place, _TYPES[kind]) for place, (name, kind) in enumerate(Facts.__annotations__.items())}


class ExpressionError(ValueError):
    """The text is no expression; the message says where and why."""


class _Node(NamedTuple):
    kind: str
    value: Callable[[Facts], Any]


_TOKEN = re.compile(
    r"""\s*(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<int>[0-9]{1,18})(?![\w.])
    |(?P<string>"(?:[^"\\\n]|\\["'\\])*"|'(?:[^'\\\n]|\\["'\\])*')|(?P<sign>&&|\|\||[=!<>]=|[<>!()\[\],.-]))""",
    re.VERBOSE,
)
_RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_METHODS: dict[str, Callable[[str, str], bool]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": operator.contains,
}


def compile_expression(text: str) -> Expression:
    """Raises ExpressionError."""
    if len(text) > MAX_EXPRESSION_CHARS:
        raise ExpressionError(f"an expression has at most {MAX_EXPRESSION_CHARS} characters")
    parser = _Parser(_tokens(text))
    node = parser.disjunction(0)
    parser.end()
    if node.kind != _BOOL:
        raise ExpressionError(f"an expression is true or false, and this one is a {node.kind}")
    return node.value


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens = []
    place, text = 0, text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise ExpressionError(f"can't be read from here: {text[place : place + 20]!r}")
        tokens.append((match.lastgroup, match[match.lastgroup]))
        place = match.end()
    return tokens


class _Parser:
    """Recursive descent over CEL's grammar, as far as it is taken."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._place = 0

    def disjunction(self, depth: int) -> _Node:
        if depth > MAX_DEPTH:
            raise ExpressionError(f"more than {MAX_DEPTH} levels of nesting")
        return self._chain("||", lambda: self._chain("&&", lambda: self._unary(depth)))

    def end(self) -> None:
        if self._place < len(self._tokens):
            raise ExpressionError(f"{self._tokens[self._place][1]!r} isn't expected here")

    def _chain(self, sign: str, part: Callable[[], _Node]) -> _Node:
        """Parts joined by `&&` or `||`."""
        nodes = [part()]
        while self._take(sign):
            nodes.append(part())
        if len(nodes) == 1:
            return nodes[0]
        for node in nodes:
            _demand(node, _BOOL, sign)
        values = [node.value for node in nodes]
        if sign == "&&":
            return _Node(_BOOL, lambda facts: all(value(facts) for value in values))
        return _Node(_BOOL, lambda facts: any(value(facts) for value in values))

    def _unary(self, depth: int) -> _Node:
        denied = False
        signs = 0
        while self._take("!"):
            denied, signs = not denied, signs + 1
        node = self._relation(depth)
        if not signs:
            return node
        _demand(node, _BOOL, "!")
        value = node.value
        return _Node(_BOOL, (lambda facts: not value(facts)) if denied else value)

    def _relation(self, depth: int) -> _Node:
        left = self._member(depth)
        if self._take("in"):
            right = self._member(depth)
            if right.kind != f"list({left.kind})":
                raise ExpressionError(f"'in' can't look for a {left.kind} in a {right.kind}")
            one, many = left.value, right.value
            return _Node(_BOOL, lambda facts: one(facts) in many(facts))
        sign = self._peek()
        if sign not in _RELATIONS:
            return left
        self._place += 1
        right = self._member(depth)
        ordered = sign not in ("==", "!=")
        if left.kind != right.kind or (ordered and left.kind not in (_INT, _STRING)):
            raise ExpressionError(f"{sign!r} can't compare a {left.kind} with a {right.kind}")
        compare, first, second = _RELATIONS[sign], left.value, right.value
        return _Node(_BOOL, lambda facts: compare(first(facts), second(facts)))

    def _member(self, depth: int) -> _Node:
        node = self._primary(depth)
        while self._take("."):
            method = _METHODS.get(self._next()[1])
            if method is None or node.kind != _STRING:
                raise ExpressionError(f"only strings have methods, and these: {', '.join(_METHODS)}")
            self._want("(")
            argument = self.disjunction(depth + 1)
            self._want(")")
            _demand(argument, _STRING, "a method")
            node = _applied(method, node, argument)
        return node

    def _primary(self, depth: int) -> _Node:
        kind, text = self._next()
        if text == "(" and kind == "sign":
            node = self.disjunction(depth + 1)
            self._want(")")
            return node
        if text == "[" and kind == "sign":
            return self._list()
        if text == "size" and self._peek() == "(":
            self._want("(")
            measured = self.disjunction(depth + 1)
            self._want(")")
            if measured.kind in (_INT, _BOOL):
                raise ExpressionError(f"a {measured.kind} has no size")
            value = measured.value
            return _Node(_INT, lambda facts: len(value(facts)))
        if kind == "name" and text in _NAMES:
            place, of_kind = _NAMES[text]
            return _Node(of_kind, operator.itemgetter(place))
        return _constant(*self._literal(kind, text))

    def _list(self) -> _Node:
        values: list[Any] = []
        kinds = set()
        while not self._take("]"):
            if values:
                self._want(",")
            kind, value = self._literal(*self._next())
            kinds.add(kind)
            values.append(value)
        if len(kinds) != 1 or kinds == {_BOOL}:
            raise ExpressionError("a list has one or more strings, or numbers")
        return _constant(f"list({kinds.pop()})", tuple(values))

    def _literal(self, kind: str, text: str) -> tuple[str, Any]:
        if kind == "string":
            return _STRING, re.sub(r"\\(.)", r"\1", text[1:-1])
        if kind == "int":
            return _INT, int(text)
        if text == "-" and kind == "sign":
            kind, text = self._next()
            if kind == "int":
                return _INT, -int(text)
        if text in ("true", "false") and kind == "name":
            return _BOOL, text == "true"
        raise ExpressionError(f"{text!r} isn't known; names are {', '.join(_NAMES)}")

    def _peek(self) -> str:
        """The next sign or word; a string's content is never taken for one."""
        if self._place == len(self._tokens) or self._tokens[self._place][0] == "string":
            return ""
        return self._tokens[self._place][1]

    def _take(self, text: str) -> bool:
        if self._peek() != text:
            return False
        self._place += 1
        return True

    def _want(self, text: str) -> None:
        if not self._take(text):
            raise ExpressionError(f"{text!r} is missing")

    def _next(self) -> tuple[str, str]:
        if self._place == len(self._tokens):
            raise ExpressionError("it ends too early")
        self._place += 1
        return self._tokens[self._place - 1]


def _demand(node: _Node, kind: str, by: str) -> None:
    if node.kind != kind:
        raise ExpressionError(f"{by} takes a {kind}, not a {node.kind}")


def _constant(kind: str, value: Any) -> _Node:
    return _Node(kind, lambda facts: value)


def _applied(method: Callable[[str, str], bool], node: _Node, argument: _Node) -> _Node:
    text, part = node.value, argument.value
    return _Node(_BOOL, lambda facts: method(text(facts), part(facts)))
