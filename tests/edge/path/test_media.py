"""Images, audio and files on their way: what reaches the vendor, what comes back, and what is billed."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import orjson
import pytest

from edge.admission import UsageState
from edge.families.images import OUTPUT_TOKENS
from edge.families.transcriptions import TOKENS_PER_S
from edge.uploads.audio_length import LEAST_BYTES_PER_S
from edge.worst_case import IMAGE_TOKENS
from tests.edge.fake_ledger import KEY, Ended, FakeLedger, grant, price, rule
from tests.edge.path.conftest import Edge

Start = Callable[..., Any]
REPORTED, ESTIMATED = UsageState.USAGE_STATE_REPORTED, UsageState.USAGE_STATE_ESTIMATED
VOIDED = UsageState.USAGE_STATE_VOIDED
AUDIO = bytes(range(256)) * 200  # 3.2 seconds, as the simulator counts
UNITS = {"input": 0, "output": 0}
PRICES = (
    price("gpt-image-1", image_output=40_000_000_000, image_input=10_000_000_000),
    price("dall-e-3", image=40_000_000_000_000, **UNITS),
    price("tts-1", character=15_000_000_000, **UNITS),
    price("gpt-4o-mini-tts", audio_output=12_000_000_000),
    price("whisper-1", second=100_000_000_000, **UNITS),
    price("gpt-4o-transcribe", audio_input=6_000_000_000),
)


@pytest.fixture
async def edge(start: Start) -> Edge:
    made = await start(FakeLedger(grant(rule("primary")), *PRICES))
    assert isinstance(made, Edge)
    return made


async def ask(edge: Edge, path: str, **sent: Any) -> httpx.Response:
    async with edge.client as client:
        answer = await client.post(path, **sent)
    await edge.idle()
    return answer


def ended(edge: Edge) -> Ended:
    """How the last request's only attempt ended."""
    [end] = edge.ledger.opened[-1].ended
    return end


def captured(edge: Edge) -> dict[str, Any]:
    """What the vendor was sent last."""
    [request] = edge.simulator.captures.last(1)
    return request


# Images


async def test_image_by_tokens(edge: Edge) -> None:
    """A GPT image model bills what it reports; what it makes are image tokens; the hold covers it."""
    answer = await ask(
        edge, "/v1/images/generations", json={"model": "gpt-image-1", "prompt": "x" * 40, "n": 2}
    )
    assert len(answer.json()["data"]) == 2
    end, plan = ended(edge), edge.ledger.opened[0].plan
    assert end.state == REPORTED
    assert end.usage is not None
    assert (end.usage.input_tokens, end.usage.image_output_tokens, end.usage.images) == (10, 2000, 2)
    assert plan.hold_nanousd >= 2 * OUTPUT_TOKENS * 40_000 >= end.cost_nanousd


async def test_image_stream(edge: Edge) -> None:
    """Partial images pass, the last event is billed."""
    body = {"model": "gpt-image-1", "prompt": "x", "stream": True, "partial_images": 2}
    answer = await ask(edge, "/v1/images/generations", json=body)
    assert answer.text.count("event: ") == 3
    assert ended(edge).state == REPORTED
    assert ended(edge).usage.output_tokens == 1000  # type: ignore[union-attr]


async def test_image_by_the_image(edge: Edge) -> None:
    """A model that reports nothing is billed by the image, at the tier of its quality and size."""
    body = {"model": "dall-e-3", "prompt": "x", "size": "1024x1792", "quality": "hd"}
    await ask(edge, "/v1/images/generations", json=body)
    end = ended(edge)
    assert end.usage is not None
    assert (end.usage.images, end.usage.service_tier) == (1, "hd-1024x1792")
    assert end.state == REPORTED
    assert end.cost_nanousd == 40_000_000


async def test_tokens_without_usage_are_an_estimate(edge: Edge) -> None:
    """A model priced by tokens is never free for not reporting them."""
    body = {"model": "gpt-image-1+no_usage", "prompt": "x"}
    edge.ledger._prices["gpt-image-1+no_usage"] = edge.ledger._prices["gpt-image-1"]
    await ask(edge, "/v1/images/generations", json=body)
    assert (ended(edge).state, ended(edge).why) == (ESTIMATED, "usage_missing")
    assert ended(edge).cost_nanousd == edge.ledger.opened[0].plan.hold_nanousd


