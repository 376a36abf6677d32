"""A stack of its own for a benchmark: `tollkeeper up` on free ports, with its data on this disk."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psycopg

from benchmarks.nginx import free_port
from control import postgres
from tollkeeper.v1 import (
    budgets_pb2,
    budgets_pb2_grpc,
    customers_pb2,
    customers_pb2_grpc,
    keys_pb2,
    keys_pb2_grpc,
    providers_pb2,
    providers_pb2_grpc,
    routers_pb2,
    routers_pb2_grpc,
    teams_pb2,
    teams_pb2_grpc,
    users_pb2,
    users_pb2_grpc,
)

# In the repository, so that journal and database are on a disk: the system's /tmp may be in memory.
ROOT = Path(__file__).resolve().parent.parent
DATA_ROOT = ROOT / ".bench"
STOP_WITHIN_S = 45.0
CALL_TIMEOUT_S = 10.0
CUSTOMER = "demo"
LARGE_LIMIT_NANOUSD = 1_000_000 * 10**9
MODEL = "gpt-4o-mini"
# What the benchmarks ask for themselves, past the edge, is told apart on the bill by its provider.
RIVALS_PROVIDER = "groq"
# Which models each vendor is asked for, in its own format; OpenAI for all others.
VENDORS = {"anthropic": ["claude*"], "google": ["gemini*"], "openai": []}
PARTS = ("edge", "control", "postgres", "simulator")


@dataclass(frozen=True)
class Stack:
    """A running stack."""

    data_dir: Path
    edge_url: str
    simulator_url: str
    control_address: str
    control_metrics_url: str
    pids: dict[str, int]
    source: Path

    @property
    def chat_url(self) -> str:
        """Where apps ask the edge."""
        return f"{self.edge_url}/v1/chat/completions"

    def posted(self) -> int:
        """Usage records that the control plane has booked, by its own count."""
        with urllib.request.urlopen(self.control_metrics_url, timeout=5) as answer:
            text = answer.read().decode()
        found = re.search(r'^tollkeeper_control_records_total\{outcome="posted"\} (\S+)', text, re.MULTILINE)
        return int(float(found.group(1))) if found else 0

    def billed(self) -> int:
        """Requests of the edge that the simulator has on its bill."""
        with urllib.request.urlopen(f"{self.simulator_url}/_sim/bill/summary", timeout=5) as answer:
            summary = json.load(answer)
        rivals = sum(
            totals["rows"]
            for name, totals in summary["by_model"].items()
            if name.startswith(f"{RIVALS_PROVIDER}/")
        )
        return int(summary["rows"] - rivals)

    def usage_records(self) -> tuple[int, int]:
        """Records in the database: those that were sent upstream, and those that weren't (voided)."""
        with psycopg.connect(
            host=str(postgres.socket_dir(self.data_dir)), user=postgres.SUPERUSER, dbname=postgres.DATABASE
        ) as database:
            row = database.execute(
                "SELECT count(*) FILTER (WHERE state <> 3), count(*) FILTER (WHERE state = 3)"
                " FROM usage_records"
            ).fetchone()
        assert row is not None
        return int(row[0]), int(row[1])

    def verify_ledger(self) -> str:
        """What `tollkeeper ledger verify` says. Raises CalledProcessError when anything is violated."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "control.verify"],
            env=_environment(self.source) | {"TOLLKEEPER_DATA_DIR": str(self.data_dir)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout.strip().splitlines()[-1]


@contextmanager
def limited(limit_s: int) -> Iterator[None]:
    """Ends what takes too long, or is terminated, as an exception would: nothing is left behind. Main thread
    only."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(f"FAILED: not done within {limit_s} s"))
    signal.alarm(limit_s)
    try:
        yield
    finally:
        signal.alarm(0)


@contextmanager
def running(workers: int, source: Path = ROOT) -> Iterator[Stack]:
    """Starts everything from a source tree, with the shipped defaults, and leaves nothing behind.

    Raises SystemExit, with the log when it can't start.
    """
    DATA_ROOT.mkdir(exist_ok=True)
    DATA_ROOT.chmod(0o711)  # PostgreSQL may run as another user, who has to get through.
    with tempfile.TemporaryDirectory(dir=DATA_ROOT, ignore_cleanup_errors=True) as folder:
        data_dir, log = Path(folder) / "data", Path(folder) / "log"
        Path(folder).chmod(0o711)
        metrics_port = free_port()
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "supervisor", "--json", "--data-dir", str(data_dir)],
                env=_environment(source) | _settings(workers, metrics_port),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise SystemExit(f"the stack didn't start:\n{log.read_text()[-3000:]}")
            yield _stack(json.loads(line), data_dir, metrics_port, source)
        except Exception:
            sys.stderr.write(log.read_text()[-3000:])
            raise
        finally:
            _stop(process)


