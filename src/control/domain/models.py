"""Model names, and the lists of allowed ones (tollkeeper.model_match says what they mean)."""

from collections.abc import Iterable

from tollkeeper.errors import invalid

MAX_MODEL_CHARS = 200
MAX_LISTED_MODELS = 500


def check_model(model: str) -> str:
    """A model's name, as it is. Raises INVALID_ARGUMENT."""
    if not model or model != model.strip() or len(model) > MAX_MODEL_CHARS or not model.isprintable():
        raise invalid(
            f"A model's name has 1 to {MAX_MODEL_CHARS} printable characters and no space around it.",
            field="model",
        )
    return model


def check_allowed_models(entries: Iterable[str]) -> list[str]:
    """A list of allowed models without repetitions, in the order given. Raises INVALID_ARGUMENT."""
    unique = list(dict.fromkeys(entries))
    if len(unique) > MAX_LISTED_MODELS:
        raise invalid(f"At most {MAX_LISTED_MODELS} allowed models.", field="allowed_models")
    return [check_model(entry) for entry in unique]
