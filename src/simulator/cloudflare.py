"""Cloudflare's gateway host: its paths, its providers and the headers it adds.

Facts: the AI Gateway documentation (usage/providers, usage/chat-completion, configuration/authentication)
and captured answers, all of 2026.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from os import urandom
from time import time_ns
from typing import Literal

from simulator.media.paths import is_media
from simulator.openai.paths import is_openai

_BOTH = frozenset({"chat/completions", "v1/chat/completions"})
_BARE = frozenset({"chat/completions"})
_V1 = frozenset({"v1/chat/completions"})
_NONE: frozenset[str] = frozenset()

# What may follow a provider's slug. Cloudflare appends it to the vendor's base URL as it is, so a `v1` too
# many or too few is the vendor's 404. Providers without an OpenAI endpoint here have no path.
CHAT_PATHS: dict[str, frozenset[str]] = {
    "openai": _BOTH,
    "anthropic": _V1,
    "aws-bedrock": _NONE,
    "azure-openai": _NONE,
    "baseten": _V1,
    "cartesia": _NONE,
    "cerebras": _BOTH,
    "cohere": frozenset({"compatibility/v1/chat/completions"}),
    "deepgram": _NONE,
    "deepseek": _BOTH,
    "elevenlabs": _NONE,
    "fal": _NONE,
    "fireworks": _BARE,
    "google-ai-studio": frozenset({"v1beta/openai/chat/completions"}),
    "google-vertex-ai": _NONE,
    "grok": _BOTH,
    "groq": _BARE,
    "huggingface": _NONE,
    "ideogram": _NONE,
    "mistral": _V1,
    "openrouter": _BOTH,
    "parallel": _NONE,
    "perplexity-ai": _BARE,
    "replicate": _NONE,
    "workers-ai": _V1,
}
# Vendors with a list of models beside their chat.
_LISTED = frozenset(CHAT_PATHS) - {"perplexity-ai", "workers-ai"}
# A model's prefix on /compat is the path slug but for these.
_COMPAT_ALIASES = {"perplexity": "perplexity-ai"}
_ACCOUNT = re.compile(r"[0-9a-f]{32}")
_AZURE = re.compile(r"[^/]+/(?P<deployment>[^/]+)/chat/completions")
_MESSAGES: dict[str, "Kind"] = {"v1/messages": "messages", "v1/messages/count_tokens": "count_tokens"}
_GEMINI = re.compile(r"v1(?:beta)?/models/(?P<model>[^/]+):(?P<method>[A-Za-z]+)")
_DIRECT_CHAT = ("/v1/chat/completions", "/chat/completions")

Kind = Literal[
    "chat",
    "compat_chat",
    "compat_other",
    "count_tokens",
    "gemini",
    "gemini_models",
    "media",
    "messages",
    "models",
    "no_provider",
    "openai",
    "no_path",
]


@dataclass(frozen=True, slots=True)
class Route:
    """Where a path leads. `direct` paths are the vendor's own, with no gateway in front."""

    kind: Kind
    path: str
    provider: str = ""
    direct: bool = False
    gateway_exists: bool = True
    deployment: str = ""
    """Azure's deployment in the path, which names the model when the body doesn't; Google's model."""
    method: str = ""
    """Google's, of the model."""


def resolve(path: str, account_id: str | None, serves: Callable[[str], bool]) -> Route:
    """Find the route of a path without its query string; `serves` tells whether a gateway exists."""
    if path in _DIRECT_CHAT:
        return Route("chat", path, "direct", direct=True)
    if path[1:] in _MESSAGES:
        return Route(_MESSAGES[path[1:]], path, "direct", direct=True)
    if path in ("/v1/models", "/models"):
        return Route("models", path, "direct", direct=True)
    if gemini := _GEMINI.fullmatch(path[1:]):
        return Route("gemini", path, "direct", True, True, gemini["model"], gemini["method"])
    if is_media(path):
        return Route("media", path, "direct", direct=True)
    if is_openai(path):
        return Route("openai", path, "direct", direct=True)
    if path == "/v1beta/models":
        return Route("gemini_models", path, "direct", direct=True)
    parts = path.split("/", 5)
    if len(parts) < 5 or parts[0] or parts[1] != "v1":
        return Route("no_path", path, "direct", direct=True)
    account, gateway, provider = parts[2:5]
    rest = parts[5] if len(parts) > 5 else ""
    known = is_account(account, account_id) and serves(gateway)
    if provider == "google-ai-studio" and (gemini := _GEMINI.fullmatch(rest)):
        return Route("gemini", f"/{rest}", provider, False, known, gemini["model"], gemini["method"])
    kind, deployment = _kind(provider, rest)
    return Route(kind, f"/{rest}", provider, gateway_exists=known, deployment=deployment)


