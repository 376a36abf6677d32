"""A10: signing in."""

from edge.answer import Answer
from edge.rest.calls import Control
from edge.rest.endpoint import STRING, TEXT, Endpoint, object_of, optional, read_fields, required
from edge.rest.exchange import Exchange
from tollkeeper.errors import invalid
from tollkeeper.v1.sessions_pb2 import CreateSessionRequest

_FIELDS = {"username": optional(TEXT), "email": optional(TEXT), "password": required(TEXT)}
_ANSWER = object_of(token=STRING, user=object_of(id=STRING, email=STRING, plan=STRING))


def endpoints(control: Control) -> list[Endpoint]:
    """POST /api/auth/login."""

    async def login(exchange: Exchange) -> Answer:
        sent = read_fields(exchange, _FIELDS)
        name = sent.get("username") or sent.get("email")
        if not name:
            raise invalid("username is needed.", field="username")
        request = CreateSessionRequest(email=name, password=sent["password"])
        made = await exchange.caller.call(control.sessions.CreateSession, request)
        session = made.session
        user = {
            "id": session.customer_id or session.user.user_id,
            "email": session.user.email,
            "plan": session.plan,
        }
        return exchange.plain({"token": made.secret, "user": user})

    return [
        Endpoint(
            "POST",
            "/api/auth/login",
            login,
            "Sign in; `email` is taken for `username`",
            _ANSWER,
            fields=_FIELDS,
            signed_in=False,
        )
    ]
