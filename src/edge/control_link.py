"""The one adapter between the edge and EdgeService: deadlines, errors, and how many calls were made."""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeVar

import grpc
import grpc.aio

from clients.refusals import error_of
from clients.target import target_of
from tollkeeper.errors import Reason
from tollkeeper.v1 import edge_pb2

SERVICE = "/tollkeeper.v1.EdgeService/"
MOST_MESSAGE_BYTES = 64 * 1024 * 1024
AUTHORIZE_TIMEOUT_S = 2.0
RETURN_TIMEOUT_S = 5.0
SETTLE_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S = 15.0
# Finding an object may wait for its settlement.
KEPT_OBJECTS_TIMEOUT_S = 5.0

# Nobody can tell whether the call took effect.
UNKNOWN_OUTCOMES = frozenset({Reason.UNAVAILABLE, Reason.DEADLINE_EXCEEDED, Reason.INTERNAL})

Answer = TypeVar("Answer")
Method = Callable[..., Awaitable[Answer]]


def open_channel(
    addresses: Sequence[str], credentials: grpc.ChannelCredentials | None = None
) -> grpc.aio.Channel:
    """A channel over all replicas (host:port each), spread round-robin; in plain text without credentials."""
    target, options = target_of(addresses)
    # A price book can be larger than any other answer.
    options = [*options, ("grpc.max_receive_message_length", MOST_MESSAGE_BYTES)]
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=options)
    return grpc.aio.secure_channel(target, credentials, options=options)


