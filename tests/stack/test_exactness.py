"""Nothing lost, nothing doubled: undisturbed, with Elasticsearch away, with the driver killed."""

from __future__ import annotations

import pytest

from tests.stack.known import KnownMessages
from tests.stack.stack import Stack

pytestmark = pytest.mark.disruptive


def test_each_message_has_exactly_one_fate(stack: Stack) -> None:
    known = KnownMessages(stack)
    known.send()
    known.assert_one_fate_each()


def test_messages_that_come_while_elasticsearch_is_away_are_found_when_it_is_back(stack: Stack) -> None:
    known = KnownMessages(stack)
    elasticsearch = stack.container("elasticsearch")
    elasticsearch.kill()
    known.send()
    elasticsearch.start()
    known.assert_one_fate_each(limit_seconds=180)


def test_a_driver_that_is_killed_in_the_middle_loses_and_doubles_nothing(stack: Stack) -> None:
    known = KnownMessages(stack, count=800)
    known.send()
    stack.kill_driver()
    known.assert_one_fate_each(limit_seconds=180)
