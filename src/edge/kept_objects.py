"""Whose an object is that a vendor keeps, and where it is kept (DESIGN §7).

One `KeptObjects` per worker. What the worker itself made it knows; others are asked of the control plane and
remembered. That isn't the steady state: only requests that name such an object come here.
"""

from collections.abc import Iterable, Sequence
from math import inf
from typing import NamedTuple

from edge import metrics
from edge.call import Call
from edge.clock import Clock
from edge.control_link import ControlLink
from edge.grants import GrantView
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.ids import is_object_id
from tollkeeper.v1 import edge_pb2

# What was found, and what wasn't: beyond it the oldest is forgotten, and asked for again.
MAX_KNOWN = 20_000
MAX_MISSING = 20_000
# Guessing ids costs the control plane a look each; the same guess is answered from here for so long.
MISSING_S = 5.0
# What another worker made a moment ago may not be settled yet.
WAIT_S = 2.0
# Look-ups of a worker under way; beyond it clients are asked to come back.
MAX_LOOK_UPS = 256
# In place of a key's hash, in grants that only lead to an object.
NO_KEY = b""


class KeptObject(NamedTuple):
    """One object of a customer's."""

    object_id: str
    kind: str
    provider_id: str
    usage_id: str
    pending: bool
    """What it cost isn't known yet."""
    batch_input: edge_pb2.BatchInput | None = None
    """Of a file that a batch may be made of."""


class Pending(NamedTuple):
    """An object whose end should be looked for now."""

    kept: KeptObject
    grant: GrantView
    """As much as it takes to look: of no key, so it admits nothing. Without rules: the provider was
    deleted."""
    age_s: float


