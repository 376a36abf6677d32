"""The server's certificates: checked before they are used, and read again when their files change."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from control.config import ControlSettings
from tollkeeper.settings import SettingsError

_CERT = "TOLLKEEPER_TLS_CERT_FILE"
_KEY = "TOLLKEEPER_TLS_KEY_FILE"
_CLIENT_CA = "TOLLKEEPER_TLS_CLIENT_CA_FILE"

log = structlog.get_logger()


class _Files(NamedTuple):
    certificate: Path
    key: Path
    client_authority: Path | None

    def versions(self) -> tuple[tuple[int, int], ...]:
        """What changes when a file is written or replaced. Raises OSError."""
        paths = [path for path in self if path is not None]
        return tuple((stat.st_mtime_ns, stat.st_ino) for stat in (path.stat() for path in paths))


def server_credentials(settings: ControlSettings) -> grpc.ServerCredentials | None:
    """TLS by setting, and mTLS with an authority for clients; None: plain text. Raises SettingsError when a
    file can't be used, saying which and why.

    New connections use files as they are then: a certificate is renewed by replacing its files.
    """
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    files = _Files(settings.tls_cert_file, settings.tls_key_file, settings.tls_client_ca_file)
    first = _load(files)
    # The stubs don't know that None means: as before.
    fetch: Any = _fetcher(files)
    return grpc.dynamic_ssl_server_credentials(
        first, fetch, require_client_authentication=files.client_authority is not None
    )


def _fetcher(files: _Files) -> Callable[[], grpc.ServerCertificateConfiguration | None]:
    """What gRPC asks at each new connection: other certificates, or None for the ones it has."""
    known = files.versions()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal known
        try:
            now = files.versions()
            if now == known:
                return None
            fresh = _load(files)
        except (OSError, SettingsError) as error:
            # Half of a renewal, perhaps: the old ones serve, and the next connection looks again.
            log.warning("certificates_unusable", problem=str(error))
            return None
        known = now
        log.info("certificates_renewed", file=str(files.certificate))
        return fresh

    return fetch


def _load(files: _Files) -> grpc.ServerCertificateConfiguration:
    chain, key = _read(_CERT, files.certificate), _read(_KEY, files.key)
    leaf = _certificates(_CERT, files.certificate, chain)[0]
    _check_in_time(_CERT, files.certificate, leaf)
    try:
        private = load_pem_private_key(key, password=None)
    except (TypeError, ValueError):
        raise SettingsError(
            [f"{_KEY}: {files.key} holds no private key in PEM form without password"]
        ) from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        raise SettingsError([f"{_KEY}: {files.key} isn't the key of the certificate in {files.certificate}"])
    if files.client_authority is None:
        return grpc.ssl_server_certificate_configuration([(key, chain)])
    authority = _read(_CLIENT_CA, files.client_authority)
    _certificates(_CLIENT_CA, files.client_authority, authority)
    return grpc.ssl_server_certificate_configuration([(key, chain)], authority)


def _certificates(setting: str, path: Path, content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise SettingsError([f"{setting}: {path} holds no certificate in PEM form"]) from None


def _check_in_time(setting: str, path: Path, certificate: x509.Certificate) -> None:
    now = datetime.now(UTC)
    if certificate.not_valid_after_utc < now:
        ended = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
        raise SettingsError([f"{setting}: {path} has expired on {ended}: renew it"])
    if certificate.not_valid_before_utc > now:
        begins = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M}"
        raise SettingsError([f"{setting}: {path} is valid from {begins} on: check the clock"])


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError([f"{setting}: {path} can't be read: {error.strerror}"]) from None
