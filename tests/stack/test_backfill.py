"""`make backfill` against real servers while the stream runs. Details are tested in tests/unit/job/test_backfill.py."""

from __future__ import annotations

import pytest

from harness.stack import Stack
from tests.support.known_messages import KnownMessages
from tools.dlq.dead_letters import read_dead_letters

pytestmark = pytest.mark.disruptive


@pytest.mark.usefixtures("stream")
def test_backfill_restores_deleted_documents_and_fills_fields_of_existing_ones(stack: Stack) -> None:
    """It replaces a document of the same version, and changes nothing else."""
    known = KnownMessages(stack, size="full")
    known.send()
    known.assert_one_outcome_each()
    dead_letters = sum(1 for _ in read_dead_letters(stack.kafka_settings()))
    known.delete_documents_and_fields()
    start, end = known.arrival_range()
    result = stack.make("backfill", f"FROM={start}", f"TO={end}", "RATE=500")
    assert result.rc == 0, result.stdout + result.stderr
    assert "✓ Backfill done: " in result.stdout
    known.assert_one_outcome_each()
    assert sum(1 for _ in read_dead_letters(stack.kafka_settings())) == dead_letters


def test_backfill_rejects_a_time_range_without_messages(stack: Stack) -> None:
    result = stack.make("backfill", "FROM=2020-01-01", "TO=2020-02-01")
    assert result.rc != 0
    assert "has no message that arrived from 2020-01-01T00:00:00.000Z" in result.stdout
    assert "its messages arrived from 2" in result.stdout
    assert [each.name for each in stack.engine.containers.list(all=True) if str(each.name).endswith("-backfill")] == []
