"""Lets a call through when its caller has what `control.domain.roles` asks for the method."""

from collections.abc import AsyncIterator

from google.protobuf.message import Message

from control.caller import caller
from control.domain.identity import CallerKind
from control.domain.roles import REQUIREMENTS, Requirement
from control.interceptors.concern import Context, Stream, Unary
from control.interceptors.metrics import short_name
from tollkeeper.errors import Reason, TollkeeperError


class Roles:
    """Refuses calls of methods that declare no requirement, and of callers that don't meet it."""

    def unary(self, method: str, inner: Unary) -> Unary:
        """UNAUTHENTICATED without a credential where one is needed, else PERMISSION_DENIED."""
        requirement = REQUIREMENTS.get(method)

        async def handle(request: Message, context: Context) -> Message:
            _check(method, requirement)
            return await inner(request, context)

        return handle

    def stream(self, method: str, inner: Stream) -> Stream:
        """As for unary methods."""
        requirement = REQUIREMENTS.get(method)

        async def handle(request: Message, context: Context) -> AsyncIterator[Message]:
            _check(method, requirement)
            async for message in inner(request, context):
                yield message

        return handle


def _check(method: str, requirement: Requirement | None) -> None:
    identity = caller()
    if requirement is not None and requirement.admits(identity):
        return
    name = short_name(method)
    if identity.kind is CallerKind.ANONYMOUS and requirement is not None:
        raise TollkeeperError(
            Reason.UNAUTHENTICATED, "Sign in first: the call carries no credential.", {"method": name}
        )
    raise TollkeeperError(Reason.PERMISSION_DENIED, f"The caller may not use {name}.", {"method": name})
