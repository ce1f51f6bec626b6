"""Documents beyond their fields' values (test_traps.py, test_properties.py): the mapping, ids, indices."""

import json
from pathlib import Path

import orjson
import pytest

from job.documents import actions, documents, iso, monthly_index
from tests.support.sample_matches import ARRIVED, decoded, match, participant

TEMPLATES = Path(__file__).parents[3] / "mappings" / "index_templates"


def test_the_mapping_has_exactly_these_fields() -> None:
    template = json.loads((TEMPLATES / "lol_matches_stream.json").read_text())
    assert set(template["template"]["mappings"]["properties"]) == set(next(documents(decoded(match()), ARRIVED)))
    assert template["template"]["mappings"]["dynamic"] == "strict"


@pytest.mark.parametrize(("version", "patch"), [("16.4.748.682", "16.4"), ("16", "16"), ("", "")])
def test_the_patch(version: str, patch: str) -> None:
    assert next(documents(decoded(match(gameVersion=version)), ARRIVED))["patch"] == patch


def test_ids_and_index_follow_from_match_participant_and_month() -> None:
    found = actions(decoded(match(participant(1), participant(2))), ARRIVED, 7, "lol_matches_stream")
    assert [action.document_id for action in found] == ["EUW1_7012345678_1", "EUW1_7012345678_2"]
    head, source, rest = found[1].lines.split(b"\n")
    assert orjson.loads(head)["index"].items() >= {
        ("_index", "lol_matches_stream-2026.02"),
        ("_id", "EUW1_7012345678_2"),
        ("version_type", "external_gte"),
    }
    assert orjson.loads(source)["participant_id"] == "2"
    assert rest == b""


def test_the_later_message_has_the_higher_version() -> None:
    """By Kafka's time, which is the same for all that a producer sends at once; then by the offset."""

    def version(arrived: int, offset: int) -> int:
        (only,) = actions(decoded(match(participant(1))), arrived, offset, "n")
        return int(orjson.loads(only.lines.split(b"\n")[0])["index"]["version"])

    in_order = [(ARRIVED, 1), (ARRIVED, 2), (ARRIVED, 2**20 - 1), (ARRIVED + 1, 0), (ARRIVED + 2, 2**40)]
    versions = [version(*each) for each in in_order]
    assert versions == sorted(set(versions))
    assert all(0 <= each < 2**63 for each in (*versions, version(-1, 0), version(2**44, 2**60)))


def test_the_same_message_makes_the_same_bytes() -> None:
    assert actions(decoded(match()), ARRIVED, 7, "n") == actions(decoded(match()), ARRIVED, 7, "n")


def test_months_change_at_midnight_utc() -> None:
    midnight = 1_769_904_000_000  # 2026-02-01T00:00:00Z
    assert monthly_index("n", midnight - 1) == "n-2026.01"
    assert monthly_index("n", midnight) == "n-2026.02"
    assert iso(midnight - 1) == "2026-01-31T23:59:59.999Z"
