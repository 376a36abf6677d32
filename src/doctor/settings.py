"""The settings that are in this environment, as the parts would read them."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from control import config as control_config
from control.config import ControlSettings
from doctor.finding import Finding, failed, ok, warning
from edge import config as edge_config
from edge.config import EdgeSettings
from tollkeeper.settings import SettingsError

CHECK = "settings"
_CLOUDFLARE_HOSTS = frozenset({"gateway.ai.cloudflare.com", "api.cloudflare.com"})


@dataclass(frozen=True, slots=True)
class Settings:
    """Of control plane and edge; None where they can't be used."""

    control: ControlSettings | None
    edge: EdgeSettings | None


def load(data_dir: Path) -> tuple[Settings, list[Finding]]:
    """Both parts' settings, with what is wrong with them."""
    problems: list[str] = []
    control = edge = None
    try:
        control = control_config.load(data_dir=data_dir)
    except SettingsError as error:
        problems += error.problems
    try:
        edge = edge_config.load(data_dir=data_dir)
    except SettingsError as error:
        problems += error.problems
    findings = [
        failed(CHECK, problem, "Correct it (docs/configuration.md) and start again.")
        for problem in dict.fromkeys(problems)
    ]
    return Settings(control, edge), findings or [ok(CHECK, "can be used by control plane and edge")]


def check_account(control: ControlSettings, edge: EdgeSettings, simulator: str | None) -> list[Finding]:
    """Where requests go. `simulator`: its address, where `tollkeeper up` runs one."""
    if bool(control.cf_account_id) != bool(control.cf_api_token):
        return [
            failed(
                "account",
                "only one of CF_ACCOUNT_ID and CF_AI_GATEWAY_API_TOKEN is set",
                "Set both, or neither for the simulator.",
            )
        ]
    if control.cf_account_id is None:
        where = f"the simulator at {simulator}" if simulator else "no Cloudflare account"
        return [
            warning(
                "account",
                f"none is configured: {where}",
                "Answers are made up. Set CF_ACCOUNT_ID and CF_AI_GATEWAY_API_TOKEN to reach real vendors.",
            )
        ]
    hosts = {urlsplit(url).hostname for url in (edge.cf_gateway_url, control.cf_api_url)}
    if foreign := sorted(host for host in hosts - _CLOUDFLARE_HOSTS if host):
        return [
            warning(
                "account",
                f"{control.cf_account_id} at {', '.join(foreign)}, which isn't Cloudflare",
                "Unset TOLLKEEPER_CF_GATEWAY_URL and TOLLKEEPER_CF_API_URL unless a stand-in is meant.",
            )
        ]
    return [ok("account", f"{control.cf_account_id} at Cloudflare")]
