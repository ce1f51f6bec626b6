"""Match factory: deterministic matches from a seed. The same seed, start and clock give the same bytes.

Needs no Kafka.
"""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from generator import compact_match, full_match
from generator.game import simulate_game
from generator.modes import RIFT_5V5, ModeMix, ModeWeights

MatchSize = Literal["compact", "full"]

# Sixteen digits, so that a reader which parses numbers as doubles keeps them exact. The range is so wide that the ids
# of two runs, each starting at a hash of seed and start, do not collide.
_FIRST_GAME_ID, _GAME_IDS = 10**15, 8 * 10**15
_TEAMS = (
    "ANC", "AMS", "BER", "BKK", "BOG", "BRN", "CAI", "CPH", "DUB", "GDN", "HEL", "IST", "JKT", "KYV", "LIM", "LIS",
    "MAD", "MNL", "NYC", "OSL", "PHX", "POR", "PRG", "RIO", "SEA", "SEL", "SYD", "TLN", "TPE", "VIE", "YUL", "ZRH",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class GeneratedMatch:
    """A generated match: `data` is the Match-V5 JSON object, the rest is for the log. `duration` in seconds."""

    id: str
    data: dict[str, Any]
    winner: str
    loser: str
    duration: int
    remake: bool

    def __str__(self) -> str:
        return f"{self.winner}_win vs. {self.loser}_lose | Duration: {self.duration}s"

    def encode(self) -> bytes:
        """The match serialized as UTF-8 JSON: the value of its Kafka message."""
        return orjson.dumps(self.data)


class MatchFactory:
    """Generates matches one after another.

    `start_ms` (since 1970) and `seed` determine the match ids of the run. Each match ended just before `now()`, which
    returns ms since 1970. `modes` are the modes of the matches with their weights: by default each match has ten
    participants in two teams. `empty_positions` is the share of ordinary matches, 0 to 1, in which one player has no
    position, where the mode has positions.
    """

    def __init__(
        self,
        *,
        seed: int,
        size: MatchSize,
        start_ms: int,
        now: Callable[[], int],
        modes: ModeWeights = RIFT_5V5,
        empty_positions: float = 0.0,
    ) -> None:
        self._modes = ModeMix(modes, seed)
        self._random = random.Random(seed)
        self._full = size == "full"
        self._now = now
        self._empty_positions = empty_positions
        digest = hashlib.blake2b(f"{seed}/{start_ms}".encode(), digest_size=8).digest()
        self._next_id = _FIRST_GAME_ID + int.from_bytes(digest) % _GAME_IDS

    def next(self, *, remake: bool = False) -> GeneratedMatch:
        """Generates the next match. Raises ValueError for a remake if none of the modes has any."""
        rng = self._random
        empty = not remake and rng.random() < self._empty_positions
        choice = self._modes.draw(remake=remake)
        played = simulate_game(rng, self._next_id, self._now(), choice, remake=remake, empty_position=empty)
        self._next_id += 1
        winner = int(rng.random() * len(_TEAMS))
        loser = (winner + 1 + int(rng.random() * (len(_TEAMS) - 1))) % len(_TEAMS)
        return GeneratedMatch(
            id=played.match_id,
            data=full_match.render(rng, played) if self._full else compact_match.render(played),
            winner=_TEAMS[winner],
            loser=_TEAMS[loser],
            duration=played.duration,
            remake=remake,
        )
