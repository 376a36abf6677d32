"""Programs that use the control plane: the client of several replicas, and stubs made afresh from proto/."""

import re
import subprocess
import sys
import sysconfig
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc_tools
import pytest

from clients.control import SyncControlClient
from tests.e2e.admin import Tenant
from tests.e2e.replicas import cli_secret, replica
from tests.e2e.stack import Stack
from tests.supervisor.stack import environment
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1.teams_pb2 import (
    CreateTeamRequest,
    GetTeamRequest,
    ListTeamsRequest,
    Team,
    UpdateTeamRequest,
)

ROOT = Path(__file__).parent.parent.parent
THREADS = 8
CREATES = 60
KILL_AFTER = 100


def test_what_one_creates_the_other_shows_at_once(stack: Stack, tenant: Tenant, tmp_path: Path) -> None:
    """Replicas share the database and keep nothing of their own about resources."""
    with replica(stack, tmp_path) as (_, _, second):
        for here, there in ((stack.admin, second), (second, stack.admin)):
            team = here.teams.CreateTeam(
                CreateTeamRequest(team=Team(customer_id=tenant.customer_id, name="t"))
            )
            request = GetTeamRequest(customer_id=tenant.customer_id, team_id=team.team_id)
            assert there.teams.GetTeam(request) == team


def test_a_replica_killed_under_load(stack: Stack, tenant: Tenant, tmp_path: Path) -> None:
    """kill -9 of one of two: no create fails and none happens twice; of the updates, which nobody may send
    again blindly, only those in flight fail."""
    made, failed, killed = Counter[str](), list[TollkeeperError](), threading.Event()
    with replica(stack, tmp_path) as (second, address, _):
        addresses = [str(stack.up.ready["control"]), address]
        with SyncControlClient(addresses, cli_secret(stack)) as client:

            def create(worker: int) -> None:
                for number in range(CREATES):
                    team = Team(customer_id=tenant.customer_id, name=f"{worker}-{number}")
                    made[client.teams.CreateTeam(CreateTeamRequest(team=team)).name] += 1
                    if made.total() == KILL_AFTER:
                        second.kill()
                        killed.set()

            def update(worker: int) -> None:
                team = Team(customer_id=tenant.customer_id, name=f"u{worker}")
                team = client.teams.CreateTeam(CreateTeamRequest(team=team))
                for number in range(CREATES):
                    changed = Team(
                        customer_id=tenant.customer_id, team_id=team.team_id, name=f"u{worker}-{number}"
                    )
                    try:
                        client.teams.UpdateTeam(UpdateTeamRequest(team=changed))
                    except TollkeeperError as error:
                        failed.append(error)

            with ThreadPoolExecutor(THREADS) as pool:
                for done in [
                    *(pool.submit(create, worker) for worker in range(THREADS - 2)),
                    *(pool.submit(update, worker) for worker in range(2)),
                ]:
                    done.result()
    assert killed.is_set()
    assert len(failed) <= 2, "more failed than were in flight"
    assert {error.reason for error in failed} <= {Reason.UNAVAILABLE}
    listed = Counter(
        team.name
        for team in stack.admin.teams.ListTeams(
            ListTeamsRequest(customer_id=tenant.customer_id, page_size=1000)
        ).teams
        if not team.name.startswith("u")
    )
    assert listed == made
    assert set(listed.values()) == {1}
    assert len(listed) == (THREADS - 2) * CREATES