def is_account(named: str, account_id: str | None) -> bool:
    """Whether a path names the account; every well-formed id is one when none is set."""
    return named == account_id if account_id else _ACCOUNT.fullmatch(named) is not None


def _kind(provider: str, rest: str) -> tuple[Kind, str]:
    if provider == "compat":
        if rest == "models":
            return "models", ""
        return ("compat_chat" if rest == "chat/completions" else "compat_other"), ""
    if provider == "azure-openai" and (match := _AZURE.fullmatch(rest)):
        return "chat", match["deployment"]
    if provider == "google-ai-studio" and rest in ("v1beta/models", "v1/models"):
        return "gemini_models", ""
    if provider.startswith("custom-"):
        return ("chat" if rest.endswith("chat/completions") else "no_path"), ""
    if provider not in CHAT_PATHS:
        return "no_provider", ""
    if rest in CHAT_PATHS[provider]:
        return "chat", ""
    if provider == "anthropic" and rest in _MESSAGES:
        return _MESSAGES[rest], ""
    if is_media(f"/{rest}"):
        return "media", ""
    if is_openai(f"/{rest}"):
        return "openai", ""
    chat = f"{rest.removesuffix('models')}chat/completions"
    listed = rest.endswith("models") and provider in _LISTED and chat in CHAT_PATHS[provider]
    return ("models" if listed else "no_path"), ""


def compat_model(model: str) -> tuple[str, str] | None:
    """Split /compat's `{provider}/{model}`; None when it names no provider known here."""
    if model.startswith("@cf/"):
        return "workers-ai", model
    prefix, _, name = model.partition("/")
    provider = _COMPAT_ALIASES.get(prefix, prefix)
    if not name or not (provider in CHAT_PATHS or provider.startswith("custom-")):
        return None
    return provider, name


_counter = count(1)
_PROCESS = urandom(5).hex()
_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(high + low for high in _DIGITS for low in _DIGITS)
_ULID_PROCESS = "".join(_DIGITS[byte % 32] for byte in urandom(10))


def fresh_id() -> str:
    """An id of 24 hexadecimal digits, unique over processes."""
    return f"{_PROCESS}{next(_counter):014x}"


def log_id() -> str:
    """An id in ULID's form: ten digits of time, sixteen that make it unique."""
    millis, serial = time_ns() // 1_000_000, next(_counter)
    pairs = _PAIRS
    return (
        pairs[millis >> 40 & 1023]
        + pairs[millis >> 30 & 1023]
        + pairs[millis >> 20 & 1023]
        + pairs[millis >> 10 & 1023]
        + pairs[millis & 1023]
        + _ULID_PROCESS
        + pairs[serial >> 20 & 1023]
        + pairs[serial >> 10 & 1023]
        + pairs[serial & 1023]
    )


def headers(event_id: str, *, logged: bool = True, cached: bool = False) -> bytes:
    """The header lines the gateway adds to an answer; refused callers leave no log row, so get no log id."""
    ray = b"server: cloudflare\r\ncf-ray: %016x-SIM\r\n" % next(_counter)
    if not logged:
        return ray
    return b"%bcf-aig-log-id: %b\r\ncf-aig-event-id: %b\r\ncf-aig-step: 0\r\ncf-aig-cache-status: %b\r\n" % (
        ray,
        log_id().encode(),
        event_id.encode("latin-1"),
        b"HIT" if cached else b"MISS",
    )
