"""`tollkeeper login` and `tollkeeper whoami`."""

from typing import Annotated

import typer

from clients.cli import output
from clients.cli.commands import command
from clients.cli.failures import UsageProblem
from clients.cli.options import secret
from clients.cli.plain import plain
from clients.cli.session import Session
from tollkeeper.v1.sessions_pb2 import CreateSessionRequest, GetSessionRequest
from tollkeeper.v1.sessions_pb2_grpc import SessionsServiceStub

PASSWORD_VARIABLE = "TOLLKEEPER_PASSWORD"  # noqa: S105 - names a variable


def add_to(app: typer.Typer) -> None:
    """Registers both commands."""
    command(app, "login")(login)
    command(app, "whoami")(whoami)


def login(
    session: Session,
    email: Annotated[str, typer.Option("--email", show_default=False)],
    password_stdin: Annotated[
        bool,
        typer.Option(
            "--password-stdin", help=f"Read the password from standard input. Or {PASSWORD_VARIABLE}."
        ),
    ] = False,
) -> None:
    """Sign in: prints a credential, for TOLLKEEPER_CREDENTIAL=$(tollkeeper login ...)."""
    password = secret(password_stdin, PASSWORD_VARIABLE, "Password")
    if password is None:
        raise UsageProblem(f"a password is needed: --password-stdin or {PASSWORD_VARIABLE}")
    stub = SessionsServiceStub(session.channel(authenticated=False))
    answer = stub.CreateSession(CreateSessionRequest(email=email, password=password))
    if session.json:
        output.record(session, plain(answer))
    else:
        output.raw(answer.secret)


def whoami(session: Session) -> None:
    """Show who the control plane takes you for."""
    stub = SessionsServiceStub(session.channel())
    output.record(session, plain(stub.GetSession(GetSessionRequest())))
