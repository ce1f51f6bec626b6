"""What the report asks Elasticsearch for; a fake answers that there is nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest
from elasticsearch import Elasticsearch

from tools.report import matches
from tools.time_range import Period

KIBANA_PANEL = Path(__file__).parents[3] / "mappings" / "kibana" / "lens" / "lol-game-length.json"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOTHING: dict[str, Any] = {
    "hits": {"total": {"value": 0}, "hits": []},
    "aggregations": {
        "ended": {"value": None},
        "arrived": {"value": None},
        "matches": {"value": 0},
        "steps": {"buckets": []},
        "played": {
            "matches": {"value": 0},
            "champions": {"buckets": []},
            "positions": {"buckets": []},
            "sides": {"buckets": {"blue": {"doc_count": 0}, "red": {"doc_count": 0}}},
            "lengths": {"buckets": [{"matches": {"value": number}} for number in range(len(matches.LENGTHS))]},
        },
    },
}


def asked(period: Period) -> tuple[dict[str, Any], matches.Matches]:
    """The aggregations over the period's documents, and what is made of the answer."""
    client = create_autospec(Elasticsearch, instance=True)
    client.search.return_value = NOTHING
    found = matches.read(client, period)
    return client.search.call_args_list[1].kwargs["aggs"], found


@pytest.mark.parametrize("hours", [1, 7, 24, 168])
def test_steps_begin_with_the_period(hours: int) -> None:
    period = Period.last(hours, datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC))
    steps = asked(period)[0]["steps"]["date_histogram"]
    interval, offset = (timedelta(seconds=int(steps[key].removesuffix("s"))) for key in ("fixed_interval", "offset"))
    # Elasticsearch's buckets begin at each multiple of the interval after 1970, plus the offset.
    assert {(moment - EPOCH) % interval for moment in period.moments} == {offset}
    # It takes the bounds without the offset: a later one than the last step's start would make one step more.
    bounds = [EPOCH + timedelta(milliseconds=steps["extended_bounds"][key]) for key in ("min", "max")]
    assert bounds == [period.start, period.end - interval]


def test_lengths_are_those_of_kibanas_panel_and_the_last_is_open() -> None:
    aggregations, found = asked(Period.last(1, datetime(2026, 3, 1, tzinfo=UTC)))
    layers = json.loads(KIBANA_PANEL.read_text())["attributes"]["state"]["datasourceStates"]["formBased"]["layers"]
    panel = layers["data"]["columns"]["minutes"]["params"]["ranges"]
    ranges = aggregations["played"]["aggs"]["lengths"]["range"]["ranges"]
    assert [(each["from"], each.get("to")) for each in ranges] == [(each["from"], each["to"]) for each in panel]
    assert found.lengths[0] == matches.Length(0, 15, 0)
    assert found.lengths[-1] == matches.Length(40, None, 6)
