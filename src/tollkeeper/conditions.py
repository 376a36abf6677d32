"""When a rule is tried: in its turn, or after an attempt that ended in one way only."""

from collections.abc import Collection
from enum import StrEnum
from typing import NamedTuple, Protocol

PRIMARY = "primary"
FALLBACK = "fallback"
ON_STATUS = "on_status"
ON_RATE_LIMIT = "on_rate_limit"
ON_TIMEOUT = "on_timeout"
# In the order in which rules of one priority are tried: what answers to one kind of failure comes before what
# answers to all.
CONDITIONS = (PRIMARY, ON_STATUS, ON_RATE_LIMIT, ON_TIMEOUT, FALLBACK)
# Tried only after a failure of their kind, so never first.
FOLLOWING = frozenset({ON_STATUS, ON_RATE_LIMIT, ON_TIMEOUT})
_RANKS = {condition: rank for rank, condition in enumerate(CONDITIONS)}


class ConditionalRule(Protocol):
    """What conditions read of a rule; fields as in edge.proto."""

    @property
    def condition(self) -> str: ...
    @property
    def statuses(self) -> Collection[int]: ...


class Failure(StrEnum):
    """How an attempt ended that brought no answer, as conditions ask for it."""

    RATE_LIMIT = "rate_limit"
    TIMEOUT = "timeout"
    OTHER = "other"
    REFUSED = "refused"
    """The vendor won't have this request: final, but for rules that name the status."""


class Ending(NamedTuple):
    """The end of the attempt before. `status` 0: no answer."""

    status: int
    failure: Failure


FIRST = Ending(0, Failure.OTHER)
"""Before the first attempt: what waits for a failure isn't tried."""


def waits(rule: ConditionalRule) -> bool:
    """Whether a rule is tried only after a failure of its kind."""
    return rule.condition in FOLLOWING


def answers_to(rule: ConditionalRule, ending: Ending) -> bool:
    """Whether a rule is tried after an attempt that ended like this."""
    if rule.condition == ON_STATUS:
        return ending.status in rule.statuses
    if rule.condition == ON_RATE_LIMIT:
        return ending.failure is Failure.RATE_LIMIT
    if rule.condition == ON_TIMEOUT:
        return ending.failure is Failure.TIMEOUT
    return ending.failure is not Failure.REFUSED


def rank(rule: ConditionalRule) -> int:
    """Its place in `CONDITIONS`. A condition that isn't known is as good as none."""
    return _RANKS.get(rule.condition, 0)
