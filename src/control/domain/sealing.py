"""Secrets at rest: AES-256-GCM under a ring of key-encryption keys, the first of which seals.

A sealed value is: a version byte, 8 bytes that name the key, a nonce of 12 bytes, ciphertext and tag. The
context it was sealed for (whose it is) is authenticated with it, so that a value copied to another row
doesn't open.
"""

import hashlib
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = b"\x01"
_NAME_BYTES = 8
_NONCE_BYTES = 12


class SealError(Exception):
    """The value can't be opened: its key isn't in the ring, or it isn't what was sealed for this context."""


class KeyRing:
    """Seals with the first key, opens with any. Keys are 32 bytes."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("a key ring needs a key")
        self._ciphers = {_key_name(key): AESGCM(key) for key in keys}
        self._sealing_name = _key_name(keys[0])

    def seal(self, secret: str, context: str) -> bytes:
        """The secret, readable only with the ring and for the same context (for example a provider's id)."""
        nonce = os.urandom(_NONCE_BYTES)
        header = _VERSION + self._sealing_name
        sealed = self._ciphers[self._sealing_name].encrypt(nonce, secret.encode(), header + context.encode())
        return header + nonce + sealed

    def open(self, sealed: bytes, context: str) -> str:
        """The secret. Raises SealError."""
        end = len(_VERSION) + _NAME_BYTES
        header, nonce, body = sealed[:end], sealed[end : end + _NONCE_BYTES], sealed[end + _NONCE_BYTES :]
        cipher = self._ciphers.get(header[len(_VERSION) :])
        if header[: len(_VERSION)] != _VERSION or cipher is None:
            raise SealError("sealed with a key that isn't in the ring")
        try:
            return cipher.decrypt(nonce, body, header + context.encode()).decode()
        except (InvalidTag, ValueError):
            raise SealError("not what was sealed here") from None

    def is_current(self, sealed: bytes) -> bool:
        """Whether the value was sealed with the first key; others are sealed again when the ring is
        rotated."""
        return sealed.startswith(_VERSION + self._sealing_name)


def _key_name(key: bytes) -> bytes:
    return hashlib.sha256(b"tollkeeper key name" + key).digest()[:_NAME_BYTES]
