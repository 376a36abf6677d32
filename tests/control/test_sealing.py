"""Secrets at rest open only with a key of the ring and where they belong."""

import pytest

from control.domain.sealing import KeyRing, SealError

OLD, NEW = b"o" * 32, b"n" * 32


def test_sealed_secret_opens_where_it_belongs() -> None:
    """The same secret is sealed differently each time, and opens for its own context alone."""
    ring = KeyRing([NEW])
    sealed = ring.seal("sk-secret", "provider 1")
    assert b"sk-secret" not in sealed
    assert sealed != ring.seal("sk-secret", "provider 1")
    assert ring.open(sealed, "provider 1") == "sk-secret"
    with pytest.raises(SealError):
        ring.open(sealed, "provider 2")


def test_rotation_keeps_old_secrets_readable() -> None:
    """A new first key seals, the old one still opens, and what should be sealed anew can be told."""
    sealed = KeyRing([OLD]).seal("sk-secret", "p")
    rotated = KeyRing([NEW, OLD])
    assert rotated.open(sealed, "p") == "sk-secret"
    assert not rotated.is_current(sealed)
    assert rotated.is_current(rotated.seal("sk-secret", "p"))
    with pytest.raises(SealError):
        KeyRing([NEW]).open(sealed, "p")


@pytest.mark.parametrize("damage", [b"", b"\x01", b"\x02" + b"x" * 60])
def test_damaged_secrets_are_refused(damage: bytes) -> None:
    """Whatever isn't a sealed value of ours is refused, not crashed on."""
    with pytest.raises(SealError):
        KeyRing([NEW]).open(damage, "p")


def test_every_bit_counts() -> None:
    """No byte of a sealed value can be changed unnoticed."""
    ring = KeyRing([NEW])
    sealed = ring.seal("sk", "p")
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(SealError):
            ring.open(bytes(changed), "p")
