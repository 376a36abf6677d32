"""Files in OpenAI's own format."""

from typing import Any

from edge.call import Call, Made
from edge.formats import Changes, Reading
from edge.formats.openai_json import OpenaiJson
from edge.upstream.cloudflare import Endpoint
from edge.upstream.upload import Upload
from tollkeeper.operations import Operation

KIND = "file"
# Why an attempt is void: the vendor takes no money for it.
UNBILLED = "unbilled"
_FIXED = frozenset({"purpose", "provider"})


class FilesOpenai(OpenaiJson):
    """A form goes up, and the file is the customer's that sent it."""

    served = Operation.FILES

    def body(self, call: Call, endpoint: Endpoint, changes: Changes) -> Upload:
        """The form written anew."""
        assert call.form is not None
        chosen = call.provider is not None
        return call.form.upload(
            lambda name, value: None if chosen and name == "provider" else value, fixed=_FIXED
        )

    def content_type(self, call: Call) -> bytes:
        """The form's."""
        assert call.form is not None
        return call.form.content_type

    def whole(self, call: Call, parsed: dict[str, Any] | None) -> Reading:
        """Nothing to bill."""
        file_id = parsed.get("id") if parsed is not None else None
        if type(file_id) is str:
            call.made = (Made(file_id, KIND, batch_input=call.batch_input),)
        return Reading(why=UNBILLED, unbilled=True)
