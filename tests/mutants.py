"""`make mutants`: plants named bugs, one at a time, in a copy of the tree, and shows that the tests catch
each.

A mutant is caught when its tests fail; one that survives makes the command exit 1. A replaced text that
isn't there any more is an error, so that the list can't rot.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("src", "tests", "proto", "pyproject.toml")
TIMEOUT_S = 240
# All of the tests, without a bug.
SOUND_TIMEOUT_S = 600
# Pytests side by side, each with a database of its own.
AT_ONCE = 2

LEDGER = "tests/control/ledger"
RULES = f"{LEDGER}/test_ledger_rules.py"
POSTINGS = f"{LEDGER}/test_postings.py"
QUEUE = f"{LEDGER}/test_ledger_queue.py"
MACHINE = f"{LEDGER}/test_ledger_machine.py"
WINDOWS = f"{LEDGER}/test_windows.py"
CONTRACT = "tests/control/contract"
AUDIT = "tests/control/test_audit.py"
API_TOKENS = "tests/control/test_api_tokens.py"
ROTATION = "tests/control/test_key_rotation.py"
RE_RATING = "tests/control/test_re_rating.py"
PENDING = "tests/control/test_pending_objects.py"
COST = "tests/tollkeeper/test_cost.py"
SHARES = "tests/edge/rates/test_shares.py"
POLICY = "tests/edge/test_policy.py"
BREAKERS = "tests/edge/upstream/test_breakers.py"
RETRIES = "tests/edge/path/test_retries.py"
HEALTH = "tests/edge/path/test_health.py"
ROUTING = "tests/tollkeeper/test_routing.py"


@dataclass(frozen=True)
class Mutant:
    """One planted bug: in `file`, `old` becomes `new`; `tests` must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = (
    Mutant(
        "two edges look for the same end: claims wait for each other in place of passing over",
        "src/control/store/pending_objects.py",
        "FOR UPDATE SKIP LOCKED",
        "",
        PENDING,
    ),
    Mutant(
        "unfinished objects are followed by what keys may use: others' providers are never asked",
        "src/control/store/pending_objects.py",
        "AND p.provider_id = d.provider_id AND p.delete_time IS NULL",
        "AND p.provider_id = d.provider_id AND p.delete_time IS NULL AND NOT p.disabled",
        PENDING,
    ),
    Mutant(
        "an end that won't be known is looked for again and again",
        "src/control/store/pending_objects.py",
        ".values(look_time=None)",
        ".values(look_time=kept_objects.c.look_time)",
        PENDING,
    ),
    Mutant(
        "a look at what is too old ends nothing: it is asked for ever",
        "src/edge/follower.py",
        "pending.age_s > FOLLOW_FOR_S",
        "pending.age_s > 100 * FOLLOW_FOR_S",
        "tests/edge/test_follower.py",
    ),
    Mutant(
        "blocked answer: what the vendor generated and Cloudflare kept back costs nothing",
        "src/edge/upstream/policy.py",
        'return Verdict(failover=False, void=False, why="blocked"',
        'return Verdict(failover=False, void=True, why="blocked"',
        POLICY,
    ),
    Mutant(
        "empty account: a provider without credit is asked again and again",
        "src/edge/upstream/policy.py",
        "    if exhausted or fault.gateway_code in _GATEWAY_UNPAID:",
        "    if fault.gateway_code in _GATEWAY_UNPAID:",
        POLICY,
    ),
    Mutant(
        "free retry: a further attempt is sent without its hold",
        "src/edge/upstream/failover.py",
        "            await self._ledger.next_attempt(self._opened, self._plans[place])\n",
        "            pass\n",
        RETRIES,
    ),
    Mutant(
        "no reader: a request whose client hung up is sent on to the next provider",
        "src/edge/upstream/failover.py",
        "            not self._client.gone\n            and",
        "            True\n            and",
        RETRIES,
    ),
    Mutant(
        "retry storm: nothing bounds what retries add to an overload",
        "src/edge/upstream/retries.py",
        "        if left < _RETRY:",
        "        if left < -1e9:",
        RETRIES,
    ),
    Mutant(
        "herd of probes: all requests try a provider that may be well again",
        "src/edge/upstream/breakers.py",
        "        breaker.next_probe_s = now_s + PROBE_S\n",
        "",
        BREAKERS,
    ),
    Mutant(
        "stolen probe: a key without budget keeps a provider from being asked",
        "src/edge/planning.py",
        "            self._breakers.release(options[0].route.breaker)\n",
        "",
        HEALTH,
    ),
    Mutant(
        "final word: a refused request is tried everywhere",
        "src/tollkeeper/conditions.py",
        "    return ending.failure is not Failure.REFUSED",
        "    return True",
        ROUTING,
    ),
    Mutant(
        "request hidden: heads are taken as Sanic reads them",
        "src/edge/client_framing.py",
        "if not (usual and _is_usual(head, headers)) and _HEAD.fullmatch(head) is None:",
        "if not head:",
        "tests/edge/path/test_framing.py",
    ),
    Mutant(
        "request hidden: names of usual heads are not looked at",
        "src/edge/client_framing.py",
        "        and _USUAL_NAMES.issuperset(headers)\n",
        "",
        "tests/edge/test_client_framing.py",
    ),
    Mutant(
        "slow body: a byte now and then starts its time anew",
        "src/edge/client_connection.py",
        "self._moved += abs(seen - self._seen)",
        "self._waited_s = 0.0 if seen != self._seen else self._waited_s",
        "tests/edge/path/test_slow_clients.py::test_a_body_that_drips",
    ),
    Mutant(
        "complete by mistake: a broken stream ends without an error",
        "src/edge/outlet.py",
        "            await self.send(last)\n            await self.end()",
        "            await self.end()",
        "tests/edge/path/test_answers.py::test_a_broken_stream_ends_with_an_error_event",
    ),
    Mutant(
        "thoughts for free: what a model thought unseen is left out of estimates",
        "src/edge/estimate.py",
        "if (rule.provider_id, model) in self._thinkers:",
        "if not model:",
        "tests/edge/test_estimate.py::test_where_the_hold_stands",
    ),
    Mutant(
        "read on: a client that stalls doesn't stop its vendor",
        "src/edge/upstream/receiver.py",
        "if response.buffered > response.high_water_bytes and not self._paused:",
        "if response.buffered > 1 << 30 and not self._paused:",
        "tests/edge/path/test_backpressure.py",
    ),
    Mutant(
        "short minute: what was used comes free a slot too early",
        "src/control/domain/rates.py",
        "SLOTS = MINUTE_MS // SLOT_MS + 1",
        "SLOTS = MINUTE_MS // SLOT_MS",
        SHARES,
    ),
    Mutant(
        "dead worker: its share comes back while what it used still counts",
        "src/control/domain/rates.py",
        "return 0 if self.kind == Kind.CONCURRENT_REQUESTS else MINUTE_MS",
        "return 0",
        SHARES,
    ),
    Mutant(
        "repeated ask: it is lent twice",
        "src/control/domain/rates.py",
        "ask.number <= before.number:",
        "ask.number < before.number:",
        SHARES,
    ),
    Mutant(
        "two owners: a worker goes on with what it gave back",
        "src/edge/rates/bucket.py",
        "        self.left = ask.kept\n",
        "",
        SHARES,
    ),
    Mutant(
        "late refund: tokens that were reported are drawn again without asking",
        "src/edge/rates/bucket.py",
        "self._taken_back.get(step, 0) + amount",
        "self._taken_back.get(step, 0) + amount; self.left += amount",
        SHARES,
    ),
    Mutant(
        "no dedupe: a usage id is posted as often as it is sent",
        "src/control/ledger/postings.py",
        "if usage_id in claimed:",
        "if usage_id not in posting.outcomes:",
        POSTINGS,
    ),
    Mutant(
        "wrong window: a lease is drawn from after its window ended",
        "src/control/ledger/batch.py",
        "ended = any(window.end_time <= locked.now for window in lease.windows)",
        "ended = False",
        WINDOWS,
    ),
    Mutant(
        "double release: a repeated report frees again",
        "src/control/domain/ledger.py",
        "max(0, returned_nanousd - lease.returned_nanousd)",
        "max(0, returned_nanousd)",
        RULES,
    ),
    Mutant(
        "held forgotten at the deadline: a lost lease leaves no estimate",
        "src/control/domain/ledger.py",
        "estimate = min(lease.in_flight_nanousd, lease.held_nanousd)",
        "estimate = 0",
        POSTINGS,
    ),
    Mutant(
        "estimate over report: what the vendor said is overwritten by a guess",
        "src/control/ledger/postings.py",
        "        return Outcome.DUPLICATE\n    posting.conflicts",
        "        posting.better.append((record, stored))\n        return Outcome.POSTED\n"
        "    posting.conflicts",
        POSTINGS,
    ),
    Mutant(
        "conflict hidden: other content under the same id passes as a duplicate",
        "src/control/ledger/postings.py",
        "if record.digest == stored.digest:",
        "if record.usage_id:",
        POSTINGS,
    ),
    Mutant(
        "overrun unlabelled: what exceeds the hold is posted as if it had been held",
        "src/control/domain/ledger.py",
        "label = Label.OVERRUN if lease.state is LeaseState.OPEN else Label.LATE",
        "label = Label.POST",
        POSTINGS,
    ),
    Mutant(
        "holds ignored: a grant looks at what is spent only",
        "src/control/domain/ledger.py",
        "return self.limit_nanousd - self.spent_nanousd - self.held_nanousd",
        "return self.limit_nanousd - self.spent_nanousd",
        QUEUE,
    ),
    Mutant(
        "one budget checked: the loosest hard window decides",
        "src/control/domain/ledger.py",
        "room = min(window.room_nanousd for window in hard)",
        "room = max(window.room_nanousd for window in hard)",
        RULES,
    ),
    Mutant(
        "soft budgets refuse",
        "src/control/domain/ledger.py",
        "hard = [window for window in windows if window.hard]",
        "hard = list(windows)",
        RULES,
    ),
    Mutant(
        "held is spent: a refusal is final while only holds are in the way",
        "src/control/domain/ledger.py",
        "if window.spent_nanousd + first > window.limit_nanousd:",
        "if window.spent_nanousd + window.held_nanousd + first > window.limit_nanousd:",
        RULES,
    ),
    Mutant(
        "answer forgotten: a repeated acquire grants again",
        "src/control/ledger/batch.py",
        "if answered is not None:",
        "if False:",
        QUEUE,
    ),
    Mutant(
        "stale chain accepted: a budget added meanwhile is not asked",
        "src/control/ledger/batch.py",
        "or chain.version != request.chain_version",
        "",
        MACHINE,
    ),
    Mutant(
        "overtaking: a small hold passes a large one in the line",
        "src/control/ledger/batch.py",
        "if queued and isinstance(decision, Granted) and holds:",
        "if False:",
        QUEUE,
    ),
    Mutant(
        "newcomers hidden: a crowd that waits takes every place of the transaction",
        "src/control/ledger/queue.py",
        "tried = job.work.held is not None",
        "tried = False",
        QUEUE,
    ),
    Mutant(
        "drawn past the deadline: the edge goes on with a lease whose time is over",
        "src/edge/lease_book.py",
        "if lease is None or now_s >= lease.draws_until_s:",
        "if lease is None:",
        "tests/edge/test_leases.py",
    ),
    Mutant(
        "undo believed: answers of a rolled back transaction are delivered",
        "src/control/ledger/batch.py",
        "        work.reset()",
        "        pass",
        QUEUE,
    ),
    Mutant(
        "opening forgotten: a budget born mid-month starts at nothing",
        "src/control/store/chains.py",
        "return max(0, int(spent.scalar_one()))",
        "return 0",
        WINDOWS,
    ),
    Mutant(
        "late records lost: an unknown lease pins no windows",
        "src/control/ledger/postings.py",
        "pinned[lease_id] = keys",
        "pinned[lease_id] = []",
        QUEUE,
    ),
    Mutant(
        "lost estimate kept: arriving records are added to it",
        "src/control/ledger/postings.py",
        "if lease.state is LeaseState.LOST:",
        "if False:",
        POSTINGS,
    ),
    Mutant(
        "cost rounded down",
        "src/tollkeeper/cost.py",
        "    return -(-total // UNITS_PER_RATE)\n\n\n@dataclass",
        "    return total // UNITS_PER_RATE\n\n\n@dataclass",
        COST,
    ),
    Mutant(
        "cached tokens billed twice",
        "src/tollkeeper/cost.py",
        "input_tokens - (cached + written + audio_in + image_in)",
        "input_tokens - (written + audio_in + image_in)",
        COST,
    ),
    Mutant(
        "isolation dropped: whoever names another customer reaches it",
        "src/control/services/scope.py",
        "if customer_id is None or not (identity.operator or customer_id == identity.customer_id):",
        "if customer_id is None:",
        f"{CONTRACT}/test_isolation.py::test_every_method_hides_what_is_another_customers",
    ),
    Mutant(
        "etags unread: an update overwrites what somebody else changed",
        "src/control/services/convert.py",
        "if sent and sent != etag(revision):",
        "if False:",
        f"{CONTRACT}/test_updates.py::test_an_update_of_what_changed_meanwhile_is_refused",
    ),
    Mutant(
        "page tokens unchecked: one of another list is followed",
        "src/control/services/paging.py",
        "if hashlib.sha256(digest + cursor).digest()[:_DIGEST_BYTES] != check:",
        "if len(check) < _DIGEST_BYTES:",
        f"{CONTRACT}/test_pages.py::test_page_sizes_and_tokens_that_are_none",
    ),
    Mutant(
        "made again: a create sent a second time makes a second thing",
        "src/control/services/once.py",
        "if stored is not None:",
        "if False:",
        f"{CONTRACT}/test_request_ids.py::test_a_create_sent_again_makes_one",
    ),
    Mutant(
        "change untold: a rotation leaves no entry in the audit log",
        "src/control/services/keys.py",
        "            await record_change(connection, customer_id, before, key)\n",
        "",
        f"{AUDIT}::test_every_change_leaves_an_entry_without_secrets",
    ),
    Mutant(
        "secrets in the audit log",
        "src/control/services/audit.py",
        "    clear_secrets(bare)\n",
        "",
        f"{AUDIT}::test_a_service_that_shows_a_secret_does_not_get_it_into_the_log",
    ),
    Mutant(
        "API token wider than its maker: any role is given",
        "src/control/services/api_tokens.py",
        "checked_role(sent.role or users_pb2.ROLE_MEMBER, customer_id)",
        "Role(sent.role or users_pb2.ROLE_MEMBER)",
        f"{API_TOKENS}::test_a_token_is_never_more_than_its_maker",
    ),
    Mutant(
        "API token outlives its maker's role",
        "src/control/store/credentials.py",
        "role = min(Role(token.role), highest)",
        "role = Role(token.role)",
        f"{API_TOKENS}::test_a_token_is_never_more_than_its_maker",
    ),
    Mutant(
        "scopes ignored: an API token may do what its role may",
        "src/control/store/credentials.py",
        "scopes=frozenset(token.scopes) or None,",
        "scopes=None,",
        f"{API_TOKENS}::test_scopes_limit_a_token",
    ),
    Mutant(
        "platform's settings shown: customers see its alias and address",
        "src/control/services/providers.py",
        '    if row["customer_id"] == customer_id:\n        message.base_url',
        "    if True:\n        message.base_url",
        "tests/control/test_platform_resources.py::test_customers_see_names_and_never_settings",
    ),
    Mutant(
        "rotation without overlap: the old secret ends at once",
        "src/control/services/keys.py",
        "until = await transaction_time(connection) + overlap",
        "until = await transaction_time(connection)",
        f"{ROTATION}::test_both_secrets_work_during_the_overlap",
    ),
    Mutant(
        "endless overlap: the old secret works as long as the key",
        "src/control/store/grants.py",
        "ELSE least(k.expire_time, k.previous_expire_time) END",
        "ELSE k.expire_time END",
        f"{ROTATION}::test_an_overlap_that_is_over_is_over",
    ),
    Mutant(
        "address list ignored",
        "src/edge/client_address.py",
        "if not grant.allowed_networks:",
        "if grant is not None:",
        "tests/edge/path/test_key_limits.py::test_addresses_are_the_socket_s",
    ),
    Mutant(
        "markup left out: the ledger books the bare price",
        "src/control/domain/records.py",
        "usage_counts(attempt.usage), attempt.markup_ppm)",
        "usage_counts(attempt.usage))",
        "tests/control/test_price_plans.py::test_a_record_costs_its_price_and_markup",
    ),
    Mutant(
        "rounded twice: before the markup and after it",
        "src/tollkeeper/cost.py",
        "return -(-total * (MARKUP_UNIT + markup_ppm) // (UNITS_PER_RATE * MARKUP_UNIT))",
        "return -(-total // UNITS_PER_RATE * (MARKUP_UNIT + markup_ppm) // MARKUP_UNIT)",
        COST,
    ),
    Mutant(
        "top-up for good: later windows of the budget are raised too",
        "src/control/store/ledger.py",
        "b.limit_nanousd + w.top_up_nanousd AS limit_nanousd",
        "b.limit_nanousd + coalesce((SELECT sum(t.amount_nanousd) FROM budget_top_ups t "
        "WHERE t.customer_id = b.customer_id AND t.budget_id = b.budget_id), 0) AS limit_nanousd",
        "tests/control/test_top_ups.py::test_a_top_up_raises_one_window_and_no_later_one",
    ),
    Mutant(
        "alert twice: a threshold is told of with every entry beyond it",
        "src/control/domain/ledger.py",
        "if percent > self.alerted_percent and self.spent_nanousd",
        "if self.spent_nanousd",
        "tests/control/test_budget_alerts.py::test_a_threshold_alerts_once_in_a_window",
    ),
    Mutant(
        "re-rated twice: a correction is posted again",
        "src/control/ledger/re_rating.py",
        '{row["usage_id"]: new.cost_nanousd for row, new, _ in changed},',
        '{row["usage_id"]: record.cost_nanousd for row, _, record in changed},',
        f"{RE_RATING}::test_a_fixed_price_corrects_what_was_booked",
    ),
    Mutant(
        "re-rating half told: tags, models and providers keep their old sums",
        "src/control/ledger/re_rating.py",
        "sums.count(row, Sum(cost_nanousd=difference))",
        "sums.count_owners(row, Sum(cost_nanousd=difference))",
        f"{RE_RATING}::test_corrections_reach_the_sums_of_every_dimension",
    ),
    Mutant(
        "estimate and report summed: what replaces an estimate is added to it",
        "src/control/ledger/postings.py",
        'cost_nanousd=row["cost_nanousd"] - stored.cost_nanousd,',
        'cost_nanousd=row["cost_nanousd"],',
        POSTINGS,
    ),
    Mutant(
        "summed again: a record that is sent again counts twice in the sums",
        "src/control/ledger/postings.py",
        "        return Outcome.DUPLICATE\n    if stored.state == ESTIMATED",
        "        posting.fresh.append(record)\n        return Outcome.DUPLICATE\n"
        "    if stored.state == ESTIMATED",
        POSTINGS,
    ),
    Mutant(
        "refusals counted twice: a batch of them sent again is added again",
        "src/control/ledger/refusals.py",
        "for usage_id in added:",
        "for usage_id in rows:",
        "tests/control/test_refused_requests.py::test_a_refusal_is_logged_and_counted_once",
    ),
    Mutant(
        "a full account is a failure: past the quota customers don't share",
        "src/control/provisioner.py",
        "full = error.problem is Problem.QUOTA and not deleting",
        "full = False",
        "tests/control/test_gateways.py::test_b1_past_the_quota_customers_share",
    ),
)


