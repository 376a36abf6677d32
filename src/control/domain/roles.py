"""Who may call what: one line for every method. A method that isn't here refuses everybody."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from control.domain.identity import CallerKind, Identity, Role


class Access(StrEnum):
    """What kind of caller a method is for."""

    # No credential needed.
    ANYONE = "anyone"
    # Edges only.
    EDGE = "edge"
    # People and the local CLI, with at least a role in the customer the call is about.
    ROLE = "role"


class Reach(StrEnum):
    """Whose things a caller may reach through a method."""

    # The caller's own.
    OWN = "own"
    # The caller's own and those of the teams it is in.
    TEAM = "team"
    # Everything of the caller's customer.
    CUSTOMER = "customer"
    # Everything of every customer.
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a method asks of its caller."""

    access: Access
    role: Role = Role.MEMBER
    # Of members. Managers and up reach their customer, operators all; but not where it is `fixed`.
    reach: Reach = Reach.CUSTOMER
    fixed: bool = False
    # Whether API tokens may call it, given the scope; passwords and tokens themselves are for people.
    tokens: bool = True
    # What API tokens need: `keys:read`. Empty: nothing.
    scope: str = ""

    def admits(self, caller: Identity) -> bool:
        """Whether the caller may call the method at all."""
        if self.access is Access.ANYONE:
            return True
        if self.access is Access.EDGE:
            return caller.kind is CallerKind.EDGE
        if caller.kind is CallerKind.API_TOKEN:
            if not self.tokens or not covers(caller.scopes, self.scope):
                return False
        elif caller.kind not in (CallerKind.SESSION, CallerKind.CLI):
            return False
        return caller.operator or (caller.role is not None and caller.role >= self.role)

    def reach_of(self, role: Role) -> Reach | None:
        """How far somebody of this role gets; None: nowhere. Services keep to it, tests hold them to it."""
        if self.access is not Access.ROLE or role < self.role:
            return None
        if self.fixed:
            return self.reach
        if role is Role.OPERATOR:
            return Reach.ALL
        return Reach.CUSTOMER if role >= Role.MANAGER else self.reach


def covers(scopes: Collection[str] | None, needed: str) -> bool:
    """Whether the scopes of an API token allow what needs this one. None: all; to write is to read, too."""
    if scopes is None or not needed:
        return True
    resource, _, action = needed.partition(":")
    actions = ("read", "write") if action == "read" else ("write",)
    return any(f"{name}:{each}" in scopes for name in (resource, "*") for each in actions)


def _role(role: Role, reach: Reach = Reach.CUSTOMER) -> Requirement:
    return Requirement(Access.ROLE, role, reach)


_ANYONE = Requirement(Access.ANYONE)
_EDGE = Requirement(Access.EDGE)
_SELF = Requirement(Access.ROLE, reach=Reach.OWN, fixed=True)
_PERSON = replace(_SELF, tokens=False)
_OWN = _role(Role.MEMBER, Reach.OWN)
_TEAM = _role(Role.MEMBER, Reach.TEAM)
_MEMBER = _role(Role.MEMBER)
_MANAGER = _role(Role.MANAGER)
_ADMIN = _role(Role.ADMIN)
_OPERATOR = _role(Role.OPERATOR)

