"""Running a command, and what is said when it fails."""

import os
import sys
from collections.abc import Sequence

import grpc
import typer

from clients.cli import failures
from clients.cli.completion import COMPLETING
from clients.cli.failures import UsageProblem, one_line
from tollkeeper.errors import Reason, TollkeeperError


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """The exit code; a failure has been told in one line on standard error."""
    command = typer.main.get_command(app)
    try:
        answer = command.main(_with_help(list(arguments)), prog_name="tollkeeper", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        return failures.INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough (`| head`); nothing more can be said to it, at exit neither.
        sys.stdout = None
        return 0
    except Exception as error:
        text, code = _explained(error)
        sys.stderr.write(f"tollkeeper: {text}\n")
        return code
    return answer if isinstance(answer, int) else 0


def _with_help(arguments: list[str]) -> list[str]:
    """`tollkeeper` and `tollkeeper NOUN` show what they could do."""
    if COMPLETING in os.environ:
        return arguments
    return [*arguments, "--help"] if len(arguments) < 2 and arguments not in _ALONE else arguments


_ALONE = (
    *(["whoami"], ["login"], ["logout"], ["password"], ["export"]),
    *(["--help"], ["-h"], ["--version"], ["--install-completion"], ["--show-completion"]),
)


def _explained(error: Exception) -> tuple[str, int]:
    if isinstance(error, TollkeeperError):
        return failures.line(_with_address(error)), failures.exit_code(error)
    if isinstance(error, UsageProblem):
        return one_line(str(error)), failures.USAGE
    if (problems := getattr(error, "problems", None)) is not None:
        # Settings; their class is imported by those who have some.
        return one_line("; ".join(problems)), failures.USAGE
    # Typer's own errors; their class has moved between its versions.
    if (message := getattr(error, "format_message", None)) is not None:
        return one_line(message()), failures.USAGE
    return one_line(f"unexpected failure: {type(error).__name__}: {error}"), failures.REFUSED


def _with_address(error: TollkeeperError) -> TollkeeperError:
    """Where the control plane can't be reached: which address was tried. gRPC knows."""
    if (
        error.reason == Reason.UNAVAILABLE
        and not error.metadata
        and isinstance(error.__cause__, grpc.RpcError)
    ):
        details = error.__cause__.details() or ""
        return TollkeeperError(error.reason, f"{error.message} {details}".strip())
    return error
