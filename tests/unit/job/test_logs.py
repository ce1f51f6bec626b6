"""The job's log format: JSON and readable, in UTC."""

import json
import logging
import re
import time
from collections.abc import Iterator
from typing import Literal

import pytest

from job import logs
from job.settings import Log


@pytest.fixture(autouse=True)
def _restore_root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_log_has_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Log(level="INFO", format="json"))
    log = logging.getLogger("job.test")
    log.info("größer: %s", "two\nlines")
    try:
        raise ValueError("wrong")
    except ValueError:
        log.exception("failed")
    info, error = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", info.pop("time"))
    assert info == {"level": "INFO", "logger": "job.test", "message": "größer: two\nlines"}
    assert sorted(error) == ["exception", "level", "logger", "message", "time"]
    assert error["exception"].startswith("Traceback (most recent call last):")
    assert error["exception"].endswith("ValueError: wrong")


FORGED = "EUW1_1\n2026-01-01T00:00:00.000Z INFO job: forged\r\x1b[2J\x7f\x85\x9b\u2028\u202e\ud83d"
"""A match id that would begin a line of its own, clear the terminal, and turn the direction of its text."""


@pytest.mark.parametrize("log_format", ["readable", "json"])
def test_text_of_a_message_can_neither_forge_a_log_line_nor_control_a_terminal(
    capsys: pytest.CaptureFixture[str], log_format: Literal["readable", "json"]
) -> None:
    logs.configure(Log(level="INFO", format=log_format))
    log = logging.getLogger("job.test")
    log.error("%s is not archived", FORGED)
    try:
        raise ValueError(FORGED)
    except ValueError:
        log.exception("failed")
    lines = capsys.readouterr().out.removesuffix("\n").split("\n")
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    if log_format == "json":
        assert json.loads(lines[0])["message"] == f"{FORGED} is not archived"
    else:
        escaped = r"EUW1_1\n2026-01-01T00:00:00.000Z INFO job: forged\r\x1b[2J\x7f\x85\x9b\u2028\u202e\ud83d"
        assert lines[0].endswith(f" ERROR job.test: {escaped} is not archived")


@pytest.fixture
def _time_zone_of_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_time_zone_of_tokyo")
def test_readable_log_has_time_in_utc_level_logger_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Log(level="INFO", format="readable"))
    record = logging.makeLogRecord({"name": "job.test", "levelno": logging.INFO, "levelname": "INFO", "msg": "done"})
    record.created, record.msecs = 1_769_999_400.0625, 62
    logging.getLogger("job.test").handle(record)
    assert capsys.readouterr().out == "2026-02-02T02:30:00.062Z INFO job.test: done\n"


def test_log_level_and_noisy_libraries_are_filtered(capsys: pytest.CaptureFixture[str]) -> None:
    """py4j logs to the root logger; the job reports failures of these libraries itself."""
    logs.configure(Log(level="WARNING", format="readable"))
    logging.getLogger("job.test").info("below the level")
    logging.getLogger("py4j.clientserver").error("noise")
    logging.getLogger("elastic_transport.transport").error("noise")
    logging.getLogger().error("noise")
    assert capsys.readouterr().out == ""