def _environment(source: Path) -> dict[str, str]:
    """Ours without settings, so that the shipped defaults are measured, and with this tree's code."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TOLLKEEPER_", "CF_"))}
    return kept | {"PYTHONPATH": str(source / "src")}


def _settings(workers: int, metrics_port: int) -> dict[str, str]:
    return {
        "TOLLKEEPER_EDGE_WORKERS": str(workers),
        "TOLLKEEPER_EDGE_PORT": "0",
        "TOLLKEEPER_CONTROL_PORT": "0",
        "TOLLKEEPER_CONTROL_METRICS_PORT": str(metrics_port),
        "TOLLKEEPER_SIMULATOR_PORT": "0",
    }


def _stack(ready: dict[str, Any], data_dir: Path, metrics_port: int, source: Path) -> Stack:
    pids = {part: int((data_dir / "run" / f"{part}.pid").read_text()) for part in PARTS}
    return Stack(
        data_dir=data_dir,
        edge_url=ready["edge"],
        simulator_url=ready["simulator"],
        control_address=ready["control"],
        control_metrics_url=f"http://127.0.0.1:{metrics_port}/metrics",
        pids=pids,
        source=source,
    )


def _stop(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()  # Its children are ended by the kernel.
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


class Admin:
    """What an operator does, over gRPC with the credential of the local command line."""

    def __init__(self, stack: Stack) -> None:
        secret = (stack.data_dir / "cli.credential").read_text().strip()
        self._metadata = (("authorization", f"Bearer {secret}"),)
        self._channel = grpc.insecure_channel(stack.control_address)
        self._customer_id = ""

    def __enter__(self) -> "Admin":
        request = customers_pb2.GetCustomerRequest(customer_id=CUSTOMER)
        customer = self._call(customers_pb2_grpc.CustomersServiceStub(self._channel).GetCustomer, request)
        self._customer_id = customer.customer_id
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def create_key(self, name: str, **fields: Any) -> tuple[str, str]:
        """Id and secret."""
        key = keys_pb2.Key(customer_id=self._customer_id, name=name, **fields)
        stub = keys_pb2_grpc.KeysServiceStub(self._channel)
        answer = self._call(stub.CreateKey, keys_pb2.CreateKeyRequest(key=key))
        return answer.key.key_id, answer.raw_key

    def revoke_key(self, key_id: str) -> None:
        """Returns when it is in the database."""
        request = keys_pb2.RevokeKeyRequest(customer_id=self._customer_id, key_id=key_id)
        self._call(keys_pb2_grpc.KeysServiceStub(self._channel).RevokeKey, request)

    def create_key_of_all_vendors(self) -> str:
        """The secret of a budgeted key whose router leads to each vendor that has a format of its own."""
        rules = []
        for place, (provider_type, models) in enumerate(VENDORS.items(), 1):
            provider = providers_pb2.Provider(
                customer_id=self._customer_id,
                name=f"bench-{provider_type}",
                provider_type=provider_type,
                credential="sk-bench",
            )
            made = self._call(
                providers_pb2_grpc.ProvidersServiceStub(self._channel).CreateProvider,
                providers_pb2.CreateProviderRequest(provider=provider),
            )
            rule = routers_pb2.RoutingRule(
                provider_id=made.provider_id, allowed_models=models, priority=place
            )
            rules.append(rule)
        router = routers_pb2.Router(customer_id=self._customer_id, name="bench", rules=rules)
        router = self._call(
            routers_pb2_grpc.RoutersServiceStub(self._channel).CreateRouter,
            routers_pb2.CreateRouterRequest(router=router),
        )
        return self.create_budgeted_key("bench-all", router_id=router.router_id)

    def create_budgeted_key(self, name: str = "bench", **fields: Any) -> str:
        """The secret of a key below four hard budgets, never reached: of key, user, team and customer."""
        customer_id, channel = self._customer_id, self._channel
        team = self._call(
            teams_pb2_grpc.TeamsServiceStub(channel).CreateTeam,
            teams_pb2.CreateTeamRequest(team=teams_pb2.Team(customer_id=customer_id, name=name)),
        )
        user = users_pb2.User(
            customer_id=customer_id,
            email=f"{name}@example.com",
            role=users_pb2.ROLE_MEMBER,
            team_ids=[team.team_id],
        )
        user = self._call(
            users_pb2_grpc.UsersServiceStub(channel).CreateUser, users_pb2.CreateUserRequest(user=user)
        )
        key_id, secret = self.create_key(name, user_id=user.user_id, team_id=team.team_id, **fields)
        for scope, scope_id in (
            (budgets_pb2.SCOPE_KEY, key_id),
            (budgets_pb2.SCOPE_USER, user.user_id),
            (budgets_pb2.SCOPE_TEAM, team.team_id),
            (budgets_pb2.SCOPE_CUSTOMER, ""),
        ):
            budget = budgets_pb2.Budget(
                customer_id=customer_id,
                scope=scope,
                scope_id=scope_id,
                limit_nanousd=LARGE_LIMIT_NANOUSD,
                period=budgets_pb2.PERIOD_MONTHLY,
            )
            stub = budgets_pb2_grpc.BudgetsServiceStub(channel)
            self._call(stub.CreateBudget, budgets_pb2.CreateBudgetRequest(budget=budget))
        return secret

    def _call(self, method: Any, request: Any) -> Any:
        return method(request, metadata=self._metadata, timeout=CALL_TIMEOUT_S)


def settled(stack: Stack, within_s: float = 60.0) -> int:
    """Waits until everything billed is booked and nothing more comes; returns the number of booked records.

    Raises TimeoutError.
    """
    deadline = time.monotonic() + within_s
    posted, before = stack.posted(), -1
    while posted != before or posted < stack.billed():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{posted} records posted, {stack.billed()} billed after {within_s} s")
        time.sleep(0.7)  # An edge settles twice a second.
        posted, before = stack.posted(), posted
    return posted


def edge_workers(stack: Stack) -> list[int]:
    """The processes that serve requests."""
    return [int(path.read_text()) for path in (stack.data_dir / "run").glob("edge-worker-*.pid")]
