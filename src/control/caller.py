"""Who makes the call that the present task serves. The identity interceptor sets it, services ask."""

from contextvars import ContextVar

from control.domain.identity import ANONYMOUS, Identity

_caller: ContextVar[Identity] = ContextVar("caller", default=ANONYMOUS)
_method: ContextVar[str] = ContextVar("method", default="")


def caller() -> Identity:
    """The caller of this RPC; anonymous outside of one."""
    return _caller.get()


def called_method() -> str:
    """This RPC, such as `KeysService/CreateKey`; empty outside of one."""
    return _method.get()


def set_caller(identity: Identity) -> None:
    """Holds for the rest of the present task, which serves one RPC."""
    _caller.set(identity)


def set_called_method(name: str) -> None:
    """Holds as long as the caller does."""
    _method.set(name)
