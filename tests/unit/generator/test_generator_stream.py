"""The run of messages: its mix, repeats that are exact, and poison that is really bad."""

import itertools
from collections import Counter
from typing import Any

import orjson
import pytest

from generator import poison
from generator.match import MatchFactory, Size
from generator.stream import MOST_REPEATS, Kind, Message, Mix, stream

START = 1_770_000_000_000


def messages(count: int, mix: Mix, *, size: Size = "compact", seed: int = 5, empty: float = 0.0) -> list[Message]:
    factory = MatchFactory(seed=seed, size=size, start_ms=START, now=lambda: START, empty_positions=empty)
    return list(itertools.islice(stream(factory, mix, seed, huge=size == "full"), count))


def spoilt(kind: str, count: int = 60) -> list[Message]:
    return [m for m in messages(count, Mix(poison=1)) if m.text == f"poison ({kind})"]


def info(message: Message) -> dict[str, Any]:
    assert message.value is not None
    data: dict[str, Any] = orjson.loads(message.value)["info"]
    return data


class TestMix:
    def test_shares_come_out_as_asked(self) -> None:
        mix = Mix(duplicates=0.2, remakes=0.05, poison=0.03)
        kinds = Counter(message.kind for message in messages(5000, mix))
        assert kinds[Kind.DUPLICATE] / 5000 == pytest.approx(0.2, abs=0.02)
        assert kinds[Kind.REMAKE] / 5000 == pytest.approx(0.05, abs=0.01)
        assert kinds[Kind.POISON] / 5000 == pytest.approx(0.03, abs=0.008)
        assert kinds.total() == 5000

    def test_empty_positions_come_out_as_asked(self) -> None:
        made = messages(5000, Mix(), empty=0.1)
        empty = sum(any(not p["teamPosition"] for p in info(message)["participants"]) for message in made)
        assert empty / 5000 == pytest.approx(0.1, abs=0.015)

    def test_nothing_asked_nothing_but_new_matches(self) -> None:
        made = messages(500, Mix())
        assert {message.kind for message in made} == {Kind.MATCH}
        assert len({message.key for message in made}) == 500

    def test_same_seed_same_messages(self) -> None:
        mix = Mix(duplicates=0.3, remakes=0.1, poison=0.2)
        assert messages(300, mix, empty=0.1) == messages(300, mix, empty=0.1)
        assert messages(300, mix) != messages(300, mix, seed=6)

    def test_remakes_are_remakes(self) -> None:
        for message in messages(50, Mix(remakes=1)):
            assert message.kind is Kind.REMAKE
            assert all(p["gameEndedInEarlySurrender"] for p in info(message)["participants"])

    def test_key_is_the_match_id(self) -> None:
        for message in messages(200, Mix(duplicates=0.3, remakes=0.1)):
            assert message.value is not None
            assert message.key.decode() == orjson.loads(message.value)["metadata"]["matchId"]


class TestDuplicates:
    @pytest.mark.parametrize("share", [0.1, 0.9])
    def test_same_bytes_later_and_at_most_ten_times(self, share: float) -> None:
        first: dict[bytes, bytes | None] = {}
        times: Counter[bytes] = Counter()
        for message in messages(3000, Mix(duplicates=share)):
            times[message.key] += 1
            if message.kind is Kind.DUPLICATE:
                assert first[message.key] == message.value
            else:
                assert message.key not in first
                first[message.key] = message.value
        assert max(times.values()) <= 1 + MOST_REPEATS


class TestPoison:
    def test_every_kind_comes_in_turn(self) -> None:
        kinds = [message.text for message in messages(2 * len(poison.KINDS), Mix(poison=1))]
        assert set(Counter(kinds).values()) == {2}
        assert set(kinds) == {f"poison ({name})" for name in poison.KINDS}

    def test_poison_and_matches_share_no_key(self) -> None:
        made = messages(400, Mix(poison=0.5))
        bad, good = ({m.key for m in made if (m.kind is Kind.POISON) is side} for side in (True, False))
        assert bad.isdisjoint(good)
        assert len(bad) + len(good) == 400

    def test_no_value(self) -> None:
        assert {message.value for message in spoilt("empty value")} == {b""}
        assert {message.value for message in spoilt("null value")} == {None}

    @pytest.mark.parametrize("kind", ["not JSON", "truncated JSON"])
    def test_unreadable(self, kind: str) -> None:
        for message in spoilt(kind, 300):
            assert message.value
            with pytest.raises(orjson.JSONDecodeError):
                orjson.loads(message.value)

    @pytest.mark.parametrize("kind", ["JSON array", "nested match"])
    def test_wrong_top_level(self, kind: str) -> None:
        for message in spoilt(kind):
            assert message.value is not None
            data = orjson.loads(message.value)
            assert "info" not in data
            assert isinstance(data, list) is (kind == "JSON array")

    def test_fields_that_cannot_be(self) -> None:
        assert all(info(message)["participants"] == [] for message in spoilt("no participants"))
        for message in spoilt("null kills"):
            assert [p["kills"] for p in info(message)["participants"]].count(None) == 1
        proper = info(messages(1, Mix())[0])["participants"][0]
        for message in spoilt("wrong type", 300):
            wrong = [
                field
                for p in info(message)["participants"]
                for field, value in p.items()
                if type(value) is not type(proper[field])
            ]
            assert len(wrong) == 1

    @pytest.mark.parametrize(("kind", "year"), [("year 1970", 1970), ("year 2100", 2100)])
    def test_years(self, kind: str, year: int) -> None:
        for message in spoilt(kind):
            for field in ("gameCreation", "gameStartTimestamp", "gameEndTimestamp"):
                assert int(1970 + info(message)[field] / (365.2425 * 86_400_000)) == year

    def test_huge_ones_are_rare_and_only_among_full_matches(self) -> None:
        def huge(size: Size) -> list[int]:
            made = messages(80, Mix(poison=1), size=size)
            return [len(message.value or b"") for message in made if message.text == "poison (huge)"]

        assert huge("compact") == []
        sizes = huge("full")
        assert len(sizes) == 2
        assert all(4_000_000 <= size < 10_485_760 for size in sizes)
