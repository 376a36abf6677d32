"""What Cloudflare's API refuses, told apart by what can be done about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tollkeeper.errors import Reason, TollkeeperError

MAX_TEXT_CHARS = 300


class Problem(StrEnum):
    """Why a call failed."""

    # The token is unknown, has ended, lacks a permission, or is of another account.
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    # The id is taken.
    EXISTS = "exists"
    # The account may have no more gateways.
    QUOTA = "quota"
    # Too many calls; `retry_after_s` says how long to wait.
    THROTTLED = "throttled"
    # Not reached, no answer in time, or a failure on their side: another try may pass, and the call may have
    # been carried out.
    UNAVAILABLE = "unavailable"
    # Anything else: sent again, it would be refused again.
    REFUSED = "refused"


# These would befall every other call on the account just as well.
ACCOUNT_WIDE = frozenset({Problem.UNAUTHORIZED, Problem.QUOTA, Problem.THROTTLED, Problem.UNAVAILABLE})

_REASONS = {
    Problem.NOT_FOUND: Reason.CLOUDFLARE_REFUSED,
    Problem.THROTTLED: Reason.CLOUDFLARE_UNAVAILABLE,
    Problem.UNAVAILABLE: Reason.CLOUDFLARE_UNAVAILABLE,
}
# Codes of the v4 API beyond what the status says.
_AUTHENTICATION_CODES = frozenset({9103, 9106, 9109, 10000, 10001})
# How the API says that an id is taken or the account is full isn't published: 409 for the first, else words.
_QUOTA_WORDS = ("maximum", "limit", "quota", "too many gateways")


class CloudflareError(TollkeeperError):
    """A call that failed; the message has Cloudflare's status and text, never the token."""

    def __init__(
        self, problem: Problem, text: str, status: int = 0, code: int = 0, retry_after_s: float | None = None
    ) -> None:
        told = f"{status}: {text}" if status else text
        metadata = {"problem": problem.value}
        if status:
            metadata |= {"status": str(status), "code": str(code)}
        super().__init__(
            _REASONS.get(problem, Reason.CLOUDFLARE_REFUSED),
            f"Cloudflare: {told}",
            metadata,
            retry_after_s,
        )
        self.problem = problem
        self.status = status


@dataclass(frozen=True, slots=True)
class Refusal:
    """The errors of a v4 envelope."""

    code: int
    text: str
    # Whether a field of the request is at fault.
    of_field: bool


def not_configured() -> TollkeeperError:
    """There is no account to call."""
    return TollkeeperError(
        Reason.CLOUDFLARE_NOT_CONFIGURED,
        "No Cloudflare account is configured: set CF_ACCOUNT_ID and CF_AI_GATEWAY_API_TOKEN.",
    )


def error_of(status: int, body: object, retry_after_s: float | None) -> CloudflareError:
    """The error of an answer that isn't a success; `body` is its JSON, None when it wasn't any."""
    refusal = _refusal(body)
    problem = _problem(status, refusal)
    return CloudflareError(problem, refusal.text or _plain_text(status), status, refusal.code, retry_after_s)


def _problem(status: int, refusal: Refusal) -> Problem:
    text = refusal.text.lower()
    if status == 429:
        return Problem.THROTTLED
    if status >= 500 or status == 408:
        return Problem.UNAVAILABLE
    if status == 401 or refusal.code in _AUTHENTICATION_CODES:
        return Problem.UNAUTHORIZED
    if status == 404:
        return Problem.NOT_FOUND
    if status == 409 or "already exists" in text:
        return Problem.EXISTS
    if not refusal.of_field and any(word in text for word in _QUOTA_WORDS):
        return Problem.QUOTA
    return Problem.UNAUTHORIZED if status == 403 else Problem.REFUSED


def _refusal(body: object) -> Refusal:
    """The first code and all texts. An envelope isn't taken for granted: bodies of proxies come too."""
    errors = body.get("errors") if isinstance(body, dict) else None
    found = [each for each in errors if isinstance(each, dict)] if isinstance(errors, Sequence) else []
    texts = []
    for each in found:
        path = each.get("path")
        where = f" ({'.'.join(map(str, path))})" if isinstance(path, list) and path else ""
        texts.append(f"{each.get('message', '')}{where}")
    text = "".join(char for char in "; ".join(texts) if char.isprintable())
    code = found[0].get("code") if found else 0
    of_field = any(each.get("path") for each in found)
    return Refusal(code if isinstance(code, int) else 0, text[:MAX_TEXT_CHARS], of_field)


def _plain_text(status: int) -> str:
    return "an answer without explanation" if status < 500 else "a failure on their side"
