"""What has to be done so that the control plane has what a tenants file says."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from clients.tenants import schema
from clients.tenants.present import Present
from clients.tenants.schema import Part

# Named otherwise, or read from elsewhere, than what is compared.
_OWNED = frozenset({"teams", "users", "providers", "routers", "keys"})


@dataclass(slots=True)
class Step:
    """One resource to be made or changed. `changes`: field → present value, wanted value."""

    # Place in the file: customers[0].keys[2].
    path: str
    kind: str
    # As people call it: slug, email or name.
    name: str
    wanted: schema.Resource
    # None: it is to be made.
    present: schema.Resource | None
    changes: dict[str, tuple[Any, Any]]
    present_id: str = ""


@dataclass(slots=True)
class CustomerPlan:
    """All steps for one customer, in the order they can be done. `left_alone`: there, and not in the file."""

    slug: str
    customer_id: str
    steps: list[Step] = field(default_factory=list)
    unchanged_count: int = 0
    left_alone: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def secrets(self) -> Iterator[tuple[str, str]]:
        """Place and reference of each secret that its steps need."""
        for step in self.steps:
            if isinstance(step.wanted, schema.Provider) and "credential" in step.changes:
                if step.wanted.credential is not None:
                    yield f"{step.path}.credential", step.wanted.credential
            elif isinstance(step.wanted, schema.User) and step.present is None and step.wanted.password:
                yield f"{step.path}.password", step.wanted.password


def plan_customer(
    wanted: schema.Customer, present: Present | None, number: int, set_credentials: bool
) -> CustomerPlan:
    """`number`: place in the file. With `set_credentials` every credential is set again."""
    path = f"customers[{number}]"
    plan = CustomerPlan(wanted.slug, present.ids.customer_id if present else "")
    keys = [schema.complete(key, wanted) for key in wanted.keys]
    _check_names(plan, path, wanted, keys, present)
    had = present.part if present else None
    _add(
        plan, path, "customer", wanted.slug, wanted, had, plan.customer_id, leave={*_OWNED, "default_router"}
    )
    ids = present.ids if present else None
    _pair(plan, f"{path}.teams", "team", wanted.teams, had.teams if had else [], ids.teams if ids else {})
    _pair(plan, f"{path}.users", "user", wanted.users, had.users if had else [], ids.users if ids else {})
    _pair(
        plan,
        f"{path}.providers",
        "provider",
        wanted.providers,
        had.providers if had else [],
        ids.providers if ids else {},
        again={"credential"} if set_credentials else frozenset(),
    )
    _pair(
        plan,
        f"{path}.routers",
        "router",
        wanted.routers,
        had.routers if had else [],
        ids.routers if ids else {},
    )
    _add_default_router(plan, path, wanted, had)
    _pair_keys(plan, f"{path}.keys", keys, present)
    return plan


def _add_default_router(
    plan: CustomerPlan, path: str, wanted: schema.Customer, had: schema.Customer | None
) -> None:
    """A step of its own: routers come after their customer."""
    before = had.default_router if had else None
    if wanted.default_router != before:
        changes = {"default_router": (before, wanted.default_router)}
        plan.steps.append(
            Step(path, "customer", wanted.slug, wanted, had or wanted, changes, plan.customer_id)
        )


def _pair(
    plan: CustomerPlan,
    path: str,
    kind: str,
    wanted: Sequence[schema.Resource],
    present: Sequence[schema.Resource],
    ids: dict[str, str],
    again: Iterable[str] = (),
) -> None:
    """Steps for resources that have their name to themselves."""
    had = {label(each): each for each in present}
    for number, each in enumerate(wanted):
        name = label(each)
        _add(plan, f"{path}[{number}]", kind, name, each, had.get(name), ids.get(name, ""), again=again)
    named = {label(each) for each in wanted}
    plan.left_alone += [f"{kind} {name}" for name in had if name not in named]


def _pair_keys(plan: CustomerPlan, path: str, wanted: Sequence[schema.Key], present: Present | None) -> None:
    """Keys may share a name: then they are paired in the order they were made."""
    unpaired: dict[str, list[tuple[schema.Key, str]]] = {}
    if present is not None:
        for key, key_id in zip(present.part.keys, present.key_ids, strict=True):
            unpaired.setdefault(key.name, []).append((key, key_id))
    for number, key in enumerate(wanted):
        pairs = unpaired.get(key.name)
        had, key_id = pairs.pop(0) if pairs else (None, "")
        _add(plan, f"{path}[{number}]", "key", key.name, key, had, key_id)
    plan.left_alone += [f"key {name}" for name, pairs in unpaired.items() for _ in pairs]


def _add(
    plan: CustomerPlan,
    path: str,
    kind: str,
    name: str,
    wanted: schema.Resource,
    present: schema.Resource | None,
    present_id: str,
    leave: Iterable[str] = (),
    again: Iterable[str] = (),
) -> None:
    changes = _differences(wanted, present, {*leave, "password"}, again)
    if present is not None and "type" in changes:
        before, after = changes["type"]
        plan.problems.append(f"{path}.type: a provider's type can't be changed from {before} to {after}")
    if present is not None and not changes:
        plan.unchanged_count += 1
        return
    plan.steps.append(Step(path, kind, name, wanted, present, changes, present_id))


def _differences(
    wanted: Part, present: Part | None, leave: set[str], again: Iterable[str]
) -> dict[str, tuple[Any, Any]]:
    """Fields that differ; of a new resource those that aren't as by default."""
    changes: dict[str, tuple[Any, Any]] = {}
    for name, info in type(wanted).model_fields.items():
        if name in leave:
            continue
        after = getattr(wanted, name)
        before = getattr(present, name) if present is not None else info.get_default()
        if name == "credential" and present is not None:
            if (after is None) != (before is None) or (after is not None and name in again):
                changes[name] = (before and "set", after)
        elif after != before and not (name == "budgets" and same_budgets(before, after)):
            changes[name] = (None if present is None else before, after)
    return changes


