"""The log: structured lines on standard error, one JSON object each or coloured for people."""

import logging
import sys
from enum import StrEnum

import orjson
import structlog


class LogLevel(StrEnum):
    """What is written to standard error, and all that is worse."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """Lines for people, or one JSON object a line."""

    CONSOLE = "console"
    JSON = "json"


_LEVELS = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}


def configure(level: LogLevel, form: LogFormat, **context: object) -> None:
    """Sets up structlog for the process; `context` is on every line. Libraries are shown from warnings up."""
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    factory: structlog.PrintLoggerFactory | structlog.BytesLoggerFactory
    if form is LogFormat.JSON:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_dump)]
        factory = structlog.BytesLoggerFactory(sys.stderr.buffer)
    else:
        # The default formatter shows local variables, and those may be secrets.
        plain = structlog.dev.plain_traceback
        processors.append(
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
        )
        factory = structlog.PrintLoggerFactory(sys.stderr)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**context)
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )


def _dump(event: object, default: object = None, **_: object) -> bytes:
    return orjson.dumps(event, default=str)
