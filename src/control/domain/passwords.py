"""Passwords: argon2id with the library's defaults (RFC 9106, low memory: 64 MiB, 3 passes; about 50 ms).

Hashing and checking block for that long: run them in a thread.
"""

import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tollkeeper.errors import invalid

MIN_CHARS = 12
# Longer ones only cost time.
MAX_CHARS = 256
_RANDOM_BYTES = 18

_hasher = PasswordHasher()


def check_password(password: str, field: str = "password") -> None:
    """Raises INVALID_ARGUMENT for a password that may not be chosen."""
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        raise invalid(f"A password has {MIN_CHARS} to {MAX_CHARS} characters.", field=field)


def hash_password(password: str) -> str:
    """The text to store."""
    return _hasher.hash(password)


def is_password(password_hash: str | None, password: str) -> bool:
    """Whether the password is the one hashed. Takes as long without a hash (no such user) as with one."""
    if len(password) > MAX_CHARS:
        return False
    try:
        _hasher.verify(password_hash or _nobodys_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


def random_password() -> str:
    """24 characters with 144 bits of entropy."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


@cache
def _nobodys_hash() -> str:
    return hash_password(random_password())
