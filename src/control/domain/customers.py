"""Values of customers that templates have, too."""

from tollkeeper.errors import invalid

MAX_OUTPUT_LIMIT = 100_000_000
_MAX_PLAN_CHARS = 50


def check_plan(plan: str) -> str:
    """The name of a plan, as it is. Raises INVALID_ARGUMENT."""
    if not plan.strip() or len(plan) > _MAX_PLAN_CHARS or not plan.isprintable():
        raise invalid(f"plan has 1 to {_MAX_PLAN_CHARS} printable characters.", field="plan")
    return plan


def check_output_limit(limit: int) -> int:
    """Model tokens sent upstream when nobody gives a limit; 0: none. Raises INVALID_ARGUMENT."""
    if not 0 <= limit <= MAX_OUTPUT_LIMIT:
        raise invalid("default_output_limit is out of range.", field="default_output_limit")
    return limit
