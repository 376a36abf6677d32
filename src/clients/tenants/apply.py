"""Doing what a plan says, step by step through the contract. A step that fails ends its customer's plan
only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from clients.services import SyncServices
from clients.tenants import messages, schema
from clients.tenants.messages import FIELDS, Ids, UnknownName
from clients.tenants.plan import CustomerPlan, Step
from clients.tenants.present import AmbiguousName, list_budgets, price_plans, read_ids
from tollkeeper.errors import Reason, TollkeeperError
from tollkeeper.v1 import (
    budgets_pb2,
    customers_pb2,
    keys_pb2,
    providers_pb2,
    routers_pb2,
    teams_pb2,
    users_pb2,
)
from tollkeeper.v1.budgets_pb2 import Scope

# With these nothing else would succeed either.
_HOPELESS = frozenset(
    {Reason.UNAVAILABLE, Reason.DEADLINE_EXCEEDED, Reason.UNAUTHENTICATED, Reason.INVALID_CREDENTIALS}
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A step that was refused. Nothing after it was tried for its customer."""

    path: str
    name: str
    message: str
    reason: str = ""
    hopeless: bool = False


class Applier:
    """Applies plans. `on_secret` gets each new key's secret the moment it is made."""

    def __init__(
        self,
        stubs: SyncServices,
        secrets: Mapping[str, str],
        on_done: Callable[[CustomerPlan, Step], None],
        on_secret: Callable[[dict[str, str]], None],
    ) -> None:
        """`secrets`: by the place in the file that names them (customers[0].providers[1].credential)."""
        self._stubs = stubs
        self._secrets = secrets
        self._on_done = on_done
        self._on_secret = on_secret
        self._kinds: dict[str, Callable[[CustomerPlan, Step, Ids], None]] = {
            "customer": self._customer,
            "team": self._team,
            "user": self._user,
            "provider": self._provider,
            "router": self._router,
            "key": self._key,
        }

    def run(self, plan: CustomerPlan) -> Failure | None:
        """Does the steps in order, as far as they succeed; returns what did not."""
        ids = Ids()
        for number, step in enumerate(plan.steps):
            try:
                if number == 0 and plan.customer_id:
                    ids = read_ids(self._stubs, plan.customer_id)
                self._kinds[step.kind](plan, step, ids)
            except TollkeeperError as error:
                return _refused(step, error)
            except (UnknownName, AmbiguousName) as error:
                return Failure(step.path, step.name, str(error))
            self._on_done(plan, step)
        return None

    # ---- one resource each

    def _customer(self, plan: CustomerPlan, step: Step, ids: Ids) -> None:
        part = step.wanted
        assert isinstance(part, schema.Customer)
        if part.price_plan is not None and not ids.price_plans:
            ids.price_plans = price_plans(self._stubs)
        message = messages.customer_message(part, ids)
        if step.present is None:
            budget = messages.initial_budget(part.budgets)
            request = customers_pb2.CreateCustomerRequest(customer=message, budget=budget)
            ids.customer_id = self._stubs.customers.CreateCustomer(request).customer_id
            if part.names_platform():
                made = read_ids(self._stubs, ids.customer_id)
                ids.providers, ids.routers = made.providers, made.routers
        elif (mask := _mask(step)).paths:
            if "default_router" in step.changes:
                message.default_router_id = messages.id_of(ids.routers, "router", part.default_router)
            self._stubs.customers.UpdateCustomer(
                customers_pb2.UpdateCustomerRequest(customer=message, update_mask=mask)
            )
        self._set_budgets(step, ids, Scope.SCOPE_CUSTOMER, ids.customer_id)

    def _team(self, plan: CustomerPlan, step: Step, ids: Ids) -> None:
        part = step.wanted
        assert isinstance(part, schema.Team)
        message = messages.team_message(part, ids)
        team_id = step.present_id
        if step.present is None:
            team_id = self._stubs.teams.CreateTeam(teams_pb2.CreateTeamRequest(team=message)).team_id
            ids.teams[part.name] = team_id
        elif (mask := _mask(step)).paths:
            message.team_id = team_id
            self._stubs.teams.UpdateTeam(teams_pb2.UpdateTeamRequest(team=message, update_mask=mask))
        self._set_budgets(step, ids, Scope.SCOPE_TEAM, team_id)

    def _user(self, plan: CustomerPlan, step: Step, ids: Ids) -> None:
        part = step.wanted
        assert isinstance(part, schema.User)
        message = messages.user_message(part, ids)
        user_id = step.present_id
        if step.present is None:
            password = self._secrets.get(f"{step.path}.password", "")
            request = users_pb2.CreateUserRequest(user=message, password=password)
            user_id = self._stubs.users.CreateUser(request).user_id
            ids.users[part.email] = user_id
        elif (mask := _mask(step)).paths:
            message.user_id = user_id
            self._stubs.users.UpdateUser(users_pb2.UpdateUserRequest(user=message, update_mask=mask))
        self._set_budgets(step, ids, Scope.SCOPE_USER, user_id)

    def _provider(self, plan: CustomerPlan, step: Step, ids: Ids) -> None:
        part = step.wanted
        assert isinstance(part, schema.Provider)
        message = messages.provider_message(part, ids, self._secrets.get(f"{step.path}.credential", ""))
        if step.present is None:
            request = providers_pb2.CreateProviderRequest(provider=message)
            ids.providers[part.name] = self._stubs.providers.CreateProvider(request).provider_id
        else:
            message.provider_id = step.present_id
            self._stubs.providers.UpdateProvider(
                providers_pb2.UpdateProviderRequest(provider=message, update_mask=_mask(step))
            )

    def _router(self, plan: CustomerPlan, step: Step, ids: Ids) -> None:
        part = step.wanted
        assert isinstance(part, schema.Router)
        message = messages.router_message(part, ids)
        if step.present is None:
            request = routers_pb2.CreateRouterRequest(router=message)
            ids.routers[part.name] = self._stubs.routers.CreateRouter(request).router_id
        else:
            message.router_id = step.present_id
            self._stubs.routers.UpdateRouter(
                routers_pb2.UpdateRouterRequest(router=message, update_mask=_mask(step))
            )

    def _key(self, plan: CustomerPlan, step: Step, ids: Ids) -> None:
        part = step.wanted
        assert isinstance(part, schema.Key)
        message = messages.key_message(part, ids)
        key_id, mask = step.present_id, _mask(step)
        if step.present is None:
            request = keys_pb2.CreateKeyRequest(key=message, budget=messages.initial_budget(part.budgets))
            answer = self._stubs.keys.CreateKey(request)
            key_id = answer.key.key_id
            self._on_secret(
                {"customer": plan.slug, "key": part.name, "id": key_id, "raw_key": answer.raw_key}
            )
            # Where the file says nothing on purpose and the customer's defaults say something.
            filled_in = [
                name
                for name in schema.DEFAULTED
                if getattr(answer.key, _field(name)) != getattr(message, _field(name))
            ]
            mask = FieldMask(paths=[_field(name) for name in filled_in])
        if mask.paths:
            message.key_id = key_id
            self._stubs.keys.UpdateKey(keys_pb2.UpdateKeyRequest(key=message, update_mask=mask))
        self._set_budgets(step, ids, Scope.SCOPE_KEY, key_id)

    # ---- budgets

    def _set_budgets(self, step: Step, ids: Ids, scope: Scope, scope_id: str) -> None:
        """Leaves exactly the wanted budgets on a scope; those that stay or change keep what was spent."""
        assert not isinstance(step.wanted, schema.Provider | schema.Router)
        wanted = list(step.wanted.budgets)
        # What is new was made with the first one, or without any.
        if not wanted if step.present is None else "budgets" not in step.changes:
            return
        pairs, new, over = pair_budgets(list(list_budgets(self._stubs, ids.customer_id, scope_id)), wanted)
        for present, part in pairs:
            changed = messages.budget_message(part)
            changed.customer_id, changed.budget_id = ids.customer_id, present.budget_id
            mask = FieldMask(paths=["limit_nanousd", "period", "soft", "thresholds"])
            self._stubs.budgets.UpdateBudget(
                budgets_pb2.UpdateBudgetRequest(budget=changed, update_mask=mask)
            )
        for part in new:
            made = messages.budget_message(part)
            made.customer_id, made.scope, made.scope_id = ids.customer_id, scope, scope_id
            self._stubs.budgets.CreateBudget(budgets_pb2.CreateBudgetRequest(budget=made))
        for present in over:
            self._stubs.budgets.DeleteBudget(
                budgets_pb2.DeleteBudgetRequest(customer_id=ids.customer_id, budget_id=present.budget_id)
            )


