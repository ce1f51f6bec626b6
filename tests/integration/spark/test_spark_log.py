"""The log format of Spark's JVMs (job/conf/log4j2.properties), with the JVM's own log4j."""

import json
import re
from typing import Any

import pytest
from pyspark.sql import SparkSession

from tests.integration.spark.conftest import CONF

FORGED = "EUW1_1\n2026-01-01T00:00:00.000Z ERROR job: forged\r\x1b[2J\x7f\x85\x9b\u2028\u202e"
"""Text that would begin a line of its own, clear the terminal, and turn the direction of its text."""


def logged(spark: SparkSession, log_format: str, message: str, error: str | None = None) -> str:
    """An event as it is logged, with the stack trace of an exception if `error` is given."""
    text = (CONF / "log4j2.properties").read_text().replace("\\\\", "\\")
    found = re.search(rf"^appender\.{log_format}\.layout\.pattern = (.*)$", text, re.MULTILINE)
    assert found
    java: Any = spark.sparkContext._jvm
    log4j = java.org.apache.logging.log4j
    event = log4j.core.impl.Log4jLogEvent.newBuilder().setLevel(log4j.Level.WARN).setLoggerName("org.Logger")
    event = event.setMessage(log4j.message.SimpleMessage(message))
    if error is not None:
        event = event.setThrown(java.java.lang.IllegalStateException(error))
    layout = log4j.core.layout.PatternLayout.newBuilder().withPattern(found[1]).build()
    return str(layout.toSerializable(event.build()))


@pytest.mark.parametrize("log_format", ["readable", "json"])
@pytest.mark.parametrize("error", [None, FORGED])
def test_text_of_a_message_can_neither_forge_a_log_line_nor_control_a_terminal(
    spark: SparkSession, log_format: str, error: str | None
) -> None:
    line = logged(spark, log_format, FORGED, error)
    assert line.endswith("\n")
    assert line[:-1].replace("\t", "").isprintable()
    assert ("IllegalStateException" in line) == (error is not None)


def test_readable_log_has_time_level_logger_and_message(spark: SparkSession) -> None:
    line = logged(spark, "readable", "größer\t아리")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARN org\.Logger: größer\t아리\n", line)


def test_json_log_has_the_stack_trace(spark: SparkSession) -> None:
    event = json.loads(logged(spark, "json", 'a "quote"', "wrong"))
    assert (event["level"], event["logger"], event["message"]) == ("WARN", "org.Logger", 'a "quote"')
    assert event["exception"].startswith("java.lang.IllegalStateException: wrong\n\tat ")
