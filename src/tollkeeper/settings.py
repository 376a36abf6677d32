"""What goes wrong with settings, told alike by every part."""

from pydantic import AliasChoices, ValidationError
from pydantic_settings import BaseSettings


class SettingsError(Exception):
    """One or more settings can't be used; `problems` has one line each, with the setting's name."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def problems_of(error: ValidationError, settings: type[BaseSettings]) -> list[str]:
    """One line for each setting that was refused, by the name of its environment variable."""
    problems: list[str] = []
    for detail in error.errors(include_input=False, include_url=False):
        message = detail["msg"].removeprefix("Value error, ")
        if detail["loc"]:
            problems.append(f"{_env_name(str(detail['loc'][0]), settings)}: {message}")
        else:
            problems.extend(message.splitlines())
    return problems


def _env_name(location: str, settings: type[BaseSettings]) -> str:
    field = settings.model_fields.get(location)
    if field is None:
        return location
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    prefix = settings.model_config.get("env_prefix", "")
    return str(alias) if alias is not None else f"{prefix}{location}".upper()
