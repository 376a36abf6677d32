"""`tollkeeper doctor`: checks settings, database, parts and Cloudflare, and says what to do."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from doctor import settings as settings_check
from doctor.cloudflare import check_cloudflare
from doctor.data_dir import check_data_dir
from doctor.database import address, check_database
from doctor.finding import Finding, as_json, as_text, is_well, skipped
from doctor.live import check_live
from doctor.parts import check_control, check_control_version, check_edges, running
from supervisor.data_dir import find_data_dir

_PROBLEMS = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when nothing failed, 1 otherwise."""
    options = _parser().parse_args(arguments)
    data_dir = options.data_dir.expanduser().absolute() if options.data_dir else find_data_dir()
    findings = examine(data_dir, options.edge, options.live)
    try:
        print(as_json(findings) if options.json else as_text(findings), flush=True)  # noqa: T201
    except BrokenPipeError:
        # The reader has seen enough (`| head`); nothing more can be said to it, at exit neither.
        sys.stdout = None
    return 0 if is_well(findings) else _PROBLEMS


def examine(data_dir: Path, edges: Sequence[str], live: bool) -> list[Finding]:
    """All checks, in the order in which one depends on another."""
    settings, findings = settings_check.load(data_dir)
    findings += check_data_dir(data_dir)
    up = running(data_dir)
    if settings.control is None or settings.edge is None:
        return [*findings, skipped("the rest", "not looked at: correct the settings first")]
    control, edge = settings.control, settings.edge
    url = address(control)
    findings += check_database(control, url)
    secret = os.environ.get("TOLLKEEPER_CREDENTIAL") or _read(data_dir / "cli.credential")
    addresses = [up["control"]] if "control" in up else edge.control_addresses
    findings += check_control(addresses, edge, secret)
    findings += check_control_version(control)
    findings += check_edges(edges or [up.get("edge", f"http://{edge.host}:{edge.port}")])
    findings += settings_check.check_account(control, edge, up.get("simulator"))
    findings += asyncio.run(check_cloudflare(control, edge.gateway_id, url))
    if live:
        findings += asyncio.run(check_live(control, edge))
    return findings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tollkeeper doctor", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--data-dir", type=Path, metavar="PATH", help="else TOLLKEEPER_DATA_DIR")
    parser.add_argument(
        "--edge", action="append", default=[], metavar="URL", help="an edge to look at; may be repeated"
    )
    parser.add_argument(
        "--live",
        action="store_true",
        help="also make, change and delete a gateway at Cloudflare, as the control plane does",
    )
    return parser


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except OSError:
        return None


if __name__ == "__main__":
    sys.exit(main())
