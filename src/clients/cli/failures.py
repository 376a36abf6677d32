"""What goes wrong, as one line on standard error and an exit code (docs/cli.md)."""

from tollkeeper.errors import Reason, TollkeeperError

REFUSED = 1
USAGE = 2
NOT_FOUND = 3
NOT_ALLOWED = 4
UNAVAILABLE = 5
INTERRUPTED = 130

_EXIT_CODES = {
    Reason.NOT_FOUND: NOT_FOUND,
    Reason.UNAUTHENTICATED: NOT_ALLOWED,
    Reason.INVALID_CREDENTIALS: NOT_ALLOWED,
    Reason.PERMISSION_DENIED: NOT_ALLOWED,
    Reason.LOGIN_THROTTLED: NOT_ALLOWED,
    Reason.UNAVAILABLE: UNAVAILABLE,
    Reason.DEADLINE_EXCEEDED: UNAVAILABLE,
}


class UsageProblem(Exception):
    """The command line can't be used as it is."""


def exit_code(error: TollkeeperError) -> int:
    """By what the caller can do about it; anything else is a refusal."""
    return _EXIT_CODES.get(error.reason, REFUSED)


def line(error: TollkeeperError) -> str:
    """Message and reason."""
    return f"{one_line(error.message)} ({error.reason_name})"


def one_line(text: str) -> str:
    """The text without line breaks and other control characters."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
