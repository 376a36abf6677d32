"""How clients of the control plane speak TLS: whom they trust, and what they show. The edge, the command line
and programs of your own alike."""

from pathlib import Path

import grpc

from tollkeeper.settings import SettingsError

CA_SETTING = "TOLLKEEPER_CONTROL_CA_FILE"
CERT_SETTING = "TOLLKEEPER_CONTROL_CERT_FILE"
KEY_SETTING = "TOLLKEEPER_CONTROL_KEY_FILE"


def channel_credentials(
    ca_file: Path | None, cert_file: Path | None = None, key_file: Path | None = None
) -> grpc.ChannelCredentials | None:
    """Trusts the authorities in `ca_file`, and shows the certificate where the server asks for one; all are
    PEM files. None without any: plain text. Raises SettingsError."""
    if ca_file is None:
        if cert_file is None and key_file is None:
            return None
        raise SettingsError([f"{CA_SETTING}: needed with {CERT_SETTING}: calls go over TLS only with it"])
    if (cert_file is None) != (key_file is None):
        raise SettingsError([f"{CERT_SETTING} and {KEY_SETTING}: set both or neither"])
    authority = _pem(CA_SETTING, ca_file, b"CERTIFICATE")
    if cert_file is None or key_file is None:
        return grpc.ssl_channel_credentials(authority)
    certificate = _pem(CERT_SETTING, cert_file, b"CERTIFICATE")
    return grpc.ssl_channel_credentials(authority, _pem(KEY_SETTING, key_file, b"PRIVATE KEY"), certificate)


def _pem(setting: str, path: Path, kind: bytes) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError([f"{setting}: {path}: {(error.strerror or str(error)).lower()}"]) from None
    if kind + b"-----" not in content:
        raise SettingsError([f"{setting}: {path} holds no {kind.decode().lower()} in PEM form"])
    return content
