"""Generated messages: share of each kind, duplicates with identical bytes, and each kind of poison message."""

import itertools
from collections import Counter
from typing import Any

import orjson
import pytest

from generator import poison
from generator.match_factory import MatchFactory, MatchSize
from generator.messages import (
    MAX_DUPLICATES_OF_A_MATCH,
    GeneratedMessage,
    MessageKind,
    MessageShares,
    generate_messages,
)

START = 1_770_000_000_000


def messages(
    count: int, shares: MessageShares, *, size: MatchSize = "compact", seed: int = 5, empty: float = 0.0
) -> list[GeneratedMessage]:
    factory = MatchFactory(seed=seed, size=size, start_ms=START, now=lambda: START, empty_positions=empty)
    return list(itertools.islice(generate_messages(factory, shares, seed, huge=size == "full"), count))


def poison_messages(kind: str, count: int = 60) -> list[GeneratedMessage]:
    return [m for m in messages(count, MessageShares(poison=1)) if m.text == f"poison ({kind})"]


def info(message: GeneratedMessage) -> dict[str, Any]:
    assert message.value is not None
    data: dict[str, Any] = orjson.loads(message.value)["info"]
    return data


class TestMessageShares:
    def test_share_of_each_kind_is_as_configured(self) -> None:
        shares = MessageShares(duplicates=0.2, remakes=0.05, poison=0.03)
        kinds = Counter(message.kind for message in messages(5000, shares))
        assert kinds[MessageKind.DUPLICATE] / 5000 == pytest.approx(0.2, abs=0.02)
        assert kinds[MessageKind.REMAKE] / 5000 == pytest.approx(0.05, abs=0.01)
        assert kinds[MessageKind.POISON] / 5000 == pytest.approx(0.03, abs=0.008)
        assert kinds.total() == 5000

    def test_share_of_empty_positions_is_as_configured(self) -> None:
        generated = messages(5000, MessageShares(), empty=0.1)
        empty = sum(any(not p["teamPosition"] for p in info(message)["participants"]) for message in generated)
        assert empty / 5000 == pytest.approx(0.1, abs=0.015)

    def test_default_shares_give_only_new_matches(self) -> None:
        generated = messages(500, MessageShares())
        assert {message.kind for message in generated} == {MessageKind.MATCH}
        assert len({message.key for message in generated}) == 500

    def test_same_seed_gives_the_same_messages(self) -> None:
        shares = MessageShares(duplicates=0.3, remakes=0.1, poison=0.2)
        assert messages(300, shares, empty=0.1) == messages(300, shares, empty=0.1)
        assert messages(300, shares) != messages(300, shares, seed=6)

    def test_remakes_end_in_early_surrender(self) -> None:
        for message in messages(50, MessageShares(remakes=1)):
            assert message.kind is MessageKind.REMAKE
            assert all(p["gameEndedInEarlySurrender"] for p in info(message)["participants"])

    def test_message_key_is_the_match_id(self) -> None:
        for message in messages(200, MessageShares(duplicates=0.3, remakes=0.1)):
            assert message.value is not None
            assert message.key.decode() == orjson.loads(message.value)["metadata"]["matchId"]


class TestDuplicates:
    @pytest.mark.parametrize("share", [0.1, 0.9])
    def test_duplicates_have_the_same_bytes_and_a_match_is_sent_at_most_ten_times(self, share: float) -> None:
        first: dict[bytes, bytes | None] = {}
        times: Counter[bytes] = Counter()
        for message in messages(3000, MessageShares(duplicates=share)):
            times[message.key] += 1
            if message.kind is MessageKind.DUPLICATE:
                assert first[message.key] == message.value
            else:
                assert message.key not in first
                first[message.key] = message.value
        assert max(times.values()) <= 1 + MAX_DUPLICATES_OF_A_MATCH

    def test_duplicates_repeat_recent_matches_only(self) -> None:
        matches: list[bytes] = []
        for message in messages(3000, MessageShares(duplicates=0.1)):
            if message.kind is MessageKind.DUPLICATE:
                assert message.key in matches[-50:]
            else:
                matches.append(message.key)


class TestPoison:
    def test_poison_kinds_take_turns(self) -> None:
        kinds = [message.text for message in messages(2 * len(poison.POISON_KINDS), MessageShares(poison=1))]
        assert set(Counter(kinds).values()) == {2}
        assert set(kinds) == {f"poison ({name})" for name in poison.POISON_KINDS}

    def test_poison_messages_and_matches_share_no_key(self) -> None:
        generated = messages(400, MessageShares(poison=0.5))
        bad, good = ({m.key for m in generated if (m.kind is MessageKind.POISON) is side} for side in (True, False))
        assert bad.isdisjoint(good)
        assert len(bad) + len(good) == 400

    def test_empty_and_null_values(self) -> None:
        assert {message.value for message in poison_messages("empty value")} == {b""}
        assert {message.value for message in poison_messages("null value")} == {None}

    @pytest.mark.parametrize("kind", ["not JSON", "truncated JSON"])
    def test_invalid_json(self, kind: str) -> None:
        for message in poison_messages(kind, 300):
            assert message.value
            with pytest.raises(orjson.JSONDecodeError):
                orjson.loads(message.value)

    @pytest.mark.parametrize("kind", ["JSON array", "nested match"])
    def test_wrong_top_level_type(self, kind: str) -> None:
        for message in poison_messages(kind):
            assert message.value is not None
            data = orjson.loads(message.value)
            assert "info" not in data
            assert isinstance(data, list) is (kind == "JSON array")

    def test_invalid_and_missing_fields(self) -> None:
        assert all(info(message)["participants"] == [] for message in poison_messages("no participants"))
        for message in poison_messages("null kills"):
            assert [p["kills"] for p in info(message)["participants"]].count(None) == 1
        proper = info(messages(1, MessageShares())[0])["participants"][0]
        for message in poison_messages("wrong type", 300):
            wrong = [
                field
                for p in info(message)["participants"]
                for field, value in p.items()
                if type(value) is not type(proper[field])
            ]
            assert len(wrong) == 1

    @pytest.mark.parametrize(("kind", "year"), [("year 1970", 1970), ("year 2100", 2100)])
    def test_implausible_timestamps(self, kind: str, year: int) -> None:
        for message in poison_messages(kind):
            for field in ("gameCreation", "gameStartTimestamp", "gameEndTimestamp"):
                assert int(1970 + info(message)[field] / (365.2425 * 86_400_000)) == year

    def test_huge_messages_are_rare_and_only_with_full_size_matches(self) -> None:
        def huge(size: MatchSize) -> list[int]:
            generated = messages(80, MessageShares(poison=1), size=size)
            return [len(message.value or b"") for message in generated if message.text == "poison (huge)"]

        assert huge("compact") == []
        sizes = huge("full")
        assert len(sizes) == 2
        assert all(4_000_000 <= size < 10_485_760 for size in sizes)