async def test_image_edit(edge: Edge) -> None:
    """An edit's images go on in the form, with the fields behind them; they count in the hold."""
    files = [("image[]", ("a.png", b"one")), ("image[]", ("b.png", b"two"))]
    fields = {"model": "gpt-image-1", "prompt": "more", "n": "3"}
    answer = await ask(edge, "/v1/images/edits", data=fields, files=files)
    assert answer.status_code == 200
    end, plan = ended(edge), edge.ledger.opened[0].plan
    assert end.usage is not None
    assert (end.usage.image_input_tokens, end.usage.output_tokens) == (1000, 3000)
    assert plan.hold_nanousd >= 2 * IMAGE_TOKENS * 10_000
    sent = captured(edge)
    assert ["content-type", "multipart/form-data"] in [[n, v.partition(";")[0]] for n, v in sent["headers"]]
    assert 'name="image[]"; filename="b.png"' in sent["body"]


async def test_image_variation(edge: Edge) -> None:
    """A variation takes its image through the form."""
    edge.ledger._prices["dall-e-2"] = edge.ledger._prices["dall-e-3"]
    fields = {"model": "dall-e-2", "n": "2"}
    await ask(edge, "/v1/images/variations", data=fields, files={"image": ("a.png", b"one")})
    assert ended(edge).usage.images == 2  # type: ignore[union-attr]


# Speech


async def test_speech_by_characters(edge: Edge) -> None:
    """Audio is relayed as it comes; its characters are the request's."""
    body = {"model": "tts-1", "voice": "alloy", "input": "Zwölf Zeichen"}
    answer = await ask(edge, "/v1/audio/speech", json=body)
    assert answer.headers["content-type"] == "audio/mpeg"
    assert len(answer.content) % 256 == 0
    end = ended(edge)
    assert end.state == REPORTED
    assert end.usage.characters == 13  # type: ignore[union-attr]
    assert end.cost_nanousd == 13 * 15_000 == edge.ledger.opened[0].plan.hold_nanousd
    assert "stream_format" not in captured(edge)["body"]


@pytest.mark.parametrize("form", ["mp3", "pcm"])
async def test_speech_by_tokens(edge: Edge, form: str) -> None:
    """Events are asked for where only they tell the usage; the client gets the audio that is in them."""
    body = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "hello " * 50, "response_format": form}
    plain = await ask(edge, "/v1/audio/speech", json=body | {"model": "tts-1"})
    answer = await ask(edge, "/v1/audio/speech", json=body)
    assert answer.content == plain.content
    assert answer.headers["content-type"] == plain.headers["content-type"]
    end = ended(edge)
    assert end.state == REPORTED
    assert end.usage.audio_output_tokens == 300  # type: ignore[union-attr]
    assert orjson.loads(captured(edge)["body"])["stream_format"] == "sse"


async def test_speech_events(edge: Edge) -> None:
    """A client that asks for events gets them, with their usage."""
    body = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "hello", "stream_format": "sse"}
    answer = await ask(edge, "/v1/audio/speech", json=body)
    assert answer.headers["content-type"] == "text/event-stream"
    assert "speech.audio.done" in answer.text
    assert ended(edge).usage.output_tokens == 5  # type: ignore[union-attr]


async def test_speech_is_cut(edge: Edge) -> None:
    """Audio that breaks off upstream doesn't look complete, and is an estimate."""
    for model in ("tts-1+cut_body", "gpt-4o-mini-tts+cut_after=2", "gpt-4o-mini-tts+no_usage"):
        edge.ledger._prices[model] = edge.ledger._prices[model.partition("+")[0]]
        body = {"model": model, "voice": "alloy", "input": "hello " * 50}
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(edge, "/v1/audio/speech", json=body)
        await edge.idle()
        assert (ended(edge).state, ended(edge).why) == (ESTIMATED, "upstream_cut")


# Transcription


async def transcribe(edge: Edge, **fields: str) -> httpx.Response:
    fields = {"model": "whisper-1"} | fields
    files = {"file": ("a.mp3", AUDIO, "audio/mpeg")}
    return await ask(edge, "/v1/audio/transcriptions", data=fields, files=files)


async def test_transcription_by_seconds(edge: Edge) -> None:
    """Seconds are billed as the vendor counts them, held for as many as the bytes could be."""
    answer = await transcribe(edge)
    assert answer.json()["usage"] == {"type": "duration", "seconds": 4}
    end, plan = ended(edge), edge.ledger.opened[0].plan
    assert end.usage.seconds == 4  # type: ignore[union-attr]
    assert end.cost_nanousd == 400_000
    seconds = plan.hold_nanousd // 100_000
    assert len(AUDIO) // LEAST_BYTES_PER_S < seconds < (len(AUDIO) + 2000) // LEAST_BYTES_PER_S
    assert ["transfer-encoding", "chunked"] in captured(edge)["headers"]


