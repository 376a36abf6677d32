"""The Cloudflare account: token, gateways, models, and what the database thinks of them."""

from collections.abc import Mapping

import psycopg

from control.cloudflare.api import Api
from control.cloudflare.errors import CloudflareError, Problem
from control.cloudflare.gateways import CloudflareGateway, Gateways
from control.cloudflare.models import list_models
from control.config import ControlSettings, GatewayMode
from control.domain.gateways import GatewayState
from doctor.database import connected
from doctor.finding import Finding, failed, ok, skipped, warning

CHECK = "cloudflare"
# Comes into being by itself.
_DEFAULT_GATEWAY = "default"
_ADVICE: Mapping[Problem, str] = {
    Problem.UNAUTHORIZED: (
        "Make a token for this account with AI Gateway Read and Edit (and Workers AI Read for the list of"
        " models), and set CF_AI_GATEWAY_API_TOKEN. Check that CF_ACCOUNT_ID is the account's."
    ),
    Problem.NOT_FOUND: "Check CF_ACCOUNT_ID: 32 hexadecimal digits, from the dashboard's address.",
    Problem.QUOTA: (
        "Delete gateways that nobody needs, ask Cloudflare for more, or set TOLLKEEPER_GATEWAY_MODE=shared."
    ),
    Problem.THROTTLED: "Wait five minutes: the account has used up its API calls.",
    Problem.UNAVAILABLE: (
        "Check this machine's way to the internet, its DNS and proxy; then Cloudflare's status page."
    ),
}
_OTHER_ADVICE = "Look the text up in Cloudflare's documentation."
_STATES = f"""
    SELECT count(*) FILTER (WHERE gateway_state = {int(GatewayState.GATEWAY_STATE_READY)}) AS ready,
           count(*) FILTER (WHERE gateway_state = {int(GatewayState.GATEWAY_STATE_FAILED)}) AS failed,
           count(*) FILTER (WHERE gateway_state = {int(GatewayState.GATEWAY_STATE_PENDING)}) AS pending,
           count(*) FILTER (WHERE gateway_state NOT IN ({int(GatewayState.GATEWAY_STATE_READY)},
                {int(GatewayState.GATEWAY_STATE_FAILED)}, {int(GatewayState.GATEWAY_STATE_PENDING)})) AS
                shared,
           max(gateway_error) AS an_error
    FROM customers WHERE delete_time IS NULL AND slug <> 'platform'
"""  # noqa: S608 - numbers of the contract


def api_of(settings: ControlSettings) -> Api | None:
    """The account's API; None without account or token."""
    if settings.cf_account_id is None or settings.cf_api_token is None:
        return None
    return Api(settings.cf_api_url, settings.cf_account_id, settings.cf_api_token.get_secret_value())


def refused(check: str, what: str, error: CloudflareError) -> Finding:
    """A call that failed, and what to do about it."""
    return failed(check, f"{what}: {error.message}", _ADVICE.get(error.problem, _OTHER_ADVICE))


async def check_cloudflare(
    settings: ControlSettings, shared_gateway_id: str, database_url: str | None
) -> list[Finding]:
    """Reads only: what the token may, which gateways there are, and which are missing."""
    api = api_of(settings)
    if api is None:
        return [skipped(CHECK, "no account is configured")]
    async with api:
        try:
            gateways = await Gateways(api).list()
        except CloudflareError as error:
            return [refused(CHECK, "gateways can't be listed", error)]
        found = {gateway.gateway_id: gateway for gateway in gateways}
        return [
            ok(CHECK, f"the token is accepted; {len(found)} gateways in the account"),
            *_shared(shared_gateway_id, found),
            *_tenancy(settings, database_url, found),
            await _models(api),
        ]


def _shared(gateway_id: str, found: Mapping[str, CloudflareGateway]) -> list[Finding]:
    if gateway_id in found or gateway_id == _DEFAULT_GATEWAY:
        return [ok(CHECK, f"the shared gateway is {gateway_id}")]
    advice = "Make it in Cloudflare's dashboard, or set TOLLKEEPER_GATEWAY_ID=default."
    return [failed(CHECK, f"the shared gateway {gateway_id} doesn't exist", advice)]


def _tenancy(
    settings: ControlSettings, database_url: str | None, found: Mapping[str, CloudflareGateway]
) -> list[Finding]:
    check = "gateways"
    if database_url is None:
        return [skipped(check, "not compared: the database can't be read")]
    try:
        with connected(database_url) as connection:
            counts = connection.execute(_STATES).fetchone()
            rows = connection.execute(
                "SELECT slug, cf_gateway_id FROM customers"
                " WHERE cf_gateway_id IS NOT NULL AND delete_time IS NULL"
            ).fetchall()
    except psycopg.Error:
        return [skipped(check, "not compared: the database can't be read")]
    assert counts is not None
    ready, lost, pending, shared, an_error = counts
    text = f"{ready} customers have their own, {shared} share, {pending} wait, {lost} failed"
    findings = [ok(check, text)]
    if lost:
        advice = "`tollkeeper gateways list --state failed` names them; they are tried again by themselves."
        findings = [warning(check, f"{text}; {an_error}", advice)]
    if pending and settings.gateway_mode is GatewayMode.SHARED:
        findings.append(
            warning(check, "some wait, and the mode is shared", "Release them, or change the mode.")
        )
    missing = sorted(slug for slug, gateway_id in rows if gateway_id not in found)
    if missing:
        shown = ", ".join(missing[:5])
        findings.append(
            failed(
                check,
                f"{len(missing)} customers use gateways that aren't in this account, such as {shown}",
                "`tollkeeper gateways provision CUSTOMER` makes each again. After a change of the account the"
                " control plane does it by itself; is it running?",
            )
        )
    return findings


async def _models(api: Api) -> Finding:
    check = "models"
    try:
        return ok(check, f"{len(await list_models(api))} of Workers AI can be listed")
    except CloudflareError as error:
        advice = "Give the token Workers AI Read, if users are to choose among Cloudflare's models."
        return warning(check, f"can't be listed: {error.message}", advice)
