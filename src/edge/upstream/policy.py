"""What an attempt's end means: whether the next rule is tried, whether the same one is tried again, whether
the provider counts as sick, and whether the attempt may have been billed (docs/routing.md).

Rule L14 of docs/ledger.md: an attempt is void only when no byte of it was sent or when its answer is known
not to be billed; everything else is an estimate of at most the hold.

| end of the attempt | next rule | again | sick | money | why |
| --- | --- | --- | --- | --- | --- |
| no connection, nothing sent | yes | yes | yes | void | not_sent |
| no connection is free here, an address that is refused | yes | no | no | void | not_sent |
| sent, and then cut off | yes | yes | yes | estimate | upstream_cut |
| sent, and no answer in time | yes | no | yes | estimate | upstream_timeout |
| the request's time is over | no | no | no | estimate | deadline |
| 429: too many requests or tokens; 2003 | yes | yes | no | void | rate_limited |
| 429: money or the day's quota is used up; 2041, 2045, 4006 | yes | no | no | void | provider_quota |
| 402; 2021; a 4xx that says the money is used up | no | no | no | void | provider_quota |
| 401; Google's 400 `API_KEY_INVALID`; 2009, 2040 | no | no | no | void | provider_credential |
| 2016, 2029: the prompt was blocked | no | no | no | void | blocked |
| 2017, 2030: the answer was blocked | no | no | no | estimate | blocked |
| 400 with 2005: the provider didn't answer | yes | yes | yes | estimate | gateway_2005 |
| 7013: the scanner is away | yes | no | no | estimate | upstream_error |
| 400 403 to 406 409 to 411 413 to 415 417 421 422 424 426 428 431 451 | no | no | no | void | refused |
| 500 502 503 529 with an error object | yes | yes | yes | void | upstream_error |
| 500 502 503 520 to 523 529 without one | yes | yes | yes | estimate | upstream_error |
| 501 with an error object | yes | no | no | void | upstream_error |
| other 5xx | yes | no | no | estimate | upstream_error |
| 408 504 524 | yes | no | yes | estimate | upstream_timeout |
| 499 | no | no | no | estimate | upstream_timeout |
| 3xx | yes | no | no | void | refused |
| other 4xx | no | no | no | estimate | unexpected_status |
| 200 that begins with an error | as the status it stands for, else 500; where that is final, passed on |

Numbers of four digits are Cloudflare's own codes. Anthropic's 429 without `retry-after` is that of a spend
limit.

Vendors bill what they generated; an error object in place of an answer says that nothing was. A bare 5xx is a
proxy's word for an upstream whose fate it doesn't know. 2005 is Cloudflare's word for the same, so it isn't
known to be free. What is final is so by requirement A17; a rule with the condition `on_status` may take it
up.
Facts: the vendors' and Cloudflare's error tables, and captured bodies (`faults`).
"""

from dataclasses import dataclass

from edge.upstream.failures import (
    AddressRefused,
    ConnectFailed,
    FirstByteTimeout,
    IdleTimeout,
    TotalTimeout,
    TransportError,
)
from edge.upstream.faults import Fault, fault_of
from tollkeeper.conditions import Failure

_REFUSALS = frozenset(
    {400, 401, 402, 403, 404, 405, 406, 409, 410, 411, 413, 414, 415, 417, 421, 422, 424, 426, 428, 429, 431}
    | {451}
)
_FREE_WITH_ERROR_OBJECT = frozenset({500, 501, 502, 503, 529})
_TIMEOUTS = frozenset({408, 499, 504, 524})
# May be over the next time.
_PASSING = frozenset({500, 502, 503, 520, 521, 522, 523, 529})

_GATEWAY_FAILED = 2005
_GATEWAY_CREDENTIAL = frozenset({2009, 2040})
_GATEWAY_UNPAID = frozenset({2021, 2041, 2045, 4006})
_PROMPT_BLOCKED = frozenset({2016, 2029})
_ANSWER_BLOCKED = frozenset({2017, 2030})
_SCANNER_AWAY = 7013
_KEY_INVALID = "api_key_invalid"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`void`: known not to be billed. `why` is a word of the usage record."""

    failover: bool
    void: bool
    why: str
    again: bool = False
    """The same rule may be tried again."""
    sick: bool = False
    """It says something about the provider's health."""
    failure: Failure = Failure.OTHER
    retry_after_s: float | None = None
    """How long the provider wants to be left alone, where it says so."""