async def test_transcription_by_tokens(edge: Edge) -> None:
    """Tokens are billed as the vendor counts them, audio at its rate."""
    await transcribe(edge, model="gpt-4o-transcribe")
    end, plan = ended(edge), edge.ledger.opened[0].plan
    assert end.usage is not None
    assert (end.usage.input_tokens, end.usage.audio_input_tokens, end.usage.output_tokens) == (40, 40, 16)
    assert plan.hold_nanousd >= len(AUDIO) // LEAST_BYTES_PER_S * TOKENS_PER_S * 6000


@pytest.mark.parametrize("form", ["text", "srt", "vtt", "json", "verbose_json"])
@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe"])
async def test_transcription_formats(edge: Edge, form: str, model: str) -> None:
    """What the client gets is what the vendor would have sent, and the usage is known in every format."""
    if model != "whisper-1" and form in ("srt", "vtt", "verbose_json"):
        assert (await transcribe(edge, model=model, response_format=form)).status_code == 400
        return
    answer = await transcribe(edge, model=model, response_format=form)
    async with httpx.AsyncClient(base_url=edge.simulator.url) as vendor:
        direct = await vendor.post(
            "/v1/audio/transcriptions",
            data={"model": model, "response_format": form},
            files={"file": ("a.mp3", AUDIO, "audio/mpeg")},
        )
    assert answer.headers["content-type"] == direct.headers["content-type"]
    assert answer.text.strip() == direct.text.strip()
    assert ended(edge).state == REPORTED


async def test_transcription_stream(edge: Edge) -> None:
    """Events pass and the last is billed, also where `stream` came behind the file."""
    for fields in ("before", "after"):
        stream, file = part("stream", "true"), file_part()
        body = form_of(
            part("model", "gpt-4o-transcribe"), *([stream, file] if fields == "before" else [file, stream])
        )
        answer = await ask(edge, "/v1/audio/transcriptions", content=body, headers=FORM)
        assert "transcript.text.done" in answer.text
        assert ended(edge).state == REPORTED


