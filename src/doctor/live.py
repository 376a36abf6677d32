"""`--live`: does at the real account what the control plane does, on a gateway of its own, and cleans up."""

import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TypeVar

import httpx

from control.cloudflare.api import Api
from control.cloudflare.errors import CloudflareError, Problem
from control.cloudflare.gateways import Gateways, GatewaySettings
from control.cloudflare.models import list_models
from control.config import ControlSettings
from doctor.cloudflare import api_of, refused
from doctor.finding import Finding, failed, ok, warning
from edge.config import EdgeSettings

CHECK = "live"
TIMEOUT_S = 10.0
Answer = TypeVar("Answer")


class _Stopped(Exception):
    """A step failed; what follows would make no sense."""


async def check_live(settings: ControlSettings, edge: EdgeSettings) -> list[Finding]:
    """Each step of the client, in order; ends with the first that fails."""
    api = api_of(settings)
    if api is None:
        advice = "Set CF_ACCOUNT_ID and CF_AI_GATEWAY_API_TOKEN."
        return [failed(CHECK, "no Cloudflare account is configured", advice)]
    gateway_id = f"{settings.gateway_prefix}-doctor-{secrets.token_hex(4)}"
    findings: list[Finding] = []
    async with api:
        steps = _Steps(api, gateway_id, findings)
        try:
            with suppress(_Stopped):  # The finding of the step that failed says why.
                await steps.run()
        finally:
            await steps.clean_up()
    findings.append(await _check_run(edge))
    return findings


def _told(settings: GatewaySettings) -> str:
    return ", ".join(f"{name} {value}" for name, value in asdict(settings).items())


class _Steps:
    def __init__(self, api: Api, gateway_id: str, findings: list[Finding]) -> None:
        self._api = api
        self._gateways = Gateways(api)
        self._id = gateway_id
        self._findings = findings
        self._made = False

    async def run(self) -> None:
        """Create, read, update, list, list models, a duplicate, delete."""
        self._made = True
        made = await self._step("create", lambda: self._gateways.create(self._id))
        self._expect("create", made.settings == GatewaySettings(), f"{self._id} with {_told(made.settings)}")
        read = await self._step("read", lambda: self._gateways.get(self._id))
        self._expect("read", read.settings == made.settings, _told(read.settings))
        changed = replace(GatewaySettings(), rate_limit=1000, rate_interval_s=60)
        updated = await self._step("update", lambda: self._gateways.update(self._id, changed))
        self._expect("update", updated.settings == changed, _told(updated.settings))
        listed = await self._step("list", lambda: self._gateways.list())
        there = self._id in {gateway.gateway_id for gateway in listed}
        self._expect("list", there, f"{len(listed)} gateways, ours {'among them' if there else 'missing'}")
        await self._duplicate()
        models = await self._step("list models", lambda: list_models(self._api))
        self._expect("list models", bool(models), f"{len(models)} models")
        await self._step("delete", lambda: self._gateways.delete(self._id))
        await self._gone()
        self._made = False

    async def clean_up(self) -> None:
        """Whatever happened, our gateway goes."""
        if not self._made:
            return
        try:
            await self._gateways.delete(self._id)
        except CloudflareError as error:
            advice = f"Delete the gateway {self._id} in Cloudflare's dashboard."
            self._findings.append(failed(CHECK, f"clean up: {error.message}", advice))

    async def _step(self, name: str, call: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            return await call()
        except CloudflareError as error:
            self._findings.append(refused(CHECK, name, error))
            raise _Stopped from None

    async def _duplicate(self) -> None:
        """Adopting a gateway whose answer got lost depends on how this is told."""
        try:
            await self._gateways.create(self._id)
        except CloudflareError as error:
            self._expect("duplicate", error.problem is Problem.EXISTS, error.message)
        else:
            self._expect("duplicate", False, "a second create of the same id was accepted")

    async def _gone(self) -> None:
        try:
            await self._gateways.get(self._id)
        except CloudflareError as error:
            self._expect("delete", error.problem is Problem.NOT_FOUND, error.message)
        else:
            self._expect("delete", False, "the gateway is still there")

    def _expect(self, name: str, holds: bool, text: str) -> None:
        advice = "Cloudflare answers otherwise than the simulator does: report this line."
        self._findings.append(
            ok(CHECK, f"{name}: {text}") if holds else failed(CHECK, f"{name}: {text}", advice)
        )


async def _check_run(edge: EdgeSettings) -> Finding:
    """Whether the edge's token may call a gateway; asks for the list of models, which costs nothing."""
    url = f"{edge.cf_gateway_url}/v1/{edge.cf_account_id}/{edge.gateway_id}/compat/models"
    token = edge.cf_token() or ""
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
            answer = await client.get(url, headers={"cf-aig-authorization": f"Bearer {token}"})
    except httpx.HTTPError as error:
        text = f"run: the gateway host can't be reached: {str(error) or type(error).__name__}"
        return failed(CHECK, text, "Check this machine's way to the internet, its DNS and proxy.")
    if answer.is_success:
        return ok(CHECK, f"run: the shared gateway {edge.gateway_id} lets the token through")
    if answer.status_code in (401, 403):
        advice = "Give the edge's token AI Gateway Run."
        return failed(CHECK, f"run: the token is refused with {answer.status_code}", advice)
    advice = "Make the shared gateway in the dashboard, or look at the status."
    return warning(CHECK, f"run: the shared gateway answers {answer.status_code}", advice)