def same_budgets(first: Sequence[schema.Budget], second: Sequence[schema.Budget]) -> bool:
    """Whatever their order."""
    return sorted(map(repr, first)) == sorted(map(repr, second))


def label(resource: Part) -> str:
    """What a resource is told apart by within its customer."""
    return str(getattr(resource, "email", None) or getattr(resource, "name", ""))


def _check_names(
    plan: CustomerPlan,
    path: str,
    wanted: schema.Customer,
    keys: Sequence[schema.Key],
    present: Present | None,
) -> None:
    """Whatever is named must be in the file or in the control plane; the platform's shows when it is used."""
    ids = present.ids if present else None
    teams = {each.name for each in wanted.teams} | set(ids.teams if ids else ())
    users = {each.email for each in wanted.users} | set(ids.users if ids else ())
    providers = {each.name for each in wanted.providers} | set(ids.providers if ids else ())
    routers = {each.name for each in wanted.routers} | set(ids.routers if ids else ())
    named: list[tuple[str, str, str | None, set[str]]] = [
        (f"{path}.default_router", "router", wanted.default_router, routers)
    ]
    for number, user in enumerate(wanted.users):
        named += [(f"{path}.users[{number}].teams", "team", team, teams) for team in user.teams]
    for number, router in enumerate(wanted.routers):
        named += [
            (f"{path}.routers[{number}].rules[{place}].provider", "provider", rule.provider, providers)
            for place, rule in enumerate(router.rules)
        ]
    for number, key in enumerate(keys):
        place = f"{path}.keys[{number}]"
        named += [
            (f"{place}.user", "user", key.user, users),
            (f"{place}.team", "team", key.team, teams),
            (f"{place}.router", "router", key.router, routers),
        ]
    for place, kind, name, known in named:
        if name is None or name in known or (present is None and name.startswith(schema.PLATFORM_PREFIX)):
            continue
        plan.problems.append(f"{place}: there is no {kind} {name!r}")
    for kind, parts in (
        ("teams", wanted.teams),
        ("users", wanted.users),
        ("providers", wanted.providers),
        ("routers", wanted.routers),
    ):
        seen: set[str] = set()
        for number, part in enumerate(parts):
            if (name := label(part)) in seen:
                plan.problems.append(f"{path}.{kind}[{number}]: {name!r} is there twice")
            seen.add(name)