class KeptObjects:
    """Finds, reports and forgets."""

    def __init__(self, link: ControlLink, clock: Clock) -> None:
        self._link = link
        self._now_s = clock.now_s
        self._known: dict[tuple[str, str], KeptObject] = {}
        # Until when each id counts as missing.
        self._missing: dict[tuple[str, str], float] = {}
        self._look_ups = 0

    async def find(self, grant: GrantView, object_ids: Sequence[str]) -> list[KeptObject]:
        """The customer's objects with these ids, in their order.

        Raises NOT_FOUND for the first that isn't the customer's, as for one that never was; UNAVAILABLE.
        """
        known = {object_id: self._known.get((grant.customer_id, object_id)) for object_id in object_ids}
        unknown = [object_id for object_id, kept in known.items() if kept is None]
        if unknown:
            self._refuse_missing(grant.customer_id, unknown)
            known |= {each.object_id: each for each in await self._ask(grant.customer_id, unknown)}
        metrics.kept_objects_found("known", len(known) - len(unknown))
        found = []
        for object_id, kept in known.items():
            if kept is None:
                raise self._not_found(grant.customer_id, object_id)
            found.append(kept)
        return found

    async def bind(self, grant: GrantView, call: Call) -> None:
        """Lets a request that names kept objects only go where they are.

        What nobody here made may be the customer's all the same where the credential is its own; such a
        request goes to those providers only, unless it has to learn from the object. Raises NOT_FOUND where
        there is none, and UNAVAILABLE.
        """
        try:
            kept = await self.find(grant, call.references)
            call.only_providers = frozenset({each.provider_id for each in kept})
        except TollkeeperError as error:
            own = frozenset(rule.provider_id for rule in grant.rules if not rule.shared)
            if error.reason != Reason.NOT_FOUND or not own or call.family.learn is not None:
                raise
            call.only_providers = own
            return
        if len(call.only_providers) > 1:
            message = "The objects that this request names are kept by different providers."
            raise TollkeeperError(Reason.INVALID_ARGUMENT, message)
        if call.family.learn is not None:
            call.family.learn(call, kept)

    async def newest(self, grant: GrantView, kind: str, before: str, count: int) -> list[KeptObject]:
        """The customer's objects of a kind, the newest first; `before` names one to go on from, or nothing.
        Raises UNAVAILABLE."""
        request = edge_pb2.ScanKeptObjectsRequest(
            customer_id=grant.customer_id, kind=kind, before_object_id=before, page_size=count
        )
        return [_kept(each) for each in await self._link.scan_kept_objects(request)]

    async def claim(self, kinds: Sequence[str], count: int) -> tuple[list[Pending], float]:
        """Up to so many pending objects to look at, and for how long no other will be due; infinite when none
        is known. Raises UNAVAILABLE."""
        request = edge_pb2.ClaimPendingObjectsRequest(kinds=kinds, count=count)
        answer = await self._link.claim_pending_objects(request)
        pending = [
            Pending(
                _kept(each.object),
                GrantView(NO_KEY, each.grant, 0.0, 0.0),
                each.age.ToTimedelta().total_seconds(),
            )
            for each in answer.objects
        ]
        if not answer.HasField("next_in"):
            return pending, inf
        return pending, answer.next_in.ToTimedelta().total_seconds()

    async def leave(self, customer_id: str, object_id: str, why: str) -> None:
        """Tells that nobody will know what a pending object cost, so that its estimate stays. Raises
        NOT_FOUND, UNAVAILABLE."""
        request = edge_pb2.ReportKeptObjectRequest(
            customer_id=customer_id, object_id=object_id, why_unknown=why
        )
        await self._link.report_kept_object(request)

    async def report(self, request: edge_pb2.ReportKeptObjectRequest) -> None:
        """Tells what a pending object cost in the end. May be told again. Raises NOT_FOUND, UNAVAILABLE."""
        await self._link.report_kept_object(request)
        self._known.pop((request.customer_id, request.object_id), None)

    async def forget(self, grant: GrantView, object_id: str) -> None:
        """Its vendor deleted it. Raises UNAVAILABLE."""
        self._known.pop((grant.customer_id, object_id), None)
        await self._link.delete_kept_object(grant.customer_id, object_id)

    def made(self, customer_id: str, record: edge_pb2.UsageRecord) -> None:
        """This worker's own, which it knows before the control plane does. `record` is finished."""
        for kept in record.kept_objects:
            self._missing.pop((customer_id, kept.object_id), None)
            if not kept.pending or record.state != edge_pb2.USAGE_STATE_ESTIMATED:
                counted = _counted(kept)
                own = KeptObject(kept.object_id, kept.kind, kept.provider_id, record.usage_id, False, counted)
                self._remember(customer_id, own)

    def _remember(self, customer_id: str, kept: KeptObject) -> None:
        while len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        # An id that is there already stays what it is, as in the control plane.
        self._known.setdefault((customer_id, kept.object_id), kept)

    async def _ask(self, customer_id: str, object_ids: Sequence[str]) -> list[KeptObject]:
        if self._look_ups >= MAX_LOOK_UPS:
            metrics.kept_objects_found("refused", len(object_ids))
            raise TollkeeperError(
                Reason.UNAVAILABLE, "Too many objects are being looked up. Try again.", retry_after_s=1
            )
        request = edge_pb2.FindKeptObjectsRequest(customer_id=customer_id, object_ids=object_ids)
        request.wait.FromMicroseconds(int(WAIT_S * 1e6))
        self._look_ups += 1
        try:
            found = [_kept(each) for each in await self._link.find_kept_objects(request)]
        finally:
            self._look_ups -= 1
        metrics.kept_objects_found("found", len(found))
        for kept in found:
            # Another worker may report a pending one's end: that is asked for each time.
            if not kept.pending:
                self._remember(customer_id, kept)
        return found

    def _refuse_missing(self, customer_id: str, object_ids: Iterable[str]) -> None:
        now_s = self._now_s()
        for object_id in object_ids:
            if not is_object_id(object_id) or self._missing.get((customer_id, object_id), 0.0) > now_s:
                raise self._not_found(customer_id, object_id)

    def _not_found(self, customer_id: str, object_id: str) -> TollkeeperError:
        metrics.kept_objects_found("missing", 1)
        if is_object_id(object_id):
            self._missing.pop((customer_id, object_id), None)
            while len(self._missing) >= MAX_MISSING:
                del self._missing[next(iter(self._missing))]
            self._missing[customer_id, object_id] = self._now_s() + MISSING_S
        return TollkeeperError(Reason.NOT_FOUND, f"No object with id {object_id[:200]!r} was found.")


def _kept(found: edge_pb2.FoundObject) -> KeptObject:
    counted = _counted(found)
    return KeptObject(found.object_id, found.kind, found.provider_id, found.usage_id, found.pending, counted)


def _counted(message: edge_pb2.KeptObject | edge_pb2.FoundObject) -> edge_pb2.BatchInput | None:
    """A copy: whoever keeps a part of a message keeps all of it in memory."""
    if not message.HasField("batch_input"):
        return None
    counted = edge_pb2.BatchInput()
    counted.CopyFrom(message.batch_input)
    return counted