class ControlLink:
    """Calls EdgeService. Every method raises TollkeeperError and nothing else."""

    def __init__(self, channel: grpc.aio.Channel, credential: str) -> None:
        self.calls: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self._metadata = (("authorization", f"Bearer {credential}"),)
        messages = edge_pb2
        self._authorize = _method(channel, "Authorize", messages.AuthorizeResponse.FromString)
        self._acquire = _method(channel, "AcquireLease", messages.AcquireLeaseResponse.FromString)
        self._shares = _method(channel, "AcquireShares", messages.AcquireSharesResponse.FromString)
        self._return = _method(channel, "ReturnLease", messages.ReturnLeaseResponse.FromString)
        self._settle = _method(channel, "Settle", messages.SettleResponse.FromString)
        self._close = _method(channel, "CloseIncarnation", messages.CloseIncarnationResponse.FromString)
        self._count = _method(channel, "CountMissingModels", messages.CountMissingModelsResponse.FromString)
        self._refused = _method(channel, "ReportRefusals", messages.ReportRefusalsResponse.FromString)
        self._find = _method(channel, "FindKeptObjects", messages.FindKeptObjectsResponse.FromString)
        self._scan = _method(channel, "ScanKeptObjects", messages.ScanKeptObjectsResponse.FromString)
        self._claim = _method(channel, "ClaimPendingObjects", messages.ClaimPendingObjectsResponse.FromString)
        self._report = _method(channel, "ReportKeptObject", messages.ReportKeptObjectResponse.FromString)
        self._delete = _method(channel, "DeleteKeptObject", messages.DeleteKeptObjectResponse.FromString)
        self._show = _method(channel, "ShowKey", messages.ShowKeyResponse.FromString)
        self._watch = channel.unary_stream(
            f"{SERVICE}Watch",
            request_serializer=edge_pb2.WatchRequest.SerializeToString,
            response_deserializer=edge_pb2.WatchResponse.FromString,
        )

    async def authorize(self, key_hash: bytes, timeout_s: float = AUTHORIZE_TIMEOUT_S) -> edge_pb2.Grant:
        """The grant of a key."""
        request = edge_pb2.AuthorizeRequest(key_hash=key_hash).SerializeToString()
        answer: edge_pb2.AuthorizeResponse = await self._call(
            "Authorize", self._authorize, request, timeout_s
        )
        return answer.grant

    async def acquire(
        self, request: edge_pb2.AcquireLeaseRequest, timeout_s: float
    ) -> edge_pb2.AcquireLeaseResponse:
        """Opens a lease or tops it up."""
        data = request.SerializeToString()
        answer: edge_pb2.AcquireLeaseResponse = await self._call(
            "AcquireLease", self._acquire, data, timeout_s
        )
        return answer

    async def acquire_shares(
        self, request: edge_pb2.AcquireSharesRequest, timeout_s: float
    ) -> Sequence[edge_pb2.ShareAnswer]:
        """Reports what was used of rates and concurrency, and asks for more; one answer per ask, in order."""
        answer = await self._call("AcquireShares", self._shares, request.SerializeToString(), timeout_s)
        return answer.answers

    async def return_lease(self, request: edge_pb2.ReturnLeaseRequest) -> None:
        """Reports where leases stand."""
        await self._call("ReturnLease", self._return, request.SerializeToString(), RETURN_TIMEOUT_S)

    async def settle(self, request: bytes) -> Sequence[int]:
        """Books finished requests; `request` is a serialized SettleRequest.

        Returns one SettleOutcome per record, in order."""
        answer = await self._call("Settle", self._settle, request, SETTLE_TIMEOUT_S)
        return answer.outcomes

    async def close_incarnation(self, incarnation_id: str, last_sequence: int) -> int:
        """Ends an incarnation whose records are all acknowledged.

        Returns how many of its sequences were never settled."""
        request = edge_pb2.CloseIncarnationRequest(incarnation_id=incarnation_id, last_sequence=last_sequence)
        data = request.SerializeToString()
        answer = await self._call("CloseIncarnation", self._close, data, CLOSE_TIMEOUT_S)
        return answer.gap_count

    async def count_missing_models(self, request: edge_pb2.CountMissingModelsRequest) -> None:
        """Tells which models were refused for want of a price."""
        data = request.SerializeToString()
        await self._call("CountMissingModels", self._count, data, RETURN_TIMEOUT_S)

    async def report_refusals(self, request: edge_pb2.ReportRefusalsRequest) -> None:
        """Tells which requests were refused."""
        await self._call("ReportRefusals", self._refused, request.SerializeToString(), RETURN_TIMEOUT_S)

    async def find_kept_objects(
        self, request: edge_pb2.FindKeptObjectsRequest
    ) -> Sequence[edge_pb2.FoundObject]:
        """Which ids are of objects that vendors keep for a customer."""
        data = request.SerializeToString()
        answer: edge_pb2.FindKeptObjectsResponse = await self._call(
            "FindKeptObjects", self._find, data, KEPT_OBJECTS_TIMEOUT_S
        )
        return answer.objects

    async def scan_kept_objects(
        self, request: edge_pb2.ScanKeptObjectsRequest
    ) -> Sequence[edge_pb2.FoundObject]:
        """A customer's objects of a kind, the newest first."""
        data = request.SerializeToString()
        answer: edge_pb2.ScanKeptObjectsResponse = await self._call(
            "ScanKeptObjects", self._scan, data, KEPT_OBJECTS_TIMEOUT_S
        )
        return answer.objects

    async def claim_pending_objects(
        self, request: edge_pb2.ClaimPendingObjectsRequest
    ) -> edge_pb2.ClaimPendingObjectsResponse:
        """Objects whose end this edge should look for now."""
        data = request.SerializeToString()
        answer: edge_pb2.ClaimPendingObjectsResponse = await self._call(
            "ClaimPendingObjects", self._claim, data, KEPT_OBJECTS_TIMEOUT_S
        )
        return answer

    async def report_kept_object(self, request: edge_pb2.ReportKeptObjectRequest) -> None:
        """Books the end of a pending object."""
        data = request.SerializeToString()
        await self._call("ReportKeptObject", self._report, data, SETTLE_TIMEOUT_S)

    async def delete_kept_object(self, customer_id: str, object_id: str) -> None:
        """Forgets an object that its vendor deleted."""
        request = edge_pb2.DeleteKeptObjectRequest(customer_id=customer_id, object_id=object_id)
        data = request.SerializeToString()
        await self._call("DeleteKeptObject", self._delete, data, KEPT_OBJECTS_TIMEOUT_S)

    async def show_key(self, customer_id: str, key_id: str) -> edge_pb2.ShowKeyResponse:
        """What a key may know of itself."""
        data = edge_pb2.ShowKeyRequest(customer_id=customer_id, key_id=key_id).SerializeToString()
        answer: edge_pb2.ShowKeyResponse = await self._call("ShowKey", self._show, data, AUTHORIZE_TIMEOUT_S)
        return answer

    async def watch(self, request: edge_pb2.WatchRequest) -> AsyncGenerator[edge_pb2.WatchResponse, None]:
        """Pushes, until the stream ends or breaks."""
        self.calls["Watch"] += 1
        call = self._watch(request, metadata=self._metadata)
        try:
            async for event in call:
                yield event
        except grpc.aio.AioRpcError as error:
            self.failures["Watch"] += 1
            raise error_of(error) from None
        finally:
            call.cancel()

    async def _call(self, name: str, method: "Method[Answer]", request: bytes, timeout_s: float) -> Answer:
        self.calls[name] += 1
        try:
            return await method(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            self.failures[name] += 1
            raise error_of(error) from None


def _method(channel: grpc.aio.Channel, name: str, parse: Callable[[bytes], Answer]) -> "Method[Answer]":
    """A unary method that takes its request serialized: what the journal has isn't serialized again."""
    method: Method[Answer] = channel.unary_unary(f"{SERVICE}{name}", response_deserializer=parse)
    return method
