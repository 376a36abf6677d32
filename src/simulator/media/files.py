"""Files that a vendor keeps, for whoever has the credential."""

from dataclasses import dataclass
from time import time
from typing import Any

from simulator.cloudflare import fresh_id
from simulator.errors import VendorError

PURPOSES = frozenset({"assistants", "batch", "fine-tune", "vision", "user_data", "evals", "batch_output"})
KEPT_BYTES = 256 * 1024 * 1024


@dataclass(slots=True)
class KeptFile:
    """One file."""

    file_id: str
    filename: str
    purpose: str
    data: bytes
    created_at: int

    def json(self) -> dict[str, Any]:
        """OpenAI's file object."""
        return {
            "id": self.file_id,
            "object": "file",
            "bytes": len(self.data),
            "created_at": self.created_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
        }


class Files:
    """All of them, the oldest first; the oldest go when they are too many bytes."""

    def __init__(self) -> None:
        self._files: dict[str, KeptFile] = {}

    def add(self, filename: str, purpose: str, data: bytes) -> KeptFile:
        """Raises VendorError for an unknown purpose."""
        if purpose not in PURPOSES:
            raise VendorError(400, f"'{purpose}' is not one of the purposes.", param="purpose")
        kept = KeptFile(f"file-{fresh_id()}", filename, purpose, data, int(time()))
        self._files[kept.file_id] = kept
        while sum(len(each.data) for each in self._files.values()) > KEPT_BYTES:
            del self._files[next(iter(self._files))]
        return kept

    def get(self, file_id: str) -> KeptFile:
        """Raises VendorError 404."""
        kept = self._files.get(file_id)
        if kept is None:
            raise VendorError(404, f"No such File object: {file_id}", param="id")
        return kept

    def delete(self, file_id: str) -> dict[str, Any]:
        """Raises VendorError 404."""
        self.get(file_id)
        del self._files[file_id]
        return {"id": file_id, "object": "file", "deleted": True}

    def all(self, purpose: str) -> list[KeptFile]:
        """Newest first."""
        return [each for each in reversed(self._files.values()) if purpose in ("", each.purpose)]

    def clear(self) -> None:
        """Forgets them all."""
        self._files.clear()
