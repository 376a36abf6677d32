"""Files: POST /v1/files. The vendor bills nothing for keeping one; of one for a batch it is counted what the
batch may use."""

from sanic.request import Request

from edge.call import Call, invalid_field, provider_of
from edge.families import Family
from edge.formats.files_openai import FilesOpenai
from edge.uploads.batch_lines import BatchLines
from edge.uploads.form import Form
from edge.worst_case import NOTHING
from tollkeeper.operations import Wire

BATCH = "batch"


async def read_form(form: Form, with_provider: bool) -> Call:
    """Reads up to the file where that tells its purpose, else to its end. Raises INVALID_ARGUMENT."""
    known = "purpose" in form and (not with_provider or "provider" in form)
    purpose = form.text("purpose") if known else None
    lines = form.observer = BatchLines(strict=True) if purpose == BATCH else None
    if not known:
        # It may turn out to be for a batch.
        lines = form.observer = BatchLines(strict=False)
        await form.read_to_end()
        purpose = form.text("purpose")
    if purpose is None:
        raise invalid_field("Missing required parameter: 'purpose'.", "purpose", "missing_required_parameter")
    if len(form.files) != 1:
        raise invalid_field("Send one file, before other fields or behind.", "file", "invalid_form")
    call = Call(FILES, b"", form.values("provider"), "", NOTHING)
    if with_provider:
        call.provider = provider_of(call.body)
    if purpose == BATCH and lines is not None:
        if lines.problem is not None:
            raise lines.problem
        call.batch_input = lines.counted
    return call


def _read(request: Request, with_provider: bool) -> Call:
    raise invalid_field("The body must be a form.", None, "invalid_form")


FILES = Family("files", _read, {Wire.OPENAI: FilesOpenai()}, read_form=read_form, free=True)
