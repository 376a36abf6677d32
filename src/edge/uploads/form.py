"""multipart/form-data as it arrives: text fields are read, files go through or wait on disk.

A form is never passed on as it came, but written anew from what was understood here: a vendor must not read
another `model` out of it than the one that is paid for.

    form = await Form.begin(request.stream, content_type, spools)   # up to its first file, or its end
    if "model" not in form: await form.read_to_end()                # its files now wait on disk
    upload = form.upload(change, fixed={"model"})                   # again only when it was read to its end
    form.close()
"""

from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from edge.call import invalid_field
from edge.uploads.parts import Parts, file_head, name_of
from edge.uploads.spool import Spool, Spools
from edge.upstream.upload import Upload
from tollkeeper.errors import TollkeeperError

# All text of one form: prompts are tens of kilobytes.
MAX_FIELD_BYTES = 1_048_576
# OpenAI takes at most sixteen images and some two dozen fields.
MAX_PARTS = 128
# Enough for what a file says of itself, and for the tags that usually precede it, pictures left out.
LOOK_BYTES = 4096
# The value with which a field goes on, by its name and value.
Change = Callable[[str, str], str | None]


class Observer(Protocol):
    """Sees the bytes of the files as they pass, once."""

    def feed(self, data: bytes) -> None:
        """Raises TollkeeperError for what must not go on."""

    def end(self) -> None:
        """A file is complete. Raises TollkeeperError."""


@dataclass(slots=True)
class FilePart:
    """One file of a form, `size` bytes from `start` in what waits on disk; `size` None while it arrives."""

    name: str
    head: bytes
    start: int = 0
    size: int | None = None


