"""`tollkeeper login`, `logout`, `whoami` and `password`."""

import os
from typing import Annotated

import typer

from clients import signin
from clients.cli import output
from clients.cli.commands import command
from clients.cli.failures import UsageProblem
from clients.cli.options import secret, two_secrets
from clients.cli.plain import Plain, plain
from clients.cli.session import Session
from clients.signin import SignIn
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1.sessions_pb2 import CreateSessionRequest, DeleteSessionRequest, GetSessionRequest
from tollkeeper.v1.sessions_pb2_grpc import SessionsServiceStub
from tollkeeper.v1.users_pb2 import ChangePasswordRequest
from tollkeeper.v1.users_pb2_grpc import UsersServiceStub

PASSWORD_VARIABLE = "TOLLKEEPER_PASSWORD"  # noqa: S105 - names a variable


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    command(app, "login")(login)
    command(app, "whoami")(whoami)
    command(app, "logout")(logout)
    command(app, "password")(change_password)


def login(
    session: Session,
    email: Annotated[str, typer.Option("--email", help="As the user is known.", show_default=False)],
    password_stdin: Annotated[
        bool,
        typer.Option(
            "--password-stdin", help=f"Read the password from standard input. Or {PASSWORD_VARIABLE}."
        ),
    ] = False,
    print_: Annotated[
        bool, typer.Option("--print", help="Print the credential instead of keeping it.")
    ] = False,
) -> None:
    """Sign in, for the commands that follow: they act as this user until `logout`."""
    password = secret(password_stdin, PASSWORD_VARIABLE, "Password")
    if password is None:
        raise UsageProblem(f"a password is needed: --password-stdin or {PASSWORD_VARIABLE}")
    stub = SessionsServiceStub(session.channel(authenticated=False))
    answer = stub.CreateSession(CreateSessionRequest(email=email, password=password))
    if print_:
        if session.json:
            output.record(session, plain(answer))
        else:
            output.raw(answer.secret)
        return
    expire_time = answer.session.expire_time.ToJsonString()
    try:
        signin.save(SignIn(session.control_address, email, answer.secret, expire_time))
    except OSError as error:
        raise UsageProblem(f"{signin.file()}: {error.strerror}; --print shows the credential") from None
    _show(session, plain(answer.session))


def logout(
    session: Session,
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="End all of your sessions, on every machine.")
    ] = False,
) -> None:
    """Sign out: the credential of `login`, or that of TOLLKEEPER_CREDENTIAL, ends at once."""
    sign_in = None if os.environ.get("TOLLKEEPER_CREDENTIAL") else signin.load()
    stub = SessionsServiceStub(session.channel(sign_in=sign_in))
    try:
        stub.DeleteSession(DeleteSessionRequest(everywhere=everywhere))
    except TollkeeperError as error:
        # Ended already: then only our copy is left.
        if sign_in is None or error.reason != Reason.UNAUTHENTICATED:
            raise
    if sign_in is not None:
        signin.forget()
    output.note(session, "Signed out.")


def whoami(session: Session) -> None:
    """Show who the control plane takes you for."""
    stub = SessionsServiceStub(session.channel())
    _show(session, plain(stub.GetSession(GetSessionRequest())))


def change_password(session: Session) -> None:
    """Change your password; all your other sessions end. Reads the old and the new one, a line each, from
    standard input, or asks for them at a terminal."""
    old, new = two_secrets("Old password", "New password")
    request = ChangePasswordRequest(old_password=old, new_password=new)
    UsersServiceStub(session.channel()).ChangePassword(request)
    output.note(session, "Changed. All your other sessions have ended.")


def _show(session: Session, signed_in: Plain) -> None:
    """People see the user's email instead of the whole user."""
    user = signed_in["user"]
    email = {"user": user["email"] if user else None}
    output.record(session, signed_in if session.json else {**signed_in, **email})
