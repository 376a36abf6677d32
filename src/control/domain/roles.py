"""Who may call what: one line for every method. A method that isn't here refuses everybody."""

from dataclasses import dataclass
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
    """What a caller with the role may reach; operators may reach every customer."""

    # Everything of the caller's customer.
    CUSTOMER = "customer"
    # Members only what is theirs or their teams' (B4); the service checks it. Managers and up: everything.
    OWN = "own"
    # Nothing but the caller's own session.
    SELF = "self"


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a method asks of its caller."""

    access: Access
    role: Role = Role.MEMBER
    reach: Reach = Reach.CUSTOMER

    def admits(self, caller: Identity) -> bool:
        """Whether the caller may call the method at all."""
        if self.access is Access.ANYONE:
            return True
        if self.access is Access.EDGE:
            return caller.kind is CallerKind.EDGE
        if caller.kind not in (CallerKind.SESSION, CallerKind.CLI):
            return False
        return caller.operator or (caller.role is not None and caller.role >= self.role)


def _role(role: Role, reach: Reach = Reach.CUSTOMER) -> Requirement:
    return Requirement(Access.ROLE, role, reach)


_ANYONE = Requirement(Access.ANYONE)
_EDGE = Requirement(Access.EDGE)
_SELF = _role(Role.MEMBER, Reach.SELF)
_OWN = _role(Role.MEMBER, Reach.OWN)
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
        "Watch": _EDGE,
    },
    "SessionsService": {"CreateSession": _ANYONE, "GetSession": _SELF, "DeleteSession": _SELF},
    "CustomersService": {
        "CreateCustomer": _OPERATOR,
        # For operators, unless a setting opens registration to all: the service checks it.
        "RegisterCustomer": _ANYONE,
        "GetCustomer": _MEMBER,
        "ListCustomers": _MEMBER,
        "UpdateCustomer": _ADMIN,
        "DeleteCustomer": _OPERATOR,
    },
    "UsersService": {
        "CreateUser": _ADMIN,
        "GetUser": _OWN,
        "ListUsers": _MANAGER,
        "UpdateUser": _ADMIN,
        "DeleteUser": _ADMIN,
    },
    "TeamsService": {
        "CreateTeam": _ADMIN,
        "GetTeam": _MEMBER,
        "ListTeams": _MEMBER,
        "UpdateTeam": _ADMIN,
        "DeleteTeam": _ADMIN,
    },
    "ProvidersService": {
        "CreateProvider": _ADMIN,
        "GetProvider": _MANAGER,
        "ListProviders": _MANAGER,
        "UpdateProvider": _ADMIN,
        "DeleteProvider": _ADMIN,
    },
    "RoutersService": {
        "CreateRouter": _ADMIN,
        "GetRouter": _MEMBER,
        "ListRouters": _MEMBER,
        "UpdateRouter": _ADMIN,
        "DeleteRouter": _ADMIN,
    },
    "KeysService": {
        "CreateKey": _OWN,
        "GetKey": _OWN,
        "ListKeys": _OWN,
        "UpdateKey": _OWN,
        "RotateKey": _OWN,
        "EndKeyOverlap": _OWN,
        "RevokeKey": _OWN,
    },
    "PricesService": {
        # Global prices need an operator, which the service checks.
        "CreatePrice": _ADMIN,
        "GetPrice": _MEMBER,
        "ListPrices": _MEMBER,
        "DeletePrice": _ADMIN,
        "ListMissingModels": _MANAGER,
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
    "AuditService": {"ListAuditEntries": _ADMIN, "GetAuditEntry": _ADMIN},
    "GatewaysService": {
        "CreateGateway": _OPERATOR,
        "GetGateway": _OPERATOR,
        "ListGateways": _OPERATOR,
        "DeleteGateway": _OPERATOR,
        "GetGatewayReconciliation": _OPERATOR,
    },
    "ModelsService": {"ListCloudflareModels": _MEMBER},
    "UsageService": {"ListUsage": _OWN, "GetUsage": _OWN, "GetUsageSummary": _OWN},
}

# A method with another verb changes something: API tokens need a `write` scope for it, and it leaves an entry
# in the audit log.
_READING_VERBS = ("Get", "List")


def writes(method: str) -> bool:
    """Whether a method, by its name in full or in short, changes something."""
    return not method.rpartition("/")[2].startswith(_READING_VERBS)


# By full method name, as gRPC gives it.
REQUIREMENTS = {
    f"/tollkeeper.v1.{service}/{method}": requirement
    for service, methods in _METHODS.items()
    for method, requirement in methods.items()
}
