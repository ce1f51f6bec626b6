"""Matches from a seed: the same seed, start and clock give the same matches, byte for byte. Needs no Kafka."""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from generator import compact, full, game

Size = Literal["compact", "full"]

# Sixteen digits, exact even where a reader takes numbers for doubles. So wide that the numbers of two runs,
# which begin at a hash of seed and start, do not meet.
_FIRST_GAME_ID, _GAME_IDS = 10**15, 8 * 10**15
_TEAMS = (
    "ANC", "AMS", "BER", "BKK", "BOG", "BRN", "CAI", "CPH", "DUB", "GDN", "HEL", "IST", "JKT", "KYV", "LIM", "LIS",
    "MAD", "MNL", "NYC", "OSL", "PHX", "POR", "PRG", "RIO", "SEA", "SEL", "SYD", "TLN", "TPE", "VIE", "YUL", "ZRH",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Match:
    """A match: `data` is the JSON object, the rest what a log line says of it. `duration` in seconds."""

    id: str
    data: dict[str, Any]
    winner: str
    loser: str
    duration: int
    remake: bool

    def __str__(self) -> str:
        return f"{self.winner}_win vs. {self.loser}_lose | Duration: {self.duration}s"

    def encode(self) -> bytes:
        """The match as UTF-8 JSON, as it goes to Kafka."""
        return orjson.dumps(self.data)


class MatchFactory:
    """Makes matches one after another.

    `start_ms` (since 1970) and `seed` choose the run's match ids; `now` gives the time just after which each match
    ended, in ms. `empty_positions` is the share of ordinary matches, 0 to 1, in which positions are empty.
    """

    def __init__(
        self,
        *,
        seed: int,
        size: Size,
        start_ms: int,
        now: Callable[[], int],
        empty_positions: float = 0.0,
    ) -> None:
        self._random = random.Random(seed)
        self._full = size == "full"
        self._now = now
        self._empty_positions = empty_positions
        digest = hashlib.blake2b(f"{seed}/{start_ms}".encode(), digest_size=8).digest()
        self._next_id = _FIRST_GAME_ID + int.from_bytes(digest) % _GAME_IDS

    def next(self, *, remake: bool = False) -> Match:
        """The next match; a remake when asked."""
        rng = self._random
        empty = not remake and rng.random() < self._empty_positions
        played = game.play(rng, self._next_id, self._now(), remake=remake, empty_positions=empty)
        self._next_id += 1
        first = int(rng.random() * len(_TEAMS))
        second = (first + 1 + int(rng.random() * (len(_TEAMS) - 1))) % len(_TEAMS)
        return Match(
            id=played.match_id,
            data=full.render(rng, played) if self._full else compact.render(played),
            winner=_TEAMS[first],
            loser=_TEAMS[second],
            duration=played.duration,
            remake=remake,
        )
