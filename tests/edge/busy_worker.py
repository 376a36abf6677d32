"""A worker under load until it is killed: `python -m tests.edge.busy_worker CONTROL DATA_DIR SECRET`.

Prints each request as JSON when it would be sent upstream, and again with its cost when it is finished.
"""

import asyncio
import json
import random
import sys
from pathlib import Path

from edge.admission import AttemptPlan, Ledger, LedgerSettings, UsageState
from edge.control_link import open_channel
from tollkeeper.cost import UsageCounts

CLIENTS = 16
MODEL = "gpt-4o-mini"


async def client(ledger: Ledger, secret: str) -> None:
    """One request after the other."""
    while True:
        grant = await ledger.authorize(secret)
        price = ledger.price(grant, grant.rules[0], MODEL)
        if price is None:
            await asyncio.sleep(0.01)
            continue
        plan = AttemptPlan(grant.rules[0], MODEL, price, 1_000_000)
        opened = await ledger.begin(grant, plan, requested_model=MODEL, stream=False)
        try:
            say(usage_id=opened.usage_id)
            await asyncio.sleep(random.uniform(0, 0.02))
            usage = UsageCounts(output_tokens=random.randrange(1000))
            opened.end_attempt(UsageState.USAGE_STATE_REPORTED, status=200, usage=usage)
        finally:
            cost = ledger.finish(opened)
        say(usage_id=opened.usage_id, cost=cost)


def say(**event: object) -> None:
    """One line on standard output."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Runs until killed."""
    address, data_dir, secret = sys.argv[1:]
    ledger = Ledger(
        LedgerSettings(Path(data_dir), settle_interval_s=0.05), open_channel([address]), "edge-secret"
    )
    await ledger.start()
    await asyncio.gather(*(client(ledger, secret) for _ in range(CLIENTS)))


if __name__ == "__main__":
    asyncio.run(main())
