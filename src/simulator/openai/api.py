"""The endpoints of one vendor: dispatch, kept responses, background, bill."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import orjson

from simulator.bill import Bill
from simulator.chat import Answer, body_of, decide
from simulator.errors import VendorError
from simulator.gates import Gates
from simulator.http import Request
from simulator.openai import texts
from simulator.openai.paths import OPENAI_PATHS
from simulator.openai.responses import RESPONSES, ResponseCall, read_response, response_object
from simulator.shapes import Shape
from simulator.steering import Steering

KEPT_RESPONSES = 10_000
_COUNT, _COMPACT = "responses/input_tokens", "responses/compact"


@dataclass(slots=True)
class Kept:
    """A response that was stored, for whoever has the credential."""

    answer: Answer
    credential: bytes
    status: str = ""
    """Empty: it has come to its end."""

    def json(self) -> dict[str, Any]:
        return response_object(self.answer, self.status)


@dataclass(slots=True)
class OpenaiApi:
    """Responses live as long as the simulator; the oldest go when there are too many."""

    bill: Bill
    gates: Gates
    steering: Steering
    _kept: dict[str, Kept] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def close(self) -> None:
        """Gives up what runs in the background, unbilled."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def answer(
        self, request: Request, path: str, provider: str, event_id: str
    ) -> tuple[Answer, Shape] | bytes:
        """What is to be played, or a body that costs nothing. Raises VendorError."""
        match = OPENAI_PATHS.fullmatch(path)
        assert match is not None
        name = match[1]
        if name.startswith("responses/") and name not in (_COUNT, _COMPACT):
            return self._about_kept(request, name.split("/"))
        if request.method != b"POST":
            raise VendorError(405, "Not allowed.", code="method_not_supported")
        body = body_of(request.body)
        header = request.header(b"x-sim")
        if name == "completions":
            return decide(
                texts.completions_call(body, request.body, header, self.steering)
            ), texts.COMPLETIONS
        if name == "embeddings":
            call = texts.read_text(body, request.body, header, self.steering, "input")
            return texts.embeddings_answer(call), texts.EMBEDDINGS
        if name == "moderations":
            call = texts.read_text(body, request.body, header, self.steering, "input")
            return texts.moderations_answer(call), texts.MODERATIONS
        return self._response(request, body, name, provider, event_id)

    def _response(
        self, request: Request, body: dict[str, Any], name: str, provider: str, event_id: str
    ) -> tuple[Answer, Shape] | bytes:
        credential = _credential(request)
        earlier = body.get("previous_response_id")
        tokens = 0
        if earlier is not None:
            before = self._find(str(earlier), credential, 400).answer.usage
            tokens = before.prompt + before.completion
        call = read_response(body, request.body, request.header(b"x-sim"), self.steering, tokens)
        if name == _COUNT:
            return orjson.dumps({"object": "response.input_tokens", "input_tokens": call.prompt_tokens})
        answer = decide(call)
        if name == _COMPACT:
            return answer, _COMPACTS
        if call.stored:
            self._keep(call.object_id, Kept(answer, credential))
        if call.background and not call.stream and call.steering.status is None:
            kept = self._kept[call.object_id]
            kept.status = "queued"
            self._start(self._run(kept, provider, event_id))
            return orjson.dumps(kept.json())
        return answer, RESPONSES

    async def _run(self, kept: Kept, provider: str, event_id: str) -> None:
        """A background response: it waits for its gate, or its time, and is billed at its end."""
        call = kept.answer.call
        if call.steering.gate:
            await self.gates.passed(call.steering.gate)
        await asyncio.sleep(call.steering.first_byte_ms / 1000)
        usage = kept.answer.usage
        if kept.status == "cancelled":
            usage = usage.so_far(0)
        else:
            kept.status = ""
        self.bill.add(event_id, provider, call.model, usage, status=200, finish="complete", stream=False)

    def _start(self, running: Any) -> None:
        task = asyncio.get_running_loop().create_task(running)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _about_kept(self, request: Request, parts: list[str]) -> tuple[Answer, Shape] | bytes:
        kept = self._find(parts[1], _credential(request), 404)
        call = kept.answer.call
        assert isinstance(call, ResponseCall)
        asked = request.method, "/".join(parts[2:])
        if asked == (b"GET", ""):
            return orjson.dumps(kept.json())
        if asked == (b"DELETE", ""):
            del self._kept[parts[1]]
            return orjson.dumps({"id": parts[1], "object": "response", "deleted": True})
        if asked == (b"POST", "cancel"):
            if not call.background:
                raise VendorError(400, "Cannot cancel a synchronous response.")
            if kept.status in ("queued", "in_progress"):
                kept.status = "cancelled"
            return orjson.dumps(kept.json())
        if asked == (b"GET", "input_items"):
            ids = [item["id"] for item in call.items] or [None]
            listed = {"object": "list", "data": call.items, "has_more": False}
            return orjson.dumps(listed | {"first_id": ids[0], "last_id": ids[-1]})
        raise VendorError(405, "Not allowed.", code="method_not_supported")

    def _find(self, object_id: str, credential: bytes, status: int) -> Kept:
        kept = self._kept.get(object_id)
        if kept is None or kept.credential != credential:
            message = f"Response with id '{object_id}' not found."
            if status == 404:
                raise VendorError(404, message)
            raise VendorError(400, message, param="previous_response_id", code="previous_response_not_found")
        return kept

    def _keep(self, object_id: str, kept: Kept) -> None:
        while len(self._kept) >= KEPT_RESPONSES:
            del self._kept[next(iter(self._kept))]
        self._kept[object_id] = kept


def _credential(request: Request) -> bytes:
    return request.header(b"authorization") or request.header(b"api-key") or b""


def _compacted(answer: Answer) -> bytes:
    whole = response_object(answer)
    item = {"type": "compaction", "id": f"cmp_{whole['id']}", "encrypted_content": "c3VtbWFyeQ=="}
    names = ("id", "created_at", "usage")
    return orjson.dumps(
        {"object": "response.compaction", "output": [item], **{name: whole[name] for name in names}}
    )


_COMPACTS = Shape(_compacted, RESPONSES.script, RESPONSES.error)
