"""The endless run of messages: matches and remakes, some of them sent again, poison in between."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from generator import poison
from generator.match import MatchFactory

# A match reaches a collector once for each of its ten players at most.
MOST_REPEATS = 9
# A repeat is of one of this many latest matches.
_WINDOW = 50
# One poison message in so many is a huge one.
_HUGE_EVERY = 40


class Kind(StrEnum):
    """What a message is. A remake that is sent again is a duplicate."""

    MATCH = "match"
    DUPLICATE = "duplicate"
    REMAKE = "remake"
    POISON = "poison"


class Message(NamedTuple):
    """One Kafka message; `text` is what the log says of it."""

    key: bytes
    value: bytes | None
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of all messages, each 0 to 1, together at most 1; the rest are first sendings of ordinary matches."""

    duplicates: float = 0.0
    remakes: float = 0.0
    poison: float = 0.0


@dataclass(slots=True)
class _Repeatable:
    message: Message
    left: int = MOST_REPEATS


def stream(factory: MatchFactory, mix: Mix, seed: int, *, huge: bool = False) -> Iterator[Message]:
    """Messages without end, the same for the same seed and factory.

    `huge` lets a few poison messages be of several MB. Where there is nothing to repeat (at the start, or since all
    was sent ten times) a new match comes instead of a duplicate.
    """
    rng = random.Random(f"stream {seed}")
    spoilt = _spoilt(factory, rng, huge)
    latest: list[_Repeatable] = []
    while True:
        lot = rng.random()
        if lot < mix.poison:
            yield next(spoilt)
            continue
        lot -= mix.poison
        if lot < mix.duplicates and latest:
            yield _repeat(latest, rng)
            continue
        lot -= mix.duplicates
        match = factory.next(remake=0 <= lot < mix.remakes)
        kind = Kind.REMAKE if match.remake else Kind.MATCH
        message = Message(match.id.encode(), match.encode(), kind, str(match))
        if mix.duplicates:
            latest.append(_Repeatable(message._replace(kind=Kind.DUPLICATE)))
            del latest[:-_WINDOW]
        yield message


def _repeat(latest: list[_Repeatable], rng: random.Random) -> Message:
    at = int(rng.random() * len(latest))
    repeatable = latest[at]
    repeatable.left -= 1
    if not repeatable.left:
        del latest[at]
    return repeatable.message


def _spoilt(factory: MatchFactory, rng: random.Random, huge: bool) -> Iterator[Message]:
    """Poison of every kind in turn, under the key that the spoilt match would have had."""
    kinds = list(poison.KINDS.items())
    huge_kinds = list(poison.HUGE_KINDS.items()) if huge else []
    number = 0
    while True:
        number += 1
        turn = huge_kinds if huge_kinds and number % _HUGE_EVERY == 0 else kinds
        name, spoil = turn[number % len(turn)]
        match = factory.next()
        yield Message(match.id.encode(), spoil(rng, match), Kind.POISON, f"poison ({name})")
