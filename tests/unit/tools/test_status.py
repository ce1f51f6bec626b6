"""The status on a screen."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta
from unittest.mock import MagicMock

import docker
import pytest
import requests
from rich.console import Console

from tests.support.report_samples import PERIOD, PIPELINE, status
from tools import health
from tools.health import Link
from tools.status import TREND_STEP_SECONDS, Status, screen, sparkline

WELL = Link("producer", "12 messages delivered since its start, 0 failed")
BROKEN = Link("producer", "12 messages delivered since its start, 0 failed", "nothing delivered for 0:02:00 [sic]")


def shown(status: Status, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(screen(status, console))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(("width", "lines"), [(80, 40), (120, 24), (200, 24)])
def test_it_fits_on_one_screen(width: int, lines: int) -> None:
    found = shown(status(WELL), width)
    assert len(found) <= lines
    assert all(len(line.rstrip()) <= width for line in found)
    assert not any("…" in line for line in found), "\n".join(found)


@pytest.mark.parametrize("width", [30, 45, 60])
def test_a_narrow_screen_keeps_the_marks(width: int) -> None:
    assert any(line.startswith("│ ✗  producer") for line in shown(status(BROKEN, WELL), width))


def test_a_healthy_chain_has_no_cross() -> None:
    text = "\n".join(shown(status(WELL), 120))
    assert "●  producer" in text
    assert "✗  " not in text
    assert "broken" not in text


@pytest.mark.parametrize("width", [80, 120])
def test_a_broken_link_is_named_first_of_all(width: int) -> None:
    found = shown(status(BROKEN, WELL), width)
    assert found[1].strip() == "broken: producer: nothing delivered for 0:02:00 [sic]"
    assert any("✗  producer" in line for line in found)


def test_figures_services_and_trends_are_there() -> None:
    text = " ".join(" ".join(shown(status(WELL), 120)).split())
    for words in (
        "spark-master localhost:8080 :7077 512 MiB 3h",
        "kibana left out",
        "✗ generator exited 2 restarts",
        "freshness p99 1.60 s",
        "behind 0",
        "2026-03-01 12:00:00 UTC",
    ):
        assert words in text


def test_without_prometheus_the_rest_is_there() -> None:
    text = "\n".join(shown(replace(status(WELL), trends="Prometheus does not answer"), 120))
    assert "Prometheus does not answer" in text
    assert "●  producer" in text


def test_old_values_are_not_shown_as_new_ones() -> None:
    ended = tuple((at, value) for at, value in PIPELINE.lag["behind"] if at < PERIOD.end - timedelta(minutes=3))
    trends = replace(PIPELINE, lag={"behind": ended})
    text = " ".join(" ".join(shown(replace(status(WELL), trends=trends), 120)).split())
    assert "behind –" in text


def test_a_sparkline_rises_with_its_values_and_is_blank_where_there_are_none() -> None:
    step = timedelta(seconds=TREND_STEP_SECONDS)
    rising = tuple((PERIOD.start + n * step, float(n)) for n in range(31, 61))
    line = sparkline(rising, PERIOD.start)
    assert line[:15].isspace()
    assert line[-1] == "█"
    assert list(line[15:]) == sorted(line[15:])
    assert sparkline((), PERIOD.start).isspace()
    assert set(sparkline(tuple((PERIOD.start + n * step, 0.0) for n in range(1, 61)), PERIOD.start)) == {"▁"}


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (requests.ConnectionError("gone"), "gone"),  # docker-py raises the errors of its HTTP library as they are
        (docker.errors.NotFound("404 Client Error for http+docker://localhost/"), "spark-job has no container"),
    ],
)
def test_an_engine_without_an_answer_is_no_end_of_the_status(
    monkeypatch: pytest.MonkeyPatch, error: Exception, trouble: str
) -> None:
    """The engine is a fake that fails; nothing else is there."""
    engine = MagicMock()
    engine.containers.list.side_effect = engine.containers.get.side_effect = error
    monkeypatch.setattr(health, "connect", lambda: engine)
    monkeypatch.setattr(health, "TIMEOUT_SECONDS", 1)
    services = {"elasticsearch": {"9200": "localhost:1"}}
    state = health.Chain("here", {"bootstrapServers": "localhost:1", "services": services}).state()
    assert state.services == ()
    troubles = {link.name: link.trouble for link in state.links}
    assert troubles["job"] == trouble
    assert "refused" in (troubles["documents"] or "")
