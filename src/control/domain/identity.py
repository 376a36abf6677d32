"""Who calls, and what that allows."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Role(IntEnum):
    """users.proto Role; a higher one may do all that a lower one may."""

    MEMBER = 1
    MANAGER = 2
    ADMIN = 3
    OWNER = 4
    OPERATOR = 5


class CallerKind(StrEnum):
    """How the caller proved who it is."""

    ANONYMOUS = "anonymous"
    SESSION = "session"
    # The command line on the control plane's own machine: acts as an operator.
    CLI = "cli"
    EDGE = "edge"
    # An internal tool, in the name of who made its token.
    API_TOKEN = "api_token"  # noqa: S105 - names a kind


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller of one RPC. `customer_id` is the customer it acts in; operators may act in any."""

    kind: CallerKind
    customer_id: str = ""
    user_id: str = ""
    credential_id: str = ""
    role: Role | None = None
    operator: bool = False
    # Where the user's row is; an operator acts elsewhere.
    home_customer_id: str = ""
    # Of an API token: what it is limited to; None: nothing but its role.
    scopes: frozenset[str] | None = None


ANONYMOUS = Identity(CallerKind.ANONYMOUS)
