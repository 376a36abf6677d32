"""`make chaos`: see the package. Ends by itself in under four minutes."""

import argparse
import asyncio
import shutil
import subprocess
import sys
import time
from pathlib import Path

import openai

from clients.control import ControlClient
from control import postgres
from tests.chaos.check import Verdict, bill, compare, posted
from tests.chaos.kills import PARTS, Killer
from tests.chaos.load import Key, Load
from tests.supervisor import stack
from tollkeeper.v1 import budgets_pb2, keys_pb2

DATA_DIR = Path(".chaos").resolve()
WORKERS = 2
CLIENTS = 24
KEYS = 16
# Spent within the run by the clients that use it.
SMALL_LIMIT_NANOUSD = 10_000_000
LARGE_LIMIT_NANOUSD = 1_000_000_000_000
MIN_REQUESTS = 5_000
MAX_LOAD_S = 185.0
SETTLE_TIMEOUT_S = 40.0


async def make_keys(control: str, credential: str) -> list[Key]:
    """Half of the keys have limits that the run uses up."""
    keys = []
    async with ControlClient([control], credential) as client:
        for number in range(KEYS):
            limit = SMALL_LIMIT_NANOUSD if number % 2 else LARGE_LIMIT_NANOUSD
            made = await client.keys.CreateKey(
                keys_pb2.CreateKeyRequest(
                    key=keys_pb2.Key(customer_id="demo", name=f"chaos {number}"),
                    budget=budgets_pb2.InitialBudget(limit_nanousd=limit, period=budgets_pb2.PERIOD_MONTHLY),
                )
            )
            large = limit == LARGE_LIMIT_NANOUSD
            keys.append(Key(made.key.key_id, made.raw_key, limit, background=large))
    return keys


async def drive(up: stack.Up, rounds: int) -> tuple[Load, Killer, list[Key], float]:
    """Load and kills until there were enough of both and the small keys are spent."""
    keys = await make_keys(up.ready["control"], (up.data_dir / "cli.credential").read_text().strip())
    load = Load(up.ready["edge"], keys, seed=1)
    killer = Killer(up.data_dir / "run", up.ready["edge"], load.tally)
    began_s = time.monotonic()
    clients = asyncio.create_task(load.run(CLIENTS))
    try:
        await killer.rounds(rounds)
        await asyncio.wait_for(until_enough(load, keys), max(0.1, MAX_LOAD_S - time.monotonic() + began_s))
    except TimeoutError:
        print("time is up before there was enough load", file=sys.stderr)
    finally:
        load.stop.set()
        await clients
    return load, killer, keys, time.monotonic() - began_s


async def until_enough(load: Load, keys: list[Key]) -> None:
    """Returns once the run has seen what it is for."""
    while not enough(load, keys):  # noqa: ASYNC110 - the clients know nothing of it
        await asyncio.sleep(0.2)


def enough(load: Load, keys: list[Key]) -> bool:
    """Whether the run has seen what it is for."""
    return load.tally.answered >= MIN_REQUESTS and all(
        k.exhausted for k in keys if k.limit_nanousd == SMALL_LIMIT_NANOUSD
    )


async def settled(up: stack.Up, keys: list[Key], load: Load) -> Verdict:
    """The verdict once every journal has been replayed, or what is still wrong when time is up."""
    url = postgres.url(up.data_dir).replace("postgresql+psycopg://", "postgresql://", 1)
    deadline_s = time.monotonic() + SETTLE_TIMEOUT_S
    while True:
        verdict = compare(await bill(up.ready["simulator"]), await posted(url), keys, load.tally)
        if not (verdict.lost or verdict.misposted) or time.monotonic() > deadline_s:
            return verdict
        await asyncio.sleep(1)


async def refused_alone(up: stack.Up, keys: list[Key]) -> int:
    """How many of the small keys refuse a lone request, as they must once they are spent."""
    refused = 0
    async with openai.AsyncOpenAI(base_url=f"{up.ready['edge']}/v1", api_key="none", max_retries=0) as client:
        for key in keys:
            if key.limit_nanousd == SMALL_LIMIT_NANOUSD:
                try:
                    await client.with_options(api_key=key.secret).chat.completions.create(
                        model="gpt-4o", max_tokens=32, messages=[{"role": "user", "content": "one more"}]
                    )
                except openai.RateLimitError as error:
                    refused += error.code == "insufficient_quota"
    return refused


def verify(up: stack.Up) -> int:
    """`tollkeeper ledger verify`; its report goes to standard error."""
    command = [sys.executable, "-m", "control.verify"]
    environment = stack.environment(TOLLKEEPER_DATA_DIR=str(up.data_dir))
    return subprocess.run(command, env=environment, stdout=sys.stderr, check=False).returncode


async def run(rounds: int) -> int:
    """Starts everything, breaks it, and says what was left. Exit code 0 only when nothing was wrong."""
    shutil.rmtree(DATA_DIR, ignore_errors=True)
    # Estimates of the whole hold are known to cover what was billed, which the audit can then check.
    settings = {
        "TOLLKEEPER_EDGE_WORKERS": str(WORKERS),
        "TOLLKEEPER_ESTIMATE": "hold",
        "TOLLKEEPER_FOLLOW_INTERVAL_S": "3",
    }
    up = stack.start(DATA_DIR, settings)
    try:
        load, killer, keys, load_s = await drive(up, rounds)
        verdict = await settled(up, keys, load)
        refused = await refused_alone(up, keys)
        verified = verify(up)
    finally:
        stack.end(up)
    tally = load.tally
    for detail in [*verdict.details, *tally.unexpected[:20]]:
        print(detail, file=sys.stderr)
    print(
        f"load {load_s:.0f} s: answered={tally.answered} (background={tally.left})"
        f" refused={tally.refused} broken={tally.broken}"
        f" unexpected={len(tally.unexpected)}; kills {dict(killer.kills)};"
        f" spent keys that refuse a lone request: {refused} of {KEYS // 2};"
        f" ledger verify {'passes' if verified == 0 else 'FAILS'}"
    )
    print(
        f"CHAOS kills={killer.kills.total()} requests={verdict.requests}"
        f" inflight_at_kill={killer.in_flight_at_kill}"
        f" estimated={verdict.estimated} lost={verdict.lost} duplicated={verdict.duplicated}"
        f" misposted={verdict.misposted} overspend_nanousd={verdict.overspend_nanousd}"
    )
    good = (
        verified == 0
        and refused == KEYS // 2
        and not tally.unexpected
        and not (verdict.lost or verdict.duplicated or verdict.misposted or verdict.overspend_nanousd)
        and verdict.estimated <= killer.in_flight_at_kill
        and verdict.requests >= (MIN_REQUESTS if rounds >= 5 else 1)
        and all(killer.kills[part] >= rounds for part in PARTS)
    )
    return 0 if good else 1


def main() -> int:
    """`--rounds N`: how often each part is killed; fewer than 5 is for trying it out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    return asyncio.run(run(parser.parse_args().rounds))


if __name__ == "__main__":
    sys.exit(main())
