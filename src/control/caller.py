"""Who makes the call that the present task serves. The identity interceptor sets it, services ask."""

from contextvars import ContextVar

from control.domain.identity import ANONYMOUS, Identity

_caller: ContextVar[Identity] = ContextVar("caller", default=ANONYMOUS)


def caller() -> Identity:
    """The caller of this RPC; anonymous outside of one."""
    return _caller.get()


def set_caller(identity: Identity) -> None:
    """Holds for the rest of the present task, which serves one RPC."""
    _caller.set(identity)
