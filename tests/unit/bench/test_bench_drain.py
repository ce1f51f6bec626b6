"""The rounds of a drain and the age of the stack, with a fake stack."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest

from bench import drain
from bench.drain import DrainRound, FirstSeconds, measure_drain
from bench.measured_stack import MeasuredStack
from bench.profiles import QUICK
from bench.throughput import Throughput


def test_first_seconds_include_the_warm_up_and_the_rounds_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([20.0, 15.0, 9.0, 8.0])
    indexed = 0

    def drain_backlog(*_: object) -> tuple[None, DrainRound]:
        nonlocal indexed
        indexed += 1_000
        return None, DrainRound(Throughput(1_000, next(seconds), 100), 1)

    monkeypatch.setattr(drain, "drain_backlog", drain_backlog)
    monkeypatch.setattr(drain, "indexed_count", lambda *_: indexed)
    profile = replace(QUICK, sizes=("compact",), warm_up_rounds=2, rounds=2)
    (found,) = measure_drain(Mock(), profile)
    assert [each.throughput.seconds for each in found.rounds] == [9, 8]
    assert found.first == FirstSeconds(35, 2_000, indexed_before=0)


def test_age_of_the_stack_is_that_of_its_oldest_container() -> None:
    def container(service: str) -> Any:
        started = datetime.now(UTC) - timedelta(minutes={"kafka": 61, "spark-job": 3}[service])
        # As Docker writes it, with nanoseconds.
        return SimpleNamespace(attrs={"State": {"StartedAt": f"{started:%Y-%m-%dT%H:%M:%S.%f}123Z"}})

    stack = SimpleNamespace(deployment=SimpleNamespace(services=["spark-job", "kafka"], container=container))
    assert MeasuredStack.minutes_since_start(cast(MeasuredStack, stack)) == pytest.approx(61, abs=0.1)
