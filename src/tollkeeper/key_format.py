"""Secrets: how virtual keys and other credentials look, and the hash that stands for them everywhere."""

import hashlib
import re
import secrets

KEY_PREFIX = "aig_"
SESSION_PREFIX = "tks_"
API_TOKEN_PREFIX = "tkt_"  # noqa: S105 - tells what a secret is
CREDENTIAL_PREFIX = "tkc_"
# 32 random bytes in URL-safe base64 without padding: 43 characters.
_KEY_PATTERN = re.compile(r"aig_[A-Za-z0-9_-]{43}")
SHOWN_PREFIX_CHARS = 12


def mint(prefix: str) -> str:
    """A new secret with 256 bits of entropy."""
    return prefix + secrets.token_urlsafe(32)


def is_key(text: str) -> bool:
    """Whether the text has the shape of a virtual key; what hasn't is refused without asking anybody."""
    return _KEY_PATTERN.fullmatch(text) is not None


def secret_hash(secret: str) -> bytes:
    """SHA-256, 32 bytes. A plain hash is enough for 256 random bits; passwords use argon2id instead."""
    return hashlib.sha256(secret.encode()).digest()


def shown_prefix(secret: str) -> str:
    """What may be shown of a key to tell it from others."""
    return secret[:SHOWN_PREFIX_CHARS]
