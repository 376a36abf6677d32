"""The sign-in that `tollkeeper login` keeps for the commands and programs of one person on one machine."""

import json
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SignIn:
    """Who signed in where, and the credential that came of it."""

    # host:port, of several replicas separated by commas.
    control: str
    email: str
    secret: str = field(repr=False)
    # RFC 3339.
    expire_time: str

    def ended(self) -> bool:
        """Whether its time is over. The control plane may have ended it sooner."""
        return datetime.fromisoformat(self.expire_time) <= datetime.now(UTC)


def file() -> Path:
    """Where it is kept: `tollkeeper/session.json` below $XDG_CONFIG_HOME, or ~/.config."""
    config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(config).expanduser() / "tollkeeper" / "session.json"


def load() -> SignIn | None:
    """The sign-in that is kept; None without one that can be read."""
    try:
        return SignIn(**json.loads(file().read_text()))
    except (OSError, ValueError, TypeError):
        return None


def save(sign_in: SignIn) -> None:
    """Keeps it in place of any other, for the owner's eyes alone. Raises OSError."""
    path = file()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    # Private from its first byte on, and whole when it gets its name.
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        json.dump(asdict(sign_in), stream)
    draft.replace(path)


def forget() -> None:
    """Removes it, if there is one."""
    file().unlink(missing_ok=True)
