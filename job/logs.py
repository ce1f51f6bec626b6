"""The job's log: one line an event on stdout, readable or JSON, the same shape as Spark's own lines beside it."""

import logging
import sys
import time

import orjson

from job.settings import Log


def configure(settings: Log) -> None:
    """Send all of Python's logging to stdout in the format the settings say."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Json() if settings.format == "json" else _Readable())
    logging.basicConfig(level=settings.level, handlers=[handler], force=True)
    # Py4J writes each lost answer with its trace to the root logger: that of nobody else.
    handler.addFilter(lambda record: record.name != "root")
    # Libraries speak from WARNING up. What they would report as errors (each failed attempt, each exception that
    # crosses from Python to the JVM) this job reports itself, once and in words.
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    for library in ("elastic_transport", "librdkafka", "urllib3"):
        logging.getLogger(library).setLevel(logging.CRITICAL)


class _Readable(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")


class _Json(_Readable):
    def format(self, record: logging.LogRecord) -> str:
        event = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(event).decode()
