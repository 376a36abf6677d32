"""Settings of the edge, from `TOLLKEEPER_*` environment variables, read once, checked together."""

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from clients.target import target_of
from edge.client_headers import may_pass
from edge.estimate import EstimatePolicy
from tollkeeper.logs import LogFormat, LogLevel
from tollkeeper.networks import Network, network
from tollkeeper.settings import SettingsError, problems_of

MIB = 1_048_576
# What a worker ends with when starting it again won't help (EX_CONFIG).
EXIT_UNUSABLE = 78
# How long a worker settles what is left, once no request is in flight.
LEDGER_DRAIN_S = 5.0
MAX_DEFAULT_WORKERS = 4

# As browsers send it. `*` isn't one: answers are for signed-in people.
_ORIGIN = re.compile(r"https?://[a-z0-9.\-\[\]:]+")


class OnHangup(StrEnum):
    """What becomes of an upstream answer whose client has hung up: read to its usage, or dropped and
    estimated."""

    DRAIN = "drain"
    CANCEL = "cancel"


def _default_workers() -> int:
    return min(MAX_DEFAULT_WORKERS, os.cpu_count() or 1)


class EdgeSettings(BaseSettings):
    """What `python -m edge` needs to know. Secrets are masked wherever the object is shown."""

    model_config = SettingsConfigDict(
        env_prefix="TOLLKEEPER_", frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", validation_alias="TOLLKEEPER_EDGE_HOST")
    port: int = Field(8080, ge=0, le=65535, validation_alias="TOLLKEEPER_EDGE_PORT")
    workers: int = Field(
        default_factory=_default_workers, ge=1, le=64, validation_alias="TOLLKEEPER_EDGE_WORKERS"
    )
    # host:port of /metrics on an address of its own; absent: on the edge's port.
    metrics_address: str | None = Field(
        None, pattern=r"^\S+:\d{1,5}$", validation_alias="TOLLKEEPER_EDGE_METRICS_ADDRESS"
    )

    # Holds the journals, the metrics of all workers, pid files and the edge's credential.
    data_dir: Path = Path("~/.tollkeeper")
    control_addresses: Annotated[tuple[str, ...], NoDecode] = ("127.0.0.1:50051",)
    # With it, control is called over TLS and its certificate checked by this authority.
    control_ca_file: Path | None = None
    # What the edge shows where control asks for a certificate.
    control_cert_file: Path | None = None
    control_key_file: Path | None = None
    edge_credential: SecretStr | None = None
    # Absent: edge.credential in the data directory.
    edge_credential_file: Path | None = None
    # How long cached grants serve while the control plane is away.
    grant_grace_s: float = Field(600.0, ge=0, le=86_400)
    # How long a request waits while only holds of others are in its way (L11).
    hold_wait_s: float = Field(5.0, ge=0, le=30)

    cf_account_id: str | None = Field(None, pattern=r"^[0-9a-f]{32}$", validation_alias="CF_ACCOUNT_ID")
    cf_api_token: SecretStr | None = Field(None, validation_alias="CF_AI_GATEWAY_API_TOKEN")
    cf_gateway_url: str = Field("https://gateway.ai.cloudflare.com", pattern=r"^https?://[^\s/?#]+$")
    # The gateway of customers that have none of their own.
    gateway_id: str = Field("default", pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    # PEM file of the authorities that sign upstreams' certificates; absent: the system's.
    upstream_ca_file: Path | None = None
    # Lets custom providers live at plain http and private addresses: for development only.
    allow_private_base_urls: bool = False
    # Networks of the proxies in front of the edge: their x-forwarded-for says where a request comes from.
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = ()
    # Client headers that go upstream as they are, beside content type.
    forward_headers: Annotated[tuple[str, ...], NoDecode] = ()

    max_body_bytes: int = Field(20 * MIB, ge=1024, le=512 * MIB)
    # Of a form with files. They go on as they come, or wait in uploads/ of the data directory for what
    # decides about them; all that waits of one worker has a bound too.
    max_upload_bytes: int = Field(512 * MIB, ge=1024, le=8192 * MIB)
    upload_disk_bytes: int = Field(4096 * MIB, ge=1024)
    # Answers beyond this are relayed as they come: their usage can't be read.
    max_response_bytes: int = Field(64 * MIB, ge=1024, le=512 * MIB)
    # Of each worker; what comes on top is told to come back in a second.
    max_in_flight: int = Field(2048, ge=1, le=100_000)
    # Streams among them.
    max_streams: int = Field(1024, ge=1, le=100_000)
    # Each request under way has one, a stream for as long as it lasts.
    upstream_connections: int = Field(2048, ge=1, le=100_000)

    # Of each worker.
    max_connections: int = Field(10_000, ge=1, le=1_000_000)
    # What clients may take: over a request's head; over its body and over reading the answer, and then a
    # second more for every KiB; between two requests.
    client_head_timeout_s: float = Field(10.0, gt=0, le=600)
    client_body_timeout_s: float = Field(60.0, gt=0, le=3600)
    client_read_timeout_s: float = Field(60.0, gt=0, le=3600)
    client_keep_alive_s: float = Field(75.0, gt=0, le=3600)

    connect_timeout_s: float = Field(5.0, gt=0, le=60)
    first_byte_timeout_s: float = Field(300.0, gt=0, le=3600)
    idle_timeout_s: float = Field(120.0, gt=0, le=3600)
    # All of a request, streams included.
    total_timeout_s: float = Field(3600.0, gt=0, le=86_400)
    # A provider's model that fails so often within the window, and as often as not, isn't asked for a while;
    # 0: always asked.
    breaker_failures: int = Field(5, ge=0, le=100)
    breaker_window_s: float = Field(30.0, gt=0, le=600)
    breaker_open_s: float = Field(10.0, gt=0, le=60)
    # Silence after which a stream gets a sign of life; 0: never.
    heartbeat_s: float = Field(15.0, ge=0, le=3600)
    on_hangup: OnHangup = OnHangup.DRAIN
    hangup_drain_s: float = Field(60.0, ge=0, le=3600)
    # Of each worker; beyond it a hang-up cancels.
    hangup_drain_max: int = Field(128, ge=0, le=100_000)
    # How often each worker asks for background responses and batches that nobody looks at.
    follow_interval_s: float = Field(40.0, gt=0, le=3600)
    # What is booked for an answer that ended without its usage.
    estimate: EstimatePolicy = EstimatePolicy.RELAYED
    # How long requests in flight may go on after SIGTERM.
    drain_s: float = Field(30.0, ge=0, le=3600, validation_alias="TOLLKEEPER_EDGE_DRAIN_S")

    # The output limit that is held for when neither client, key nor price name one.
    fallback_output_tokens: int = Field(16_384, ge=1, le=10_000_000)
    # Adds `_gateway_metadata` to every answer that isn't streamed; clients can ask for it with a header.
    gateway_metadata: bool = False

    # Management over HTTP; off where strangers can reach the edge.
    rest: bool = True
    # Web pages of these origins may call it, and see who is signed in.
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ("http://localhost:3000",)

    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.JSON

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        texts = value.split(",") if isinstance(value, str) else value
        if not isinstance(texts, list | tuple):
            return value
        return tuple(network(str(text).strip()) for text in texts)

    @field_validator("control_addresses", "forward_headers", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if _ORIGIN.fullmatch(origin) is None:
                raise ValueError(f"{origin!r} is not an origin such as https://app.example.com")
        return value

    @field_validator("forward_headers")
    @classmethod
    def _forwardable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = tuple(name.lower() for name in value)
        for name in names:
            if not may_pass(name):
                raise ValueError(f"the header {name} is never forwarded")
        return names

    @model_validator(mode="after")
    def _together(self) -> Self:
        if not self.control_addresses:
            raise ValueError("TOLLKEEPER_CONTROL_ADDRESSES: name at least one host:port")
        for address in self.control_addresses:
            try:
                target_of([address])
            except ValueError as error:
                raise ValueError(f"TOLLKEEPER_CONTROL_ADDRESSES: {error}") from None
        return self

    def credential(self) -> str:
        """The secret the edge shows to the control plane. Raises SettingsError when there is none to be
        read."""
        if self.edge_credential is not None:
            return self.edge_credential.get_secret_value()
        path = self.edge_credential_file or self.data_dir / "edge.credential"
        try:
            secret = path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a credential"
            raise SettingsError([f"TOLLKEEPER_EDGE_CREDENTIAL_FILE: {path}: {reason}"]) from None
        if not secret:
            raise SettingsError([f"TOLLKEEPER_EDGE_CREDENTIAL_FILE: {path} is empty"])
        return secret

    def cf_token(self) -> str | None:
        """The token for `cf-aig-authorization`, if one is configured."""
        return self.cf_api_token.get_secret_value() if self.cf_api_token is not None else None


def load(**overrides: Any) -> EdgeSettings:
    """The settings of this process. Raises SettingsError naming every one that can't be used."""
    try:
        return EdgeSettings(**overrides)
    except ValidationError as error:
        raise SettingsError(problems_of(error, EdgeSettings)) from None