@pytest.mark.parametrize("order", ["before", "behind"])
async def test_uncompressed_audio_is_held_for_exactly(edge: Edge, order: str) -> None:
    """What the first bytes tell of a file's length counts, wherever the model stands, and nothing is lost."""
    wave = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00" + struct.pack(
        "<HHIIHH", 1, 1, 16_000, 32_000, 2, 16
    )
    wave += b"data" + bytes(320_000)
    parts = [part("model", "whisper-1"), file_part(wave)]
    body = form_of(*(parts if order == "before" else reversed(parts)))
    answer = await ask(edge, "/v1/audio/transcriptions", content=body, headers=FORM)
    assert answer.json()["usage"]["seconds"] == -(-len(wave) // 16_000)
    assert 10 * 100_000 <= edge.ledger.opened[0].plan.hold_nanousd <= 11 * 100_000


async def test_translation(edge: Edge) -> None:
    """A translation is a transcription into English."""
    answer = await ask(
        edge, "/v1/audio/translations", data={"model": "whisper-1"}, files={"file": ("a.mp3", AUDIO)}
    )
    assert "toll" in answer.json()["text"]
    assert ended(edge).usage.seconds == 4  # type: ignore[union-attr]


# Forms

FORM = {"content-type": "multipart/form-data; boundary=b"}


def part(name: str, value: str) -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


def file_part(data: bytes = AUDIO) -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n%b\r\n' % data


def form_of(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--b--\r\n"


async def test_model_behind_the_file(edge: Edge) -> None:
    """A form whose model comes last waits on disk, and arrives with its length."""
    body = form_of(file_part(), part("model", "whisper-1"))
    answer = await ask(edge, "/v1/audio/transcriptions", content=body, headers=FORM)
    assert answer.status_code == 200
    assert "transfer-encoding" not in dict(captured(edge)["headers"])
    assert ended(edge).usage.seconds == 4  # type: ignore[union-attr]


async def test_model_is_rewritten(start: Start) -> None:
    """A rule's model goes into the form, and the provider that was chosen with doesn't."""
    edge = await start(FakeLedger(grant(rule("primary", model_rewrite="whisper-1")), *PRICES))
    body = form_of(part("model", "mine"), part("provider", "openai"), file_part())
    answer = await ask(edge, "/v1/ai/audio/transcriptions", content=body, headers=FORM)
    assert answer.status_code == 200
    sent = captured(edge)["body"]
    assert "whisper-1" in sent
    assert "mine" not in sent
    assert "provider" not in sent


async def test_second_model_behind_the_file(edge: Edge) -> None:
    """The upload ends, nothing is billed, and the client is told."""
    body = form_of(part("model", "whisper-1"), file_part(), part("model", "other"))
    answer = await ask(edge, "/v1/audio/transcriptions", content=body, headers=FORM)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
    assert (ended(edge).state, ended(edge).why) == (VOIDED, "not_sent")
    assert edge.simulator.bill.rows() == []


@pytest.mark.parametrize(
    ("body", "headers", "status", "param"),
    [
        (b"{}", {"content-type": "application/json"}, 400, None),
        (form_of(file_part()), FORM, 400, "model"),
        (form_of(part("model", "whisper-1"), b"--b\r\n"), FORM, 400, None),
        (form_of(part("model", "unpriced"), file_part()), FORM, 400, "model"),
        (b"", FORM, 400, None),
    ],
)
async def test_bad_forms(
    edge: Edge, body: bytes, headers: dict[str, str], status: int, param: str | None
) -> None:
    """What can't be read or priced is refused in OpenAI's envelope, and nothing is sent."""
    answer = await ask(edge, "/v1/audio/transcriptions", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    assert edge.simulator.bill.rows() == []


async def test_too_large(start: Start) -> None:
    """An upload beyond its limit is 413, whether its length was announced or not."""
    edge = await start(FakeLedger(grant(rule("primary")), *PRICES), max_upload_bytes=40_000)
    body = form_of(part("model", "whisper-1"), file_part())

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    for content in (body, pieces()):
        answer = await ask(edge, "/v1/audio/transcriptions", content=content, headers=FORM)
        assert answer.status_code == 413
        assert "40000" in answer.json()["error"]["message"]


# Failures


async def test_next_provider_after_a_refused_connection(start: Start) -> None:
    """An upload that nobody took yet goes to the next provider; from the disk it may always."""
    away = rule("away", base_url="http://127.0.0.1:1/v1", provider_type="custom")
    edge = await start(
        FakeLedger(grant(away, rule("primary", priority=2)), *PRICES), allow_private_base_urls=True
    )
    assert (await transcribe(edge)).status_code == 200
    assert [each.why for each in edge.ledger.opened[-1].ended] == ["not_sent", ""]


async def test_sent_bytes_go_nowhere_else(start: Start) -> None:
    """A streamed upload that a provider refused isn't there for the next one; one from the disk is."""
    rules = rule("first", model_rewrite="whisper-1+status=503"), rule("second", priority=2)
    edge = await start(FakeLedger(grant(*rules), *PRICES, price("whisper-1+status=503", **UNITS)))
    answer = await transcribe(edge)
    assert answer.status_code == 502
    assert [each.state for each in edge.ledger.opened[-1].ended] == [VOIDED]
    body = form_of(file_part(), part("model", "whisper-1"))
    answer = await ask(edge, "/v1/audio/transcriptions", content=body, headers=FORM)
    assert answer.status_code == 200
    assert [each.state for each in edge.ledger.opened[-1].ended] == [VOIDED, REPORTED]


async def test_client_hangs_up_in_the_upload(edge: Edge) -> None:
    """A request whose end never came was served by nobody: it is void, and nothing waits for it."""
    body = form_of(part("model", "whisper-1"), file_part())
    _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    head = (
        f"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
        f"content-type: {FORM['content-type']}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body[:30_000])
    async with asyncio.timeout(20):
        while not edge.ledger.opened:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    writer.close()
    await edge.idle()
    assert (ended(edge).state, ended(edge).why) == (VOIDED, "upload_cut")
    assert edge.ledger.opened[0].status == 499
    assert edge.hangups.drain_count == 0
    assert edge.simulator.bill.rows() == []


@pytest.mark.parametrize("model", ["unpriced", "whisper-1"])
async def test_refused_before_its_end(start: Start, model: str) -> None:
    """A client that is still sending what was refused gets the answer, not a broken connection: SDKs would
    send all of it again."""
    rules = rule("primary", model_rewrite=model)
    edge = await start(FakeLedger(grant(rules), *PRICES), max_body_bytes=100_000)
    body = form_of(part("model", model), file_part(b"x" * 30_000_000), part("model", "again"))
    for _ in range(3):
        answer = await ask(edge, "/v1/audio/transcriptions", content=body, headers=FORM)
        assert answer.status_code == 400
