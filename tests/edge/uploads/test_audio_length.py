"""How long audio can be for its bytes."""

import struct

import pytest

from edge.uploads.audio_length import most_seconds


def wave(kind: int = 1, channels: int = 2, rate: int = 44_100, bits: int = 16, claimed: int = 1) -> bytes:
    fmt = struct.pack("<HHIIHH", kind, channels, rate, claimed, 4, bits)
    return b"RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00" + fmt + b"data"


MP3 = b"\xff\xfb\x90\x64"


@pytest.mark.parametrize(
    ("head", "bytes_per_s"),
    [
        (wave(), 176_400),
        (wave(channels=1, rate=8000, bits=8), 8000),
        (wave(kind=3, bits=32), 352_800),
        (wave(claimed=10**9), 176_400),
        (wave(kind=2), 750),
        (wave(rate=0), 750),
        (wave(rate=8, bits=8), 750),
        (wave()[:30], 750),
        (MP3, 4000),
        (b"\xff\xf3\x90\x64", 1000),
        (b"\xff\xe3\x90\x64", 1000),
        (b"\xff\xeb\x90\x64", 750),
        (b"ID3\x04\x00\x00\x00\x00\x01\x02" + bytes(130) + MP3, 4000),
        (b"ID3\x04\x00\x00\x00\x00\x01\x02" + bytes(100), 750),
        (b"OggS", 750),
        (b"", 750),
    ],
)
def test_most_seconds(head: bytes, bytes_per_s: int) -> None:
    """As the format's own numbers have it; what isn't known is as long as any speech can be."""
    assert most_seconds(head, 1_000_000) == -(-1_000_000 // bytes_per_s)
    assert most_seconds(head, 0) == 0