_METHODS = {
    "EdgeService": {
        "Authorize": _EDGE,
        "AcquireLease": _EDGE,
        "ReturnLease": _EDGE,
        "Settle": _EDGE,
        "CloseIncarnation": _EDGE,
        "CountMissingModels": _EDGE,
        "ReportRefusals": _EDGE,
        "FindKeptObjects": _EDGE,
        "ScanKeptObjects": _EDGE,
        "ClaimPendingObjects": _EDGE,
        "ReportKeptObject": _EDGE,
        "DeleteKeptObject": _EDGE,
        "ShowKey": _EDGE,
        "AcquireShares": _EDGE,
        "Watch": _EDGE,
    },
    "SessionsService": {
        "CreateSession": _ANYONE,
        "GetSession": _SELF,
        "ListSessions": _OWN,
        "DeleteSession": _PERSON,
        "RevokeSession": _OWN,
    },
    "CustomersService": {
        "CreateCustomer": _OPERATOR,
        # For operators, unless a setting opens registration to all: the service checks it.
        "RegisterCustomer": _ANYONE,
        "GetCustomer": _MEMBER,
        "ListCustomers": _MEMBER,
        "UpdateCustomer": _ADMIN,
        "DeleteCustomer": _OPERATOR,
    },
    "TemplatesService": {
        "CreateTemplate": _OPERATOR,
        "GetTemplate": _OPERATOR,
        "ListTemplates": _OPERATOR,
        "UpdateTemplate": _OPERATOR,
        "DeleteTemplate": _OPERATOR,
    },
    "UsersService": {
        "CreateUser": _ADMIN,
        "GetUser": _OWN,
        "ListUsers": _MANAGER,
        "UpdateUser": _ADMIN,
        "DeleteUser": _ADMIN,
        "ChangePassword": _PERSON,
        "ResetPassword": replace(_ADMIN, tokens=False),
    },
    "TeamsService": {
        "CreateTeam": _ADMIN,
        "GetTeam": _MEMBER,
        "ListTeams": _MEMBER,
        "UpdateTeam": _ADMIN,
        "DeleteTeam": _ADMIN,
        "AddTeamMember": _ADMIN,
        "RemoveTeamMember": _ADMIN,
    },
    "ProvidersService": {
        "CreateProvider": _ADMIN,
        "GetProvider": _MANAGER,
        "ListProviders": _MANAGER,
        "UpdateProvider": _ADMIN,
        "DeleteProvider": _ADMIN,
        # It uses the credential.
        "TestProvider": _ADMIN,
        "ListProviderTypes": _MEMBER,
    },
    "RoutersService": {
        "CreateRouter": _ADMIN,
        "GetRouter": _MEMBER,
        "ListRouters": _MEMBER,
        "UpdateRouter": _ADMIN,
        "DeleteRouter": _ADMIN,
        "DryRunRouter": _MANAGER,
    },
    "KeysService": {
        "CreateKey": _TEAM,
        "GetKey": _TEAM,
        "ListKeys": _TEAM,
        "UpdateKey": _TEAM,
        "RotateKey": _TEAM,
        "EndKeyOverlap": _TEAM,
        "RevokeKey": _TEAM,
    },
    "PricesService": {
        # Global prices need an operator, which the service checks.
        "CreatePrice": _ADMIN,
        "GetPrice": _MEMBER,
        "ListPrices": _MEMBER,
        "DeletePrice": _ADMIN,
        "ListMissingModels": _MANAGER,
        "ReRateUsage": _OPERATOR,
        "ImportPrices": _OPERATOR,
    },
    "PricePlansService": {
        "CreatePricePlan": _OPERATOR,
        "GetPricePlan": _MEMBER,
        "ListPricePlans": _MEMBER,
        "UpdatePricePlan": _OPERATOR,
        "DeletePricePlan": _OPERATOR,
    },
    "BudgetsService": {
        "CreateBudget": _MANAGER,
        "GetBudget": _MANAGER,
        "ListBudgets": _MANAGER,
        "UpdateBudget": _MANAGER,
        "DeleteBudget": _MANAGER,
        "TopUpBudget": _MANAGER,
        "ListTopUps": _MANAGER,
        "ListBudgetAlerts": _MANAGER,
    },
    "ApiTokensService": {
        "CreateApiToken": replace(_OWN, tokens=False),
        "GetApiToken": _OWN,
        "ListApiTokens": _OWN,
        "RevokeApiToken": _OWN,
    },
    "AuditService": {"ListAuditEntries": _ADMIN, "GetAuditEntry": _ADMIN},
    "GatewaysService": {
        "ProvisionGateway": _OPERATOR,
        "GetGateway": _OPERATOR,
        "ListGateways": _OPERATOR,
        "ReleaseGateway": _OPERATOR,
        "GetGatewayReconciliation": _OPERATOR,
    },
    "ModelsService": {"GetCloudflareModels": _MEMBER},
    "UsageService": {
        "ListUsage": _TEAM,
        "GetUsage": _TEAM,
        "ExportUsage": _TEAM,
        "GetUsageSummary": _TEAM,
        "QueryUsage": _TEAM,
    },
}

# A method with another verb changes something: API tokens need a `write` scope for it, and it leaves an entry
# in the audit log.
_READING_VERBS = ("Get", "List", "Query", "Export", "DryRun", "Test")


def writes(method: str) -> bool:
    """Whether a method, by its name in full or in short, changes something."""
    return not method.rpartition("/")[2].startswith(_READING_VERBS)


def _scope(service: str, method: str) -> str:
    """`ApiTokensService/ListApiTokens` → `api_tokens:read`."""
    name = re.sub(r"(?<=.)([A-Z])", r"_\1", service.removesuffix("Service")).lower()
    return f"{name}:{'write' if writes(method) else 'read'}"


def _declared() -> Iterator[tuple[str, Requirement]]:
    for service, methods in _METHODS.items():
        for method, requirement in methods.items():
            scoped = requirement.access is Access.ROLE and requirement.tokens and not requirement.fixed
            scope = _scope(service, method) if scoped else ""
            yield f"/tollkeeper.v1.{service}/{method}", replace(requirement, scope=scope)


# By full method name, as gRPC gives it.
REQUIREMENTS = dict(_declared())
# What API tokens can be limited to.
SCOPES = frozenset(requirement.scope for requirement in REQUIREMENTS.values() if requirement.scope) | {
    "*:read",
    "*:write",
}