def plant(mutant: Mutant, tree: Path) -> None:
    """Writes the bug into the copy."""
    path = tree / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.name}: the text to replace is not there once: {mutant.old!r}")
    path.write_text(text.replace(mutant.old, mutant.new))


def passes(tests: Sequence[str], mutant: Mutant | None = None) -> bool:
    """Runs tests on a copy of the tree, with a bug in it if one is given."""
    timeout_s = SOUND_TIMEOUT_S if mutant is None else TIMEOUT_S
    with tempfile.TemporaryDirectory(prefix="mutant-") as directory:
        tree = Path(directory)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, tree / name)
        if mutant is not None:
            plant(mutant, tree)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        environment = {**os.environ, "PYTHONPATH": f"{tree / 'src'}:{tree}"}
        try:
            ended = subprocess.run(
                command, cwd=tree, env=environment, capture_output=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        # 1: tests failed. Anything else (no tests, a usage error) proves nothing.
        if ended.returncode not in (0, 1):
            name = "no bug" if mutant is None else mutant.name
            raise SystemExit(f"{name}: pytest ended with {ended.returncode}: {ended.stdout[-2000:]!r}")
        return ended.returncode == 0


def survives(mutant: Mutant) -> bool:
    """Whether the mutant's tests pass with the bug; tells so."""
    began_s = time.monotonic()
    survived = passes([mutant.tests], mutant)
    outcome = "SURVIVED" if survived else "caught  "
    print(f"{outcome} {time.monotonic() - began_s:5.1f} s  {mutant.name}", flush=True)
    return survived


def main(wanted: list[str]) -> int:
    """Runs all mutants, or those whose name holds one of the words given. What a test that fails anyway
    catches proves nothing: without a bug all of them have to pass."""
    chosen = [mutant for mutant in MUTANTS if not wanted or any(word in mutant.name for word in wanted)]
    tests = sorted({mutant.tests for mutant in chosen})
    with ThreadPoolExecutor(AT_ONCE) as pool:
        sound = pool.submit(passes, tests)
        survived = sum(pool.map(survives, chosen))
        if not sound.result():
            raise SystemExit("the tests fail without any bug")
    print(f"MUTANTS planted={len(chosen)} caught={len(chosen) - survived} survived={survived}")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
