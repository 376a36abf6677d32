"""Forms with files: what is read out of them, what is sent on, and where the bytes are meanwhile."""

import io
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multipart import MultipartParser

from edge.uploads.form import MAX_FIELD_BYTES, MAX_PARTS, Change, Form
from edge.uploads.spool import PIECE_BYTES, Spools
from edge.upstream.upload import Upload
from tollkeeper.errors import Reason, TollkeeperError

BOUNDARY = "client-boundary"
TYPE = f'multipart/form-data; boundary="{BOUNDARY}"'
TEXT_HEAD = 'Content-Disposition: form-data; name="{}"'
FILE_HEAD = 'Content-Disposition: form-data; name="{}"; filename="{}"\r\nContent-Type: audio/mpeg'


def field(name: str, value: str) -> bytes:
    return part(TEXT_HEAD.format(name), value.encode())


def file(data: bytes, name: str = "file", filename: str = "a.mp3") -> bytes:
    return part(FILE_HEAD.format(name, filename), data)


def part(head: str, data: bytes) -> bytes:
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + data + b"\r\n"


def form_of(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def keep(name: str, value: str) -> str:
    return value


def to(**values: str | None) -> Change:
    """Fields of these names get these values."""
    return lambda name, value: values.get(name, value)


async def chunks(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def begin(data: bytes, spools: Spools, size: int = 1000) -> Form:
    return await Form.begin(chunks(data, size), TYPE, spools)


async def sent(upload: Upload) -> bytes:
    data = b"".join([piece async for piece in upload._chunks])
    assert upload.length in (None, len(data))
    return data


def understood(form: Form, data: bytes) -> tuple[list[tuple[str, str]], list[tuple[str, str, bytes]]]:
    """Fields and files as a vendor reads them."""
    boundary = form.content_type.partition(b"boundary=")[2]
    parts = list(
        MultipartParser(io.BytesIO(data), boundary, strict=True, spool_limit=2**24, memory_limit=2**26)
    )
    fields = [(each.name, each.value) for each in parts if each.filename is None]
    files = [(each.name, each.filename, each.raw) for each in parts if each.filename is not None]
    return fields, files


@pytest.fixture
def spools(tmp_path: Path) -> Spools:
    return Spools(tmp_path / "uploads", 8_000_000)


@pytest.mark.parametrize("size", [1, 7, 1000, 1_000_000])
async def test_streams_when_fields_come_first(spools: Spools, size: int) -> None:
    """A form whose fields come before its file goes on as it arrives; nothing waits on disk."""
    audio = b"\r\n--client\x00" * 300
    form = await begin(form_of(field("model", "whisper-1"), file(audio)), spools, size)
    assert form.text("model") == "whisper-1"
    assert not form.is_read
    upload = form.upload(keep, fixed={"model"})
    assert upload.length is None
    assert understood(form, await sent(upload)) == ([("model", "whisper-1")], [("file", "a.mp3", audio)])
    assert form.is_read is False
    form.close()


@pytest.mark.parametrize("size", [1, 1000, 1_000_000])
async def test_waits_on_disk_for_what_decides(spools: Spools, tmp_path: Path, size: int) -> None:
    """A model behind the file is found by reading to the end; then the form can be sent twice, with its
    length, and its space is given back."""
    audio = bytes(range(256)) * (8 if size == 1 else 4000)
    data = form_of(file(audio), field("model", "whisper-1"), file(b"two", "other", "b.mp3"))
    form = await begin(data, spools, size)
    assert "model" not in form
    await form.read_to_end()
    assert form.text("model") == "whisper-1"
    assert form.most_file_bytes == len(audio) + 3
    files = [("file", "a.mp3", audio), ("other", "b.mp3", b"two")]
    for _ in range(2):
        upload = form.upload(to(model="other"))
        assert upload.length is not None
        assert understood(form, await sent(upload)) == ([("model", "other")], files)
    if len(audio) > PIECE_BYTES:
        assert spools.used_bytes
        assert list((tmp_path / "uploads").iterdir()) == []
    form.close()
    form.close()
    assert spools.used_bytes == 0


async def test_changes(spools: Spools) -> None:
    """A changed field has its new value, a removed one isn't written."""
    data = form_of(field("model", "a"), field("provider", "openai"), field("x", "1"), file(b"abc"))
    form = await begin(data, spools)
    upload = form.upload(to(model="b", provider=None), fixed={"model"})
    fields, _ = understood(form, await sent(upload))
    assert fields == [("model", "b"), ("x", "1")]


async def test_changed_field_behind_the_file(spools: Spools) -> None:
    """What was changed up front isn't said again by a field that comes behind the file."""
    data = form_of(field("model", "a"), file(b"abc"), field("stream", "false"), field("language", "de"))
    form = await begin(data, spools)
    upload = form.upload(to(stream=None), fixed={"model"})
    assert understood(form, await sent(upload))[0] == [("model", "a"), ("language", "de")]


async def test_second_model_behind_the_file(spools: Spools) -> None:
    """A second model can't be smuggled past the one that is paid for: the upload ends without its end."""
    form = await begin(form_of(field("model", "cheap"), file(b"abc"), field("model", "dear")), spools)
    with pytest.raises(TollkeeperError, match="'model'") as raised:
        await sent(form.upload(keep, fixed={"model"}))
    assert raised.value.reason == Reason.INVALID_ARGUMENT


async def test_field_given_twice(spools: Spools) -> None:
    """Nobody says which of two models counts."""
    form = await begin(form_of(field("model", "cheap"), field("model", "dear")), spools)
    with pytest.raises(TollkeeperError, match="2 times"):
        form.text("model")


async def test_names_are_written_safely(spools: Spools) -> None:
    """Quotes and line breaks in names don't become headers or fields of their own."""
    head = 'Content-Disposition: form-data; name="file"; filename="a%22\\"; name=\\"model.mp3"'
    form = await begin(form_of(part(head, b"abc"), field("model", 'x"\r\n\r\ny')), spools)
    await form.read_to_end()
    data = await sent(form.upload(keep))
    fields, files = understood(form, data)
    assert fields == [("model", 'x"\r\n\r\ny')]
    assert [(name, body) for name, _, body in files] == [("file", b"abc")]
    assert data.count(b"Content-Disposition") == 2


@pytest.mark.parametrize(
    ("content_type", "data", "words"),
    [
        ("application/json", b"{}", "multipart/form-data"),
        ("multipart/form-data", b"", "boundary"),
        ("", b"", "multipart/form-data"),
        (TYPE, b"", "end of multipart"),
        (TYPE, b"nothing of the kind" * 10, "can't be read"),
        (TYPE, file(b"abc"), "can't be read"),
        (TYPE, form_of(part("Content-Type: text/plain", b"")), "can't be read"),
        (TYPE, form_of(part("Content-Disposition: attachment; name=a", b"")), "can't be read"),
        (TYPE, form_of(part(TEXT_HEAD.format(""), b"")), "no name"),
        (TYPE, form_of(part(TEXT_HEAD.format("prompt"), b"\xff\xfe")), "UTF-8"),
        (TYPE, form_of(field("prompt", "x" * (MAX_FIELD_BYTES + 1))), "larger"),
        (TYPE, form_of(*[field("a", "b")] * (MAX_PARTS + 1)), "can't be read"),
        (TYPE, form_of(part("X: " + "y" * 9000, b"")), "can't be read"),
    ],
)
async def test_unreadable(spools: Spools, content_type: str, data: bytes, words: str) -> None:
    """What isn't a form, or isn't a reasonable one, is refused in words."""
    with pytest.raises(TollkeeperError, match=words) as raised:  # noqa: PT012 - where, depends on the form
        form = await Form.begin(chunks(data), content_type, spools)
        await form.read_to_end()
    assert raised.value.reason == Reason.INVALID_ARGUMENT


async def test_no_room(tmp_path: Path) -> None:
    """Files that together need more disk than there may be are told to come back."""
    spools = Spools(tmp_path, 1_000_000)
    first = await begin(form_of(file(b"x" * 800_000)), spools, 100_000)
    await first.read_to_end()
    second = await begin(form_of(file(b"x" * 800_000)), spools, 100_000)
    with pytest.raises(TollkeeperError) as raised:
        await second.read_to_end()
    assert (raised.value.reason, raised.value.retry_after_s) == (Reason.UNAVAILABLE, 5)
    second.close()
    first.close()
    assert spools.used_bytes == 0


async def test_no_directory(tmp_path: Path) -> None:
    """A disk that takes nothing is a refusal, not a fault."""
    (tmp_path / "file").write_text("")
    form = await begin(form_of(file(b"x" * 800_000)), Spools(tmp_path / "file" / "uploads", 8_000_000))
    with pytest.raises(TollkeeperError, match="can't store"):
        await form.read_to_end()
    form.close()


class Lines:
    """Counts what passes, and refuses a word."""

    def __init__(self) -> None:
        self.data = b""
        self.ends = 0

    def feed(self, data: bytes) -> None:
        self.data += data
        if b"bad" in self.data:
            raise TollkeeperError(Reason.INVALID_ARGUMENT, "A bad line.")

    def end(self) -> None:
        self.ends += 1


@pytest.mark.parametrize("waits", [False, True])
async def test_observer(spools: Spools, waits: bool) -> None:
    """An observer sees a file's bytes once, on their way or when they go to disk."""
    form = await begin(form_of(file(b"a good file")), spools, 3)
    lines = form.observer = Lines()
    if waits:
        await form.read_to_end()
    await sent(form.upload(keep))
    assert (lines.data, lines.ends) == (b"a good file", 1)
    form = await begin(form_of(file(b"a bad file")), spools, 3)
    form.observer = Lines()
    with pytest.raises(TollkeeperError, match="bad line"):
        await sent(form.upload(keep))


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)
names = st.text("abcz_[]-", min_size=1, max_size=8)
forms = st.lists(
    st.one_of(
        st.tuples(st.just("field"), names, texts),
        st.tuples(
            st.just("file"), names, st.binary(max_size=400) | st.just(b"\r\n--client-boundar\r\n--client\r")
        ),
    ),
    max_size=6,
)


@given(parts=forms, size=st.integers(1, 500), waits=st.booleans(), changes=st.dictionaries(names, texts))
@settings(max_examples=150, deadline=None)
async def test_nothing_is_lost(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[tuple[str, str, str | bytes]],
    size: int,
    waits: bool,
    changes: Mapping[str, str],
) -> None:
    """Whatever a form holds and however it is cut, the vendor reads the same fields, changed as said, and the
    same files."""
    encoded = [
        field(name, value) if isinstance(value, str) else file(value, name) for _, name, value in parts
    ]
    form = await begin(form_of(*encoded), Spools(tmp_path_factory.getbasetemp(), 10**9), size)
    if waits:
        await form.read_to_end()
    fields, files = understood(form, await sent(form.upload(to(**changes))))
    plain = [(name, value) for kind, name, value in parts if kind == "field"]
    assert fields == [(name, changes.get(name, value)) for name, value in plain]
    assert files == [(name, "a.mp3", value) for kind, name, value in parts if kind == "file"]
    form.close()


@pytest.mark.parametrize("size", [1, 100, 1_000_000])
@pytest.mark.parametrize("length", [0, 10, 4096, 5000])
@pytest.mark.parametrize("waits", [False, True])
async def test_looking_loses_nothing(spools: Spools, size: int, length: int, waits: bool) -> None:
    """What was looked at goes on with the rest, however short the file is."""
    data = bytes(range(256)) * 20
    form = await begin(form_of(file(data[:length]), file(b"two", "other")), spools, size)
    await form.look()
    await form.look()
    assert data[:length].startswith(form.first_bytes)
    assert len(form.first_bytes) >= min(length, 4096)
    if waits:
        await form.read_to_end()
    _, files = understood(form, await sent(form.upload(keep)))
    assert [body for _, _, body in files] == [data[:length], b"two"]
