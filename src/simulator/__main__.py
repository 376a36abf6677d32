"""`python -m simulator`: serve until a signal; a bad setting or a port in use is one line and exit code 1."""

import argparse
import gc
import logging
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

import uvloop

from simulator.server import run
from simulator.settings import Settings
from simulator.steering import SteeringError, parse

_PREFIX = "TOLLKEEPER_SIMULATOR_"


def main(arguments: list[str] | None = None) -> int:
    """Run the simulator; returns the exit code."""
    logging.basicConfig(format="%(name)s: %(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        settings = _settings(arguments)
        gc.collect()
        gc.freeze()
        _allow_many_files()
        uvloop.run(run(settings))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"simulator: {error}\n")
        return 1
    return 0


def _allow_many_files() -> None:
    """A thousand streams are as many connections, and shells often start programs with such a limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems call a limit unlimited and refuse it
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _settings(arguments: list[str] | None) -> Settings:
    """Settings of the command line, else of the environment. Raises ValueError."""
    options = _parser().parse_args(arguments)
    port = _number("port", options.port, 65535)
    try:
        steering = parse(options.steer)
    except SteeringError as error:
        raise ValueError(f"steer: {error}") from error
    return Settings(
        host=options.host,
        port=port,
        bill=Path(options.bill) if options.bill else None,
        account_id=options.account_id or None,
        gateways=frozenset(
            name for name in ",".join(options.gateway or [_environment("GATEWAY")]).split(",") if name
        ),
        require_token=options.require_token or None,
        steering=steering,
        gateway_quota=_number("gateway-quota", options.gateway_quota, 10_000),
        gateways_file=Path(options.gateways_file) if options.gateways_file else None,
        api_requests=_number("api-requests", options.api_requests, 1_000_000),
    )


def _number(name: str, text: object, largest: int) -> int:
    """A whole number of the command line or the environment. Raises ValueError."""
    digits = str(text)
    if not digits.isascii() or not digits.isdigit() or len(digits) > 9 or int(digits) > largest:
        raise ValueError(f"{name} must be a number up to {largest}, not {text!r}")
    return int(digits)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulator",
        description="Stand-in for Cloudflare AI Gateway with OpenAI chat behind it.",
        epilog=f"Each option is also read from the environment: --require-token is {_PREFIX}REQUIRE_TOKEN.",
    )
    parser.add_argument("--host", default=_environment("HOST", "127.0.0.1"))
    parser.add_argument("--port", default=_environment("PORT", "8090"), help="0 takes any free port")
    parser.add_argument("--bill", metavar="PATH", default=_environment("BILL"), help="append the bill here")
    parser.add_argument("--account-id", default=_environment("ACCOUNT_ID"), help="the only account accepted")
    parser.add_argument(
        "--gateway",
        action="append",
        default=[],
        help="a gateway that exists beside `default`; repeat or separate by commas; without it all exist",
    )
    parser.add_argument("--require-token", metavar="TOKEN", default=_environment("REQUIRE_TOKEN"))
    parser.add_argument("--gateway-quota", default=_environment("GATEWAY_QUOTA", "20"))
    parser.add_argument(
        "--gateways-file",
        metavar="PATH",
        default=_environment("GATEWAYS_FILE"),
        help="keep gateways made by the management API here",
    )
    parser.add_argument(
        "--api-requests",
        default=_environment("API_REQUESTS", "1200"),
        help="management calls in five minutes",
    )
    parser.add_argument("--steer", default=_environment("STEER"), help="steering of requests that have none")
    return parser


def _environment(name: str, default: str = "") -> str:
    return os.environ.get(_PREFIX + name, default)


if __name__ == "__main__":
    sys.exit(main())
