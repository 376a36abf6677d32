"""How long a file of audio can be for its bytes, as far as its first ones tell.

Facts: the RIFF/WAVE and MPEG audio frame headers (ISO 11172-3, 13818-3). What decoders go by is read, not
what a header merely claims of the whole.
"""

import struct

# Six kilobits a second, the least that Opus is made for: no speech takes less.
LEAST_BYTES_PER_S = 750
# The lowest bit rates of MPEG-1 layer III, and of MPEG-2 and 2.5.
_MPEG_1_BYTES_PER_S = 4_000
_MPEG_2_BYTES_PER_S = 1_000
_PCM_FORMATS = frozenset({1, 3})  # whole numbers and floats, uncompressed


def most_seconds(head: bytes, size: int) -> int:
    """Seconds of audio in `size` bytes that begin with `head`, at most."""
    return -(-size // (_wave_rate(head) or _mpeg_rate(head) or LEAST_BYTES_PER_S))


def _wave_rate(head: bytes) -> int | None:
    """Bytes a second of uncompressed audio."""
    if len(head) < 36 or head[:4] != b"RIFF" or head[8:16] != b"WAVEfmt ":
        return None
    kind, channels, samples_per_s, _, _, bits = struct.unpack_from("<HHIIHH", head, 20)
    rate = int(channels * samples_per_s * bits // 8)
    return rate if kind in _PCM_FORMATS and rate >= LEAST_BYTES_PER_S else None


def _mpeg_rate(head: bytes) -> int | None:
    """Bytes a second that layer III takes at least."""
    at = 0
    if head[:3] == b"ID3" and len(head) >= 10:
        size = 0
        for byte in head[6:10]:
            size = size << 7 | byte & 0x7F
        at = 10 + size
    frame = head[at : at + 4]
    if len(frame) < 4 or frame[0] != 0xFF or frame[1] & 0xE6 != 0xE2 or frame[1] & 0x18 == 0x08:
        return None
    return _MPEG_1_BYTES_PER_S if frame[1] & 0x18 == 0x18 else _MPEG_2_BYTES_PER_S