# Plain grpc and what protoc makes; nothing of ours.
FLOW = """
import sys
import grpc
from google.rpc import error_details_pb2, status_pb2
from google.protobuf.field_mask_pb2 import FieldMask
from tollkeeper.v1 import budgets_pb2, customers_pb2, customers_pb2_grpc, keys_pb2, keys_pb2_grpc
from tollkeeper.v1 import providers_pb2, providers_pb2_grpc, routers_pb2, routers_pb2_grpc

address, secret = sys.argv[1:]
metadata = [("authorization", f"Bearer {secret}")]
with grpc.insecure_channel(address) as channel:
    customers = customers_pb2_grpc.CustomersServiceStub(channel)
    customer = customers.CreateCustomer(
        customers_pb2.CreateCustomerRequest(customer=customers_pb2.Customer(name="Fresh stubs")),
        metadata=metadata, timeout=10)
    provider = providers_pb2_grpc.ProvidersServiceStub(channel).CreateProvider(
        providers_pb2.CreateProviderRequest(provider=providers_pb2.Provider(
            customer_id=customer.customer_id, name="openai", provider_type="openai", credential="sk-x")),
        metadata=metadata, timeout=10)
    router = routers_pb2_grpc.RoutersServiceStub(channel).CreateRouter(
        routers_pb2.CreateRouterRequest(router=routers_pb2.Router(
            customer_id=customer.customer_id, name="r",
            rules=[routers_pb2.RoutingRule(provider_id=provider.provider_id)])),
        metadata=metadata, timeout=10)
    keys = keys_pb2_grpc.KeysServiceStub(channel)
    made = keys.CreateKey(
        keys_pb2.CreateKeyRequest(
            key=keys_pb2.Key(customer_id=customer.customer_id, name="k", router_id=router.router_id),
            budget=budgets_pb2.InitialBudget(limit_nanousd=10**9)),
        metadata=metadata, timeout=10)
    keys.UpdateKey(
        keys_pb2.UpdateKeyRequest(
            key=keys_pb2.Key(customer_id=customer.customer_id, key_id=made.key.key_id, name="renamed"),
            update_mask=FieldMask(paths=["name"])),
        metadata=metadata, timeout=10)
    [listed] = keys.ListKeys(
        keys_pb2.ListKeysRequest(customer_id=customer.customer_id), metadata=metadata, timeout=10).keys
    assert listed.name == "renamed", listed
    try:
        keys.GetKey(keys_pb2.GetKeyRequest(customer_id=customer.customer_id, key_id="none"),
                    metadata=metadata, timeout=10)
    except grpc.RpcError as error:
        details = dict(error.trailing_metadata())["grpc-status-details-bin"]
        [packed] = status_pb2.Status.FromString(details).details
        info = error_details_pb2.ErrorInfo()
        assert packed.Unpack(info)
        assert (info.reason, info.domain) == ("NOT_FOUND", "tollkeeper.v1"), info
    print(made.raw_key)
"""


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a stock grpcio-tools makes of proto/, with the protos of googleapis-common-protos."""
    directory = tmp_path_factory.mktemp("stubs")
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(ROOT / "proto")]
    command += ["-I", sysconfig.get_path("purelib"), "-I", str(Path(grpc_tools.__file__).parent / "_proto")]
    command += ["--python_out", str(directory), "--grpc_python_out", str(directory)]
    command += [str(path) for path in sorted((ROOT / "proto/tollkeeper/v1").glob("*.proto"))]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return directory


def test_stubs_made_afresh(stack: Stack, stubs: Path) -> None:
    """Any gRPC program can do it: customer, provider, router, key; and read why it was refused."""
    ran = subprocess.run(
        [sys.executable, "-P", "-c", FLOW, str(stack.up.ready["control"]), cli_secret(stack)],
        env={**environment(), "PYTHONPATH": str(stubs)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("aig_")


@pytest.mark.parametrize("number", [0, 1], ids=["blocking", "asyncio"])
def test_the_examples_of_the_documentation(stack: Stack, number: int) -> None:
    """docs/clients.md can be copied and run."""
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "docs/clients.md").read_text(), flags=re.DOTALL)
    ran = subprocess.run(
        [sys.executable, "-c", examples[number]],
        env=environment(TOLLKEEPER_DATA_DIR=str(stack.up.data_dir)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"^aig_", ran.stdout, re.MULTILINE), ran.stdout
