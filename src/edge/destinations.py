"""Where the rules of a grant lead."""

import structlog

from edge.grants import GrantView, RuleView
from edge.upstream.cloudflare import (
    Credential,
    Destination,
    Gateway,
    direct_destination,
    gateway_destination,
)
from edge.upstream.failures import InvalidRequest
from tollkeeper.provider_types import goes_direct

log = structlog.get_logger()


def destination_of(rule: RuleView, grant: GrantView, gateway: Gateway | None) -> Destination | None:
    """Where a rule leads: straight to its provider, or through Cloudflare. None where that doesn't work
    out."""
    try:
        return _destination(rule, grant, gateway)
    except (ValueError, InvalidRequest) as error:
        log.warning("rule leads nowhere", rule_id=rule.rule_id, why=type(error).__name__)
        return None


def _destination(rule: RuleView, grant: GrantView, gateway: Gateway | None) -> Destination | None:
    credential = Credential(rule.credential, rule.stored_key_alias)
    if goes_direct(rule.provider_type, rule.base_url, rule.direct):
        return direct_destination(rule.provider_type, rule.base_url, credential)
    if gateway is None:
        return None
    metadata = {
        "customer": grant.customer_id,
        "key": grant.key_id,
        "team": grant.team_id,
        "user": grant.user_id,
    }
    provider = rule.provider_type, rule.base_url
    return gateway_destination(gateway, *provider, grant.cf_gateway_id, credential, metadata)
