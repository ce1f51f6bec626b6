"""Logging to stdout, one line an event, readable or JSON: the same formats as Spark's own (conf/log4j2.properties)."""

import logging
import sys
import time

from pythonjsonlogger.json import JsonFormatter

from job.printable import escape
from job.settings import Log

_JSON_KEYS = {
    "asctime": "time",
    "levelname": "level",
    "name": "logger",
    "message": "message",
    "exc_info": "exception",
}


def configure(settings: Log) -> None:
    """Send all Python logging to stdout, in the log level and format of the settings."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_formatter(settings.format))
    logging.basicConfig(level=settings.level, handlers=[handler], force=True)
    # Py4J logs each lost response with a stack trace to the root logger, which nothing else uses.
    handler.addFilter(lambda record: record.name != "root")
    # These libraries log each failed attempt, and each exception that crosses from Python to the JVM, as an error. The
    # job reports the same failures itself, in one line each.
    for library in ("py4j", "elastic_transport", "librdkafka", "urllib3"):
        logging.getLogger(library).setLevel(logging.CRITICAL)


def _formatter(log_format: str) -> logging.Formatter:
    """A formatter with times in UTC and milliseconds: `json` or `readable`."""
    formatter: logging.Formatter
    if log_format == "json":
        # Its output is ASCII: control characters that JSON itself allows are escaped too.
        formatter = JsonFormatter(["asctime", "levelname", "name", "message"], rename_fields=_JSON_KEYS)
    else:
        formatter = _ReadableFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    formatter.converter = time.gmtime
    formatter.default_time_format = "%Y-%m-%dT%H:%M:%S"
    formatter.default_msec_format = "%s.%03dZ"
    return formatter


class _ReadableFormatter(logging.Formatter):
    """One line an event, with its stack trace too: text from a message cannot begin a line or control a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return escape(super().format(record))
