"""Generated Kafka messages: an endless sequence of matches, remakes, duplicates and poison messages."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from generator import poison
from generator.match_factory import MatchFactory

# A collector receives a match at most once for each of its ten players.
MAX_DUPLICATES_OF_A_MATCH = 9
# A duplicate repeats one of this many latest matches.
_DUPLICATE_WINDOW = 50
# One poison message in this many is a huge one.
_HUGE_POISON_EVERY = 40


class MessageKind(StrEnum):
    """The kind of a generated message. A remake that is sent again is a duplicate."""

    MATCH = "match"
    DUPLICATE = "duplicate"
    REMAKE = "remake"
    POISON = "poison"


class GeneratedMessage(NamedTuple):
    """One Kafka message to send; `text` describes it in the log."""

    key: bytes
    """The match id: Kafka's partition key."""
    value: bytes | None
    kind: MessageKind
    text: str


@dataclass(frozen=True, slots=True)
class MessageShares:
    """Share of each kind in all messages: each 0 to 1, together at most 1. The rest are new ordinary matches."""

    duplicates: float = 0.0
    remakes: float = 0.0
    poison: float = 0.0


@dataclass(slots=True)
class _DuplicateSource:
    """A message that can be sent again `left` times."""

    message: GeneratedMessage
    left: int = MAX_DUPLICATES_OF_A_MATCH


def generate_messages(
    factory: MatchFactory, shares: MessageShares, seed: int, *, huge: bool = False
) -> Iterator[GeneratedMessage]:
    """Endless, deterministic sequence of messages: the same for the same seed and factory.

    `huge` allows a few poison messages of several MB. If no match is left to duplicate (at the start, or because all
    were sent ten times), a new match is generated instead of a duplicate.
    """
    rng = random.Random(f"stream {seed}")
    poison_messages = _generate_poison(factory, rng, huge)
    latest: list[_DuplicateSource] = []
    while True:
        lot = rng.random()
        if lot < shares.poison:
            yield next(poison_messages)
            continue
        lot -= shares.poison
        if lot < shares.duplicates and latest:
            yield _duplicate(latest, rng)
            continue
        lot -= shares.duplicates
        match = factory.next(remake=0 <= lot < shares.remakes)
        kind = MessageKind.REMAKE if match.remake else MessageKind.MATCH
        message = GeneratedMessage(match.id.encode(), match.encode(), kind, str(match))
        if shares.duplicates:
            latest.append(_DuplicateSource(message._replace(kind=MessageKind.DUPLICATE)))
            del latest[:-_DUPLICATE_WINDOW]
        yield message


def _duplicate(latest: list[_DuplicateSource], rng: random.Random) -> GeneratedMessage:
    index = int(rng.random() * len(latest))
    source = latest[index]
    source.left -= 1
    if not source.left:
        del latest[index]
    return source.message


def _generate_poison(factory: MatchFactory, rng: random.Random, huge: bool) -> Iterator[GeneratedMessage]:
    """Poison messages of each kind in turn, keyed by the id of the match that was corrupted."""
    kinds = list(poison.POISON_KINDS.items())
    huge_kinds = list(poison.HUGE_POISON_KINDS.items()) if huge else []
    number = 0
    while True:
        number += 1
        candidates = huge_kinds if huge_kinds and number % _HUGE_POISON_EVERY == 0 else kinds
        name, corrupt = candidates[number % len(candidates)]
        match = factory.next()
        yield GeneratedMessage(match.id.encode(), corrupt(rng, match), MessageKind.POISON, f"poison ({name})")