def judge_status(status: int, body: bytes, retry_after_s: float | None = None) -> Verdict:
    """An answer that isn't a success; `retry_after_s` is what its headers ask for."""
    return judge_fault(status, fault_of(body), retry_after_s)


def judge_fault(status: int, fault: Fault, retry_after_s: float | None = None) -> Verdict:
    """The same for a body that was read already."""
    if status < 400:  # a redirect; it isn't followed, since it would carry the credential elsewhere
        return Verdict(failover=True, void=True, why="refused")
    if fault.gateway_code:
        verdict = _of_gateway(status, fault.gateway_code)
        if verdict is not None:
            return verdict
    if retry_after_s is None:
        retry_after_s = fault.retry_after_s
    if status == 429:
        return _rate_limited(fault, retry_after_s)
    if status in _TIMEOUTS:
        return _timed_out(status)
    if status in _REFUSALS:
        return Verdict(failover=False, void=True, why=_refusal_word(status, fault), failure=Failure.REFUSED)
    if status < 500:
        return Verdict(failover=False, void=False, why="unexpected_status", failure=Failure.REFUSED)
    passing = status in _PASSING
    void = fault.is_error and status in _FREE_WITH_ERROR_OBJECT
    return Verdict(True, void, "upstream_error", passing, passing, retry_after_s=retry_after_s)


def judge_failure(failure: TransportError) -> Verdict:
    """No answer, or none to its end."""
    if not failure.request_sent:
        broken = isinstance(failure, ConnectFailed) and not isinstance(failure, AddressRefused)
        return Verdict(failover=True, void=True, why="not_sent", again=broken, sick=broken)
    if isinstance(failure, TotalTimeout):
        return Verdict(failover=False, void=False, why="deadline", failure=Failure.TIMEOUT)
    if isinstance(failure, FirstByteTimeout | IdleTimeout):
        return _timed_out(0)
    return Verdict(failover=True, void=False, why="upstream_cut", again=True, sick=True)


def failure_word(failure: TransportError) -> str:
    """A failure in one word, for attempts listed to clients: never an address or a message of the network."""
    return _FAILURE_WORDS.get(type(failure).__name__, "failed")


_FAILURE_WORDS = {
    "ConnectFailed": "connect_failed",
    "AddressRefused": "address_refused",
    "NotSent": "not_sent",
    "InvalidRequest": "not_sent",
    "SentButNoAnswer": "disconnected",
    "BadAnswer": "bad_answer",
    "FirstByteTimeout": "timeout",
    "IdleTimeout": "timeout",
    "TotalTimeout": "deadline",
    "BrokenBody": "disconnected",
    "BodyTooLarge": "too_large",
}


def _of_gateway(status: int, code: int) -> Verdict | None:
    """Cloudflare's own errors, where its status doesn't say it all."""
    if code == _GATEWAY_FAILED and status == 400:
        return Verdict(failover=True, void=False, why="gateway_2005", again=True, sick=True)
    if code in _ANSWER_BLOCKED:
        return Verdict(failover=False, void=False, why="blocked", failure=Failure.REFUSED)
    if code in _PROMPT_BLOCKED:
        return Verdict(failover=False, void=True, why="blocked", failure=Failure.REFUSED)
    if code == _SCANNER_AWAY:
        return Verdict(failover=True, void=False, why="upstream_error")
    return None


def _rate_limited(fault: Fault, retry_after_s: float | None) -> Verdict:
    # Anthropic says when to come back, but for an account whose spend limit is reached.
    exhausted = fault.exhausted or (fault.is_anthropic and retry_after_s is None)
    if exhausted or fault.gateway_code in _GATEWAY_UNPAID:
        return Verdict(failover=True, void=True, why="provider_quota", failure=Failure.RATE_LIMIT)
    return Verdict(
        failover=True,
        void=True,
        why="rate_limited",
        again=True,
        failure=Failure.RATE_LIMIT,
        retry_after_s=retry_after_s,
    )


def _timed_out(status: int) -> Verdict:
    if status == 499:  # the vendor thinks that we hung up
        return Verdict(failover=False, void=False, why="upstream_timeout", failure=Failure.REFUSED)
    return Verdict(failover=True, void=False, why="upstream_timeout", sick=True, failure=Failure.TIMEOUT)


def _refusal_word(status: int, fault: Fault) -> str:
    if status == 402 or fault.exhausted or fault.gateway_code in _GATEWAY_UNPAID:
        return "provider_quota"
    if status == 401 or fault.gateway_code in _GATEWAY_CREDENTIAL or _KEY_INVALID in fault.words:
        return "provider_credential"
    return "refused"
