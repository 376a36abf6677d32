"""Speech in OpenAI's own format. Audio tells no usage, but the events that it can be had in do: where model
tokens are billed, events are asked for, and a client that wants audio gets what is in them."""

from base64 import b64decode
from typing import Any

import orjson

from edge.call import Call
from edge.formats import Changes, Reading, StreamReader
from edge.formats.event_usage import EventUsage
from edge.formats.openai_json import OpenaiJson
from edge.sse import data_of
from edge.upstream.body import plain_body
from edge.upstream.cloudflare import Endpoint
from edge.usage import counts
from tollkeeper.cost import UsageCounts
from tollkeeper.operations import Operation


class SpeechOpenai(OpenaiJson):
    """JSON goes up, audio or events come down."""

    served = Operation.SPEECH

    def body(self, call: Call, endpoint: Endpoint, changes: Changes) -> bytes:
        """The client's own bytes, with events asked for where they tell what is billed."""
        if changes.by_units or call.stream:
            return plain_body(call, endpoint, changes)
        named = {"model": endpoint.model_prefix + changes.model, "stream_format": "sse"}
        body = call.body | named
        if call.provider is not None:
            del body["provider"]
        return orjson.dumps(body)

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """Audio says nothing; its characters are the request's."""
        return Reading(units=UsageCounts(characters=call.demand.characters))

    def stream(self, call: Call) -> StreamReader:
        """The last event tells the usage."""
        return SpeechAudio() if call.unwraps else EventUsage(speech_counts)


def speech_counts(told: dict[str, Any]) -> UsageCounts | None:
    """The counts of a `speech.audio.done` event: what comes out is audio."""
    read = counts(told["usage"])
    return None if read is None else read._replace(audio_output_tokens=read.output_tokens)


class SpeechAudio(EventUsage):
    """The audio in the events. Raises ValueError for an error among them, and for an end without usage: audio
    has no way to say so, but being cut."""

    __slots__ = ("_audio",)

    def __init__(self) -> None:
        super().__init__(speech_counts)
        self._audio: list[bytes] = []

    def feed(self, chunk: bytes) -> bytes:
        """The audio that the chunk completes."""
        self._feed_slowly(chunk)
        return self._taken()

    def flush(self) -> bytes:
        """What is left at the end."""
        super().flush()
        if self._usage is None:
            raise ValueError("the vendor's events ended without telling their usage")
        return self._taken()

    @staticmethod
    def _is_telling(chunk: bytes) -> bool:
        return True

    def _look(self, event: bytes) -> bool:
        super()._look(event)
        if self.error is not None:
            raise ValueError("the vendor's events hold an error")
        payload = data_of(event)
        if b"speech.audio.delta" in payload:
            audio = orjson.loads(payload).get("audio")
            self._audio.append(b64decode(audio) if type(audio) is str else b"")
        return True

    def _taken(self) -> bytes:
        audio = b"".join(self._audio)
        self._audio.clear()
        return audio