def pair_budgets(
    present: list[budgets_pb2.Budget], wanted: list[schema.Budget]
) -> tuple[list[tuple[budgets_pb2.Budget, schema.Budget]], list[schema.Budget], list[budgets_pb2.Budget]]:
    """Which budgets change to what, which are new, and which go. The likest are paired; equal ones are left
    out."""
    pairs: list[tuple[budgets_pb2.Budget, schema.Budget]] = []
    likeness: list[Callable[[schema.Budget], Any]] = [
        repr,
        lambda budget: (budget.period, budget.soft),
        lambda budget: budget.period,
        lambda budget: None,
    ]
    for alike in likeness:
        for part in list(wanted):
            found = next((each for each in present if alike(messages.budget_part(each)) == alike(part)), None)
            if found is not None:
                present.remove(found)
                wanted.remove(part)
                if messages.budget_part(found) != part:
                    pairs.append((found, part))
    return pairs, wanted, present


def _mask(step: Step) -> FieldMask:
    return FieldMask(paths=[_field(name) for name in step.changes if name not in ("budgets", "password")])


def _field(name: str) -> str:
    return FIELDS.get(name, name)


def _refused(step: Step, error: TollkeeperError) -> Failure:
    named = error.metadata.get("field", "")
    path = f"{step.path}.{_file_field(named)}" if named else step.path
    return Failure(path, step.name, error.message, error.reason_name, error.reason in _HOPELESS)


def _file_field(named: str) -> str:
    """The contract's field as the file calls it."""
    names: Sequence[tuple[str, str]] = [(mine, theirs) for mine, theirs in FIELDS.items()]
    return next((mine for mine, theirs in names if theirs == named), named.replace("_nanousd", "_usd"))
