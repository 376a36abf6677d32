"""Output of children, passed on and kept."""

import os

import pytest

from supervisor.logs import KEPT_LINES, LINE_LIMIT_BYTES, LogStyle, Relay

SHOWN = LogStyle(labelled=False, shown=True)


async def _say(relay: Relay, data: bytes) -> None:
    writing = await relay.pipe()
    os.write(writing, data)
    os.close(writing)
    await relay.finish(5)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (b"", ""),
        (b"one\ntwo\n\n", "two"),
        (b"no end of line", "no end of line"),
        (
            b'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n    f()\n'
            b"db.OperationalError: connection refused\n  Is it running?\n(see the manual)\n",
            "db.OperationalError: connection refused",
        ),
    ],
)
async def test_the_line_that_explains(said: bytes, line: str) -> None:
    """The last one, but of a traceback the exception."""
    relay = Relay("part", SHOWN)
    await _say(relay, said)
    assert relay.last_line() == line


async def test_lines_carry_the_part(capfd: pytest.CaptureFixture[str]) -> None:
    """For people; programs get the lines as they are."""
    await _say(Relay("edge", LogStyle(labelled=True, shown=True)), b"hello\n")
    await _say(Relay("edge", SHOWN), b'{"event":"hello"}\n')
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", 'edge      | hello\n{"event":"hello"}\n')


async def test_lines_are_held_back_until_ready(capfd: pytest.CaptureFixture[str]) -> None:
    """And shown when a start fails: the last of them."""
    relay = Relay("edge", LogStyle(labelled=False, shown=False))
    await _say(relay, b"".join(b"%d\n" % number for number in range(100)))
    assert capfd.readouterr().err == ""
    relay.show_kept()
    assert capfd.readouterr().err.split() == [str(number) for number in range(100 - KEPT_LINES, 100)]


async def test_an_endless_line_is_bounded(capfd: pytest.CaptureFixture[str]) -> None:
    """It is cut, not gathered."""
    relay = Relay("edge", SHOWN)
    await _say(relay, b"x" * (3 * LINE_LIMIT_BYTES))
    longest = max(len(line) for line in capfd.readouterr().err.splitlines())
    assert longest <= LINE_LIMIT_BYTES
