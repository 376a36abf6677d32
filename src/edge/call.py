"""One request as the client sent it, whichever family it is of: checked as far as routing, holding and
relaying need, no further.

Unknown fields are vendors' business and go on unchanged; new ones appear every month.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from edge.worst_case import Demand
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import edge_pb2

if TYPE_CHECKING:
    from edge.families import Family
    from edge.uploads.form import Form
    from edge.uploads.raw import RawBody

# A letter that needs no escape: only who hides a name writes it so.
_ESCAPED_ASCII = re.compile(rb"\\u00[2-7]")
MAX_MODEL_CHARS = 256
MAX_CHOICES = 128
MAX_OUTPUT_TOKENS = 100_000_000


class Made(NamedTuple):
    """Something the vendor keeps because of a request (`edge.kept_objects`)."""

    object_id: str
    kind: str
    """The vendor's word for it: response, file, batch, ..."""
    pending: bool = False
    """Should the attempt end as an estimate, the object's end may tell what it cost."""
    batch_input: edge_pb2.BatchInput | None = None
    """Of a file that a batch may be made of."""


@dataclass(slots=True)
class Call:
    """One parsed request. `body` is the parsed JSON and is never changed; empty where `raw` isn't JSON."""

    family: "Family"
    raw: bytes
    body: dict[str, Any]
    model: str
    demand: Demand
    provider: str | None = None
    """Chooses among rules; None: the client named none."""
    stream: bool = False
    wants_usage: bool = True
    """The client asked for usage in a stream, or gets it in any case."""
    end_user: str = ""
    ambiguous: bool = False
    """A field that decides what is billed is written twice: parsers disagree about which one counts, so the
    body isn't forwarded as it came, but as it was understood here."""
    references: tuple[str, ...] = ()
    """Ids of kept objects that the request names: it may only go where they are kept."""
    only_providers: frozenset[str] | None = None
    """Those that may serve it; None: any."""
    made: tuple[Made, ...] = ()
    """Set by whoever reads the answer."""
    behind: str = ""
    """The model behind a provider's name (`openai/gpt-4o`), which limits by model are for; empty: `model`."""
    infers_provider: bool = False
    """The client may name a provider and didn't: those that sell the model come into question, if any do."""
    labels: str = ""
    """What Cloudflare's log files the request under, beside whose it is; empty: nothing."""
    cache_ttl_s: int = 0
    """For how long Cloudflare may keep the answer; 0: not at all."""
    form: "Form | None" = None
    """The body where it is one; `raw` and `body` are empty then."""
    method: str = "POST"
    path: str = ""
    """Below the vendor's base URL, where the request goes through as it is, with `query`, `media_type` and
    `passed`; empty: the family's own."""
    query: str = ""
    media_type: str = ""
    passed: "RawBody | None" = None
    batch_input: edge_pb2.BatchInput | None = None
    """What a batch that is made of this file may use; complete once the file is."""
    unwraps: bytes = b""
    """The vendor answers in events, because only they tell the usage, and the client gets what is in them as
    this media type."""

    @property
    def is_spent(self) -> bool:
        """Some of a body that goes on as it arrives was sent: it can't go anywhere else."""
        return (self.form is not None and self.form.begun) or (self.passed is not None and self.passed.begun)


def json_object(raw: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises INVALID_ARGUMENT."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise invalid_field(f"The body is not valid JSON: {error}.", None, "invalid_json") from None
    if type(body) is not dict:
        raise invalid_field("The body must be a JSON object.", None, "invalid_json")
    return body


def quoted(*names: str) -> tuple[tuple[str, bytes], ...]:
    """Names for `is_ambiguous`, made once."""
    return tuple((name, f'"{name}"'.encode()) for name in names)


def is_ambiguous(raw: bytes, body: dict[str, Any], deciding: tuple[tuple[str, bytes], ...]) -> bool:
    """Whether one of the `deciding` fields (`quoted`) may be written more than once, plainly or with escaped
    letters."""
    if b"\\u00" in raw and _ESCAPED_ASCII.search(raw) is not None:
        return True
    for name, in_quotes in deciding:  # noqa: SIM110 - a generator costs three times as much
        if name in body and raw.count(in_quotes) != 1:
            return True
    return False


def model_of(body: dict[str, Any]) -> str:
    """The `model`. Raises INVALID_ARGUMENT."""
    model = body.get("model")
    if type(model) is str and 0 < len(model) <= MAX_MODEL_CHARS:
        return model
    if model is None:
        raise invalid_field("You must provide a model parameter.", "model", "missing_required_parameter")
    message = f"'model' must be a text of 1 to {MAX_MODEL_CHARS} characters."
    raise invalid_field(message, "model", "invalid_type")


def flag_of(body: dict[str, Any], name: str) -> bool:
    """A field that is true or false; absent and null are false. Raises INVALID_ARGUMENT."""
    value = body.get(name)
    if value is None or type(value) is bool:
        return bool(value)
    raise invalid_field(f"'{name}' must be true or false.", name, "invalid_type")


def check_count(body: dict[str, Any], name: str, most: int, least: int = 1) -> None:
    """A whole number, or nothing. Raises INVALID_ARGUMENT."""
    value = body.get(name)
    if value is None or (type(value) is int and least <= value <= most):
        return
    code = "invalid_value" if type(value) is int else "invalid_type"
    raise invalid_field(f"'{name}' must be a whole number from {least} to {most}.", name, code)


def wants_usage_of(body: dict[str, Any]) -> bool:
    """Whether a stream is to tell its usage to the client too. Raises INVALID_ARGUMENT."""
    options = body.get("stream_options")
    if options is None:
        return False
    if type(options) is not dict:
        raise invalid_field("'stream_options' must be an object.", "stream_options", "invalid_type")
    wanted = options.get("include_usage")
    if wanted is None or type(wanted) is bool:
        return bool(wanted)
    name = "stream_options.include_usage"
    raise invalid_field(f"'{name}' must be true or false.", name, "invalid_type")


def provider_of(body: dict[str, Any]) -> str | None:
    """A `provider` that isn't a text belongs to the vendor (OpenRouter has an object there) and is left
    alone."""
    provider = body.get("provider")
    return provider if type(provider) is str else None


def invalid_field(message: str, param: str | None, code: str) -> TollkeeperError:
    """INVALID_ARGUMENT with OpenAI's `param` and `code`."""
    metadata = {"code": code}
    if param is not None:
        metadata["param"] = param
    return TollkeeperError(Reason.INVALID_ARGUMENT, message, metadata)
