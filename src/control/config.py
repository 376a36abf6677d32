"""Settings of the control plane, from `TOLLKEEPER_*` environment variables, read once, checked together."""

import base64
import binascii
import ipaddress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from control.domain.gateways import PREFIX_PATTERN
from tollkeeper.logs import LogFormat, LogLevel
from tollkeeper.settings import SettingsError, problems_of

KEY_BYTES = 32
_POSTGRES_SCHEMES = ("postgresql+psycopg://", "postgresql://", "postgres://")


class GatewayMode(StrEnum):
    """Whether customers get Cloudflare gateways of their own."""

    PER_CUSTOMER = "per_customer"
    SHARED = "shared"


def _port(default: int, name: str) -> Any:
    return Field(default, ge=0, le=65535, validation_alias=name)


class ControlSettings(BaseSettings):
    """What `python -m control` needs to know. Secrets are masked wherever the object is shown."""

    model_config = SettingsConfigDict(
        env_prefix="TOLLKEEPER_", frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", validation_alias="TOLLKEEPER_CONTROL_HOST")
    # 0: any free port.
    port: int = _port(50051, "TOLLKEEPER_CONTROL_PORT")
    metrics_host: str = Field("127.0.0.1", validation_alias="TOLLKEEPER_CONTROL_METRICS_HOST")
    metrics_port: int = _port(9464, "TOLLKEEPER_CONTROL_METRICS_PORT")

    # Holds the embedded cluster, the encryption key and the credentials of edge and CLI.
    data_dir: Path = Path("~/.tollkeeper")
    # Absent: the embedded PostgreSQL of the data directory.
    database_url: SecretStr | None = None
    database_pool_size: int = Field(20, ge=2, le=200)

    # Base64 of 32 bytes each, separated by commas: the first seals, all of them open (rotation).
    encryption_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), validation_alias=AliasChoices("TOLLKEEPER_ENCRYPTION_KEY", "encryption_keys")
    )

    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    # With it, callers must show a certificate that this authority signed.
    tls_client_ca_file: Path | None = None
    allow_plaintext: bool = False

    cf_account_id: str | None = Field(None, pattern=r"^[0-9a-f]{32}$", validation_alias="CF_ACCOUNT_ID")
    cf_api_token: SecretStr | None = Field(None, validation_alias="CF_AI_GATEWAY_API_TOKEN")
    # Cloudflare's v4 API, or the simulator's.
    cf_api_url: str = Field("https://api.cloudflare.com/client/v4", pattern=r"^https?://[^\s?#]+$")
    gateway_mode: GatewayMode = GatewayMode.PER_CUSTOMER
    # How ids of customers' own gateways begin: another one for each installation on the account.
    gateway_prefix: str = Field("tollkeeper", pattern=PREFIX_PATTERN)
    # Lets anybody register a customer.
    open_registration: bool = False
    # Of each replica, while anybody may register.
    registrations_per_hour: int = Field(60, ge=1, le=1_000_000)
    # As for the edges: providers are tested the way requests go.
    cf_gateway_url: str = Field("https://gateway.ai.cloudflare.com", pattern=r"^https?://[^\s/?#]+$")
    gateway_id: str = Field("default", pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    # Lets providers name plain http and private addresses: for development only.
    allow_private_base_urls: bool = False

    operator_email: str = Field("operator@tollkeeper.local", pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)
    session_ttl_s: int = Field(12 * 3600, ge=60, le=30 * 86400)

    # How long a lease may be silent before what it holds is posted as lost (L6).
    lease_grace_s: float = Field(3600.0, gt=0, le=7 * 86400)
    # How long drawing from a lease may go on before it must be renewed (L6).
    lease_draw_s: float = Field(60.0, gt=0, le=3600)

    # The request log is dropped by whole months when all of a month is older; 0 keeps it for ever.
    request_log_retention_days: int = Field(90, ge=0, le=3650)

    # How long audit entries are kept; 0: for ever.
    audit_retention_days: int = Field(0, ge=0, le=36500)

    # How long files, batches and what else vendors never forget are known; 0: until they are deleted.
    kept_objects_retention_days: int = Field(400, ge=0, le=36500)

    request_timeout_s: float = Field(30.0, gt=0, le=600)
    drain_s: float = Field(10.0, ge=0, le=300)
    # Lets tools list the services; off for ports that strangers can reach.
    reflection: bool = True

    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.JSON

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("database_url")
    @classmethod
    def _driver(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        text = value.get_secret_value()
        for scheme in _POSTGRES_SCHEMES:
            if text.startswith(scheme):
                return SecretStr("postgresql+psycopg://" + text.removeprefix(scheme))
        raise ValueError("must begin with postgresql://")

    @field_validator("encryption_keys", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @field_validator("encryption_keys")
    @classmethod
    def _decodable(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for key in value:
            decode_key(key.get_secret_value())
        return value

    @model_validator(mode="after")
    def _together(self) -> Self:
        problems = []
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            problems.append("TOLLKEEPER_TLS_CERT_FILE and TOLLKEEPER_TLS_KEY_FILE: set both or neither")
        if self.tls_client_ca_file is not None and self.tls_cert_file is None:
            problems.append("TOLLKEEPER_TLS_CLIENT_CA_FILE: needs TOLLKEEPER_TLS_CERT_FILE")
        if self.tls_cert_file is None and not self.allow_plaintext and not is_loopback(self.host):
            problems.append(
                f"TOLLKEEPER_CONTROL_HOST: {self.host} can be reached from other machines; set"
                " TOLLKEEPER_TLS_CERT_FILE, or TOLLKEEPER_ALLOW_PLAINTEXT=true behind something that encrypts"
            )
        if self.database_url is not None and not self.encryption_keys:
            problems.append(
                "TOLLKEEPER_ENCRYPTION_KEY: needed with TOLLKEEPER_DATABASE_URL (base64 of 32 random bytes)"
            )
        if problems:
            raise ValueError("\n".join(problems))
        return self


def load(**overrides: object) -> ControlSettings:
    """The settings of this process. Raises SettingsError naming every one that can't be used."""
    try:
        return ControlSettings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError(problems_of(error, ControlSettings)) from None


def decode_key(text: str) -> bytes:
    """The 32 bytes of an encryption key in base64. Raises ValueError."""
    try:
        key = base64.b64decode(text, altchars=b"-_" if set(text) & {"-", "_"} else None, validate=True)
    except binascii.Error:
        raise ValueError("must be base64") from None
    if len(key) != KEY_BYTES:
        raise ValueError(f"must be base64 of {KEY_BYTES} bytes, not of {len(key)}")
    return key


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host in ("localhost", "") or host.startswith("unix:"):
        return host != ""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