class Form:
    """One form. Made by `begin`."""

    def __init__(
        self,
        events: "AsyncIterator[MultipartSegment | bytes | None]",
        spools: Spools,
        announced_bytes: int | None,
    ) -> None:
        self._events = events
        self._announced_bytes = announced_bytes
        self._spool = Spool(spools)
        self._parts = Parts()
        self._arriving: FilePart | None = None
        self._field_bytes = 0
        self._seen: list[bytes | None] = []
        self.begun = False
        """Some of a form that arrives was sent on: it can't be sent again."""
        self.observer: Observer | None = None
        self.fields: list[tuple[str, str]] = []
        """In order; those behind the first file once it was read to its end."""
        self.files: list[FilePart] = []
        self.first_bytes = b""
        """Of the first file; there after `look`, and once the form was read to its end."""

    @classmethod
    async def begin(
        cls,
        source: AsyncIterator[bytes],
        content_type: str,
        spools: Spools,
        announced_bytes: int | None = None,
    ) -> "Form":
        """Reads up to the first file's bytes, or to the end of a form without files. `announced_bytes` is how
        long the whole body says it is. Raises INVALID_ARGUMENT, and what the source raises."""
        kind, options = parse_options_header(content_type)
        boundary = options.get("boundary")
        if kind != "multipart/form-data" or not boundary:
            message = "Send the body as multipart/form-data, with its boundary in the Content-Type header."
            raise invalid_field(message, None, "invalid_form")
        try:
            parser = PushMultipartParser(boundary, max_segment_count=MAX_PARTS)
        except MultipartError as error:
            raise _unreadable(error) from None
        form = cls(_events(source, parser), spools, announced_bytes)
        await form._advance()
        return form

    # What it says

    def __contains__(self, name: str) -> bool:
        return any(each == name for each, _ in self.fields)

    def text(self, name: str) -> str | None:
        """A field's value, None without one. Raises INVALID_ARGUMENT when it is there twice: vendors would
        disagree which one counts."""
        values = [value for each, value in self.fields if each == name]
        if len(values) > 1:
            raise invalid_field(f"'{name}' is given {len(values)} times.", name, "duplicate_parameter")
        return values[0] if values else None

    def values(self, *names: str) -> dict[str, str]:
        """The fields of these names that are there. Raises INVALID_ARGUMENT like `text`."""
        return {name: value for name in names if (value := self.text(name)) is not None}

    @property
    def content_type(self) -> bytes:
        """Of what `upload` sends."""
        return self._parts.content_type

    @property
    def is_read(self) -> bool:
        """Everything is here, so it can be sent more than once."""
        return self._arriving is None and not self.begun

    @property
    def most_file_bytes(self) -> int | None:
        """Of all files, at most; None where nobody knows yet."""
        return self._spool.size if self.is_read else self._announced_bytes

    # What becomes of it

    async def look(self) -> None:
        """Reads the `LOOK_BYTES` that the first file begins with, where there are so many. Raises
        INVALID_ARGUMENT."""
        if self._arriving is None or self._seen or self.first_bytes:
            return
        async for piece in self._events:
            assert piece is None or isinstance(piece, bytes)
            self._seen.append(piece)
            self.first_bytes += piece or b""
            if piece is None or len(self.first_bytes) >= LOOK_BYTES:
                break

    async def read_to_end(self) -> None:
        """Files wait on disk from now on. Raises INVALID_ARGUMENT, UNAVAILABLE (no room)."""
        await self.look()
        while self._arriving is not None:
            part = self._arriving
            part.start = self._spool.size
            async for piece in self._file():
                await self._spool.write(piece)
            part.size = self._spool.size - part.start
            await self._advance()

    def upload(self, change: Change, fixed: Collection[str] = ()) -> Upload:
        """The form as a body to send, each field as `change` says (None: without it).

        Of a form that still arrives it can be sent once, and a field of `fixed` that comes behind the file
        ends it with INVALID_ARGUMENT: it was decided upon without it.
        """
        fields = self._fields(self.fields, change)
        if self.is_read:
            length = len(fields) + len(self._parts.last_line())
            length += sum(len(self._parts.file(part.head)) + (part.size or 0) + 2 for part in self.files)
            return Upload(self._stored(fields), length)
        assert not self.begun, "a form that arrives can be sent once"
        return Upload(self._arrive(fields, change, fixed), None)

    def close(self) -> None:
        """Lets go of what waits on disk. Idempotent."""
        self._spool.close()

    # Reading

    async def _advance(self) -> None:
        """Reads fields up to the next file or the end."""
        self._arriving = None
        async for event in self._events:
            assert isinstance(event, MultipartSegment)
            if event.filename is None:
                self.fields.append((name_of(event), await self._value(event)))
            else:
                self._arriving = FilePart(name_of(event), file_head(event))
                self.files.append(self._arriving)
                return

    async def _value(self, segment: MultipartSegment) -> str:
        value = bytearray()
        async for piece in self._events:
            if piece is None:
                break
            assert isinstance(piece, bytes)
            value += piece
            self._field_bytes += len(piece)
            if self._field_bytes > MAX_FIELD_BYTES:
                message = f"The text fields of the form are larger than {MAX_FIELD_BYTES} bytes."
                raise invalid_field(message, segment.name, "string_above_max_length")
        try:
            return value.decode()
        except UnicodeDecodeError:
            message = f"'{segment.name}' is not UTF-8 text."
            raise invalid_field(message, segment.name, "invalid_type") from None

    async def _file(self) -> AsyncIterator[bytes]:
        """The bytes of the file that arrives."""
        observer = self.observer
        async for piece in self._pieces():
            if observer is not None:
                observer.feed(piece)
            yield piece
        if observer is not None:
            observer.end()

    async def _pieces(self) -> AsyncIterator[bytes]:
        seen, self._seen = self._seen, []
        for piece in seen:
            if piece is not None:
                yield piece
        if seen and seen[-1] is None:
            return
        async for event in self._events:
            if event is None:
                return
            assert isinstance(event, bytes)
            yield event

    # Writing

    async def _stored(self, fields: bytes) -> AsyncIterator[bytes]:
        if fields:
            yield fields
        for part in self.files:
            yield self._parts.file(part.head)
            async for piece in self._spool.pieces(part.start, part.size or 0):
                yield piece
            yield b"\r\n"
        yield self._parts.last_line()

    async def _arrive(self, fields: bytes, change: Change, fixed: Collection[str]) -> AsyncIterator[bytes]:
        self.begun = True
        written = fields
        while (part := self._arriving) is not None:
            yield written + self._parts.file(part.head)
            async for piece in self._file():
                yield piece
            known = len(self.fields)
            await self._advance()
            late = self.fields[known:]
            for name, _ in late:
                if name in fixed:
                    message = f"'{name}' must come before the file, or be given once."
                    raise invalid_field(message, name, "invalid_form")
            written = b"\r\n" + self._fields(late, change)
        yield written + self._parts.last_line()

    def _fields(self, fields: Collection[tuple[str, str]], change: Change) -> bytes:
        changed = ((name, change(name, value)) for name, value in fields)
        return b"".join(self._parts.field(name, value) for name, value in changed if value is not None)


async def _events(
    source: AsyncIterator[bytes], parser: PushMultipartParser
) -> AsyncIterator[MultipartSegment | bytes | None]:
    try:
        async for chunk in source:
            if chunk:
                for event in parser.parse(chunk):
                    yield event
        parser.close()
    except MultipartError as error:
        raise _unreadable(error) from None


def _unreadable(error: MultipartError) -> TollkeeperError:
    return invalid_field(f"The form can't be read: {error}.", None, "invalid_form")
