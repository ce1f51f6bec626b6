"""Cache of the pages' data from Elasticsearch, Prometheus and Kafka, shared by all viewers; the last data is kept while
a source does not answer.

Nothing is read without a viewer: only a page that is open in a browser calls these functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, lru_cache
from threading import Lock
from time import monotonic
from typing import Any, Generic, TypeVar

import requests
from elasticsearch import ApiError, ConnectionTimeout, Elasticsearch, NotFoundError, TransportError

from analytics.champion_details import read_champion_details
from analytics.match_statistics import read_filter_values, read_match_statistics
from analytics.pipeline_metrics import read_dead_letter_metrics, read_pipeline_figures, read_pipeline_metrics
from analytics.player import read_player
from analytics.search import search_nothing
from analytics.time_range import FutureTimeRangeError, TimeRange
from dashboard.settings import SettingsError, read_settings
from dashboard.view import View
from infra.clients.prometheus import PrometheusClient, PrometheusError
from infra.names import DEAD_LETTER_TOPIC, MATCHES_ALIAS, make_command
from job.errors import first_line
from tools.dlq.dead_letters import (
    HEADER_PREFIX,
    DeadLetterMessage,
    DlqError,
    MessagePosition,
    decode,
    read_dead_letters,
    read_offsets,
)

T = TypeVar("T")

ANY_VIEW = View()
"""The view of a source whose data is the same in each."""

REFRESH_SECONDS = 10
TTL_SECONDS = REFRESH_SECONDS - 0.5
"""How long shared data is cached (TTL): shorter than a viewer's interval, which varies a little, so that each refresh
has new data."""
TIMEOUT_SECONDS = 8
"""Timeout of a query. A longer one would hold up the next refresh."""
PROMETHEUS_TIMEOUT_SECONDS = 3
"""Timeout of a query of Prometheus; a page has several."""
SLOW_PAUSE_SECONDS = 60
"""How long a view is not read again whose query took longer than the timeout."""
MAX_LOAD = 0.25
"""Reading a view takes at most this share of the time."""
JUST_ENDED_SECONDS = 70
"""A time range that ended this long ago gets no more matches: it ended with a whole minute, and they are indexed."""
ENDED_LIFETIME_SECONDS = 300
FILTER_VALUES_TTL_SECONDS = 300
MAX_CACHED_VIEWS = 64
"""Maximum number of cached views of all sources together: those that were used last."""
MAX_SHOWN_DEAD_LETTERS = 50
SHOWN_BYTES = 20_000
"""Limit of the displayed part of a dead letter's value, and of all of its headers."""
CONSUMER_LIMITS = {"receive.message.max.bytes": 40_000_000, "queued.max.messages.kbytes": 4096}
"""The largest batch after decompression: the container has no memory for those that `make dlq` can read."""


@dataclass(frozen=True)
class Answer(Generic[T]):
    """The newest data that could be read for a view. With a problem, a later attempt to read it has failed."""

    data: T | None = None
    time_range: TimeRange | None = None
    read_at: datetime | None = None
    problem: str = ""


@dataclass
class _Entry(Generic[T]):
    """The newest answer for a view, when its source may be read again, and whether the last read was too slow."""

    answer: Answer[T] = field(default_factory=Answer)
    next_read: float = 0
    timed_out: bool = False
    lock: Lock = field(default_factory=Lock)


class Source(Generic[T]):
    """What all viewers of the same view see: read once in each interval, errors too. The first viewer's thread reads,
    and the others wait for it.

    `read`: gets the view's time range, the view, and what a viewer has entered. `slow_hint`: the end of the problem's
    text if a query of Elasticsearch takes longer than the timeout; for a source that reads more the more matches there
    are. `kept_for`: how many seconds this data is kept at least.
    """

    def __init__(
        self,
        read: Callable[[TimeRange, View, str], T],
        slow_hint: str = "",
        kept_for: Callable[[T], float] = lambda _: 0,
    ) -> None:
        self.read, self._slow_hint, self._kept_for = read, slow_hint, kept_for

    def __call__(self, view: View = ANY_VIEW, wanted: str = "") -> Answer[T]:
        called = monotonic()
        with _entries_lock:
            entry: _Entry[T] = entry_of(self, view, wanted)
        with entry.lock:
            if called >= entry.next_read:
                self._update(entry, view, wanted)
            return entry.answer

    def _update(self, entry: _Entry[T], view: View, wanted: str) -> None:
        begin, now = monotonic(), datetime.now(UTC)
        pause, problem = TTL_SECONDS, ""
        try:
            time_range = view.time_range(now)
            data = self.read(time_range, view, wanted)
            entry.answer = Answer(data, time_range, now)
            entry.timed_out = False
            pause = max(lifetime(time_range, now, monotonic() - begin), self._kept_for(data))
        except NotFoundError:
            status = make_command("status", stack_name())
            problem = f"No index of {MATCHES_ALIAS} is open: `{status}` names the closed ones."
        except (ApiError, TransportError) as error:
            failure = "returns an error" if isinstance(error, ApiError) else "does not answer"
            problem = f"Elasticsearch {failure}: {first_line(error)}"
            if isinstance(error, ConnectionTimeout) and self._slow_hint and _elasticsearch_answers():
                problem = f"Elasticsearch needs more than {TIMEOUT_SECONDS} s{self._slow_hint}"
                if entry.timed_out:  # once, it may have been a pause of Elasticsearch
                    pause = SLOW_PAUSE_SECONDS
                entry.timed_out = True
        except (PrometheusError, DlqError, SettingsError, FutureTimeRangeError) as error:
            problem = str(error)
        if problem:
            entry.answer = replace(entry.answer, problem=problem)
        # Not before now: a read can fail after more than its pause, and the viewers who wait for it share the error.
        entry.next_read = max(begin + pause, monotonic())


_entries_lock = Lock()
"""Without it, two threads could get an entry each for a new view."""


@lru_cache(maxsize=MAX_CACHED_VIEWS)
def entry_of(source: Source[Any], view: View, wanted: str) -> _Entry[Any]:
    """The entry of a source's view, which all viewers share."""
    return _Entry()


def lifetime(time_range: TimeRange, now: datetime, duration: float) -> float:
    """How many seconds after the begin of a read, which took `duration`, its data is read again at the earliest.

    What has ended changes only while messages are late.
    """
    found = [REFRESH_SECONDS, duration / MAX_LOAD]
    ended = (now - time_range.end).total_seconds()
    if not time_range.is_last and ended > JUST_ENDED_SECONDS:
        found.append(min(ended, ENDED_LIFETIME_SECONDS))
    return max(found) - (REFRESH_SECONDS - TTL_SECONDS)


def _elasticsearch_answers() -> bool:
    """Whether it answers a query without work: then it was the query that took too long."""
    try:
        search_nothing(_elasticsearch(), timeout_seconds=1)
    except (ApiError, TransportError):
        return False
    return True


@dataclass(frozen=True)
class DisplayedDeadLetter:
    """A dead letter for display: decoded, its value cut."""

    position: str
    arrived_at: datetime
    reason: str
    detail: str
    original_position: str
    size: int
    headers: tuple[tuple[str, str], ...]
    value: str
    obstacle: str
    """Why it cannot be replayed; empty if it can."""

    @classmethod
    def of(cls, found: DeadLetterMessage) -> DisplayedDeadLetter:
        value = found.value or b""
        return cls(
            position=str(found.position),
            arrived_at=found.arrived_at,
            reason=found.reason,
            detail=found.job_header("detail") or found.job_header("field"),
            original_position=str(found.original_position or ""),
            size=len(value),
            headers=tuple(_shown_headers(found)),
            value=decode(value[:SHOWN_BYTES]),
            obstacle=found.replay_obstacle or "",
        )


def _shown_headers(letter: DeadLetterMessage) -> Iterator[tuple[str, str]]:
    """The headers, as far as they fit into SHOWN_BYTES: those of the job, and as many of the producer's."""
    free = SHOWN_BYTES
    for name, content in sorted(letter.headers, key=lambda header: not header[0].startswith(HEADER_PREFIX)):
        value = decode(content and content[:free])
        free -= len(name) + len(value) + 1
        if free < 0:
            yield "…", "more headers"
            return
        yield name, value


def stack_name() -> str:
    """The stack's name, for commands in advice; a placeholder without settings: then each source has a problem."""
    try:
        return read_settings().stack
    except SettingsError:
        return "…"


@cache
def _elasticsearch() -> Elasticsearch:
    source = read_settings().elasticsearch
    login: dict[str, Any] = {"basic_auth": (source.username, source.password)} if source.username else {}
    if source.ca_certificates:
        login["ca_certs"] = source.ca_certificates
    return Elasticsearch(source.url, request_timeout=TIMEOUT_SECONDS, max_retries=0, **login)


@cache
def _prometheus() -> PrometheusClient:
    source = read_settings().prometheus
    session = requests.Session()
    if source.username:
        session.auth = (source.username, source.password)
    if source.ca_certificates:
        session.verify = source.ca_certificates
    return PrometheusClient(source.url.rstrip("/"), session, PROMETHEUS_TIMEOUT_SECONDS)


def _read_dead_letter(_: TimeRange, __: View, wanted: str) -> DisplayedDeadLetter | None:
    position = MessagePosition.parse(wanted)
    if position is None or position.topic != DEAD_LETTER_TOPIC:
        raise DlqError(f"{wanted} is not a position: write partition:offset, such as 0:17")
    return next((DisplayedDeadLetter.of(found) for found in _dead_letters(only=position)), None)


def _dead_letters(only: MessagePosition | None = None, newest: int | None = None) -> Iterator[DeadLetterMessage]:
    return read_dead_letters(_kafka(), only, newest)


def _kafka() -> dict[str, Any]:
    return CONSUMER_LIMITS | read_settings().kafka


@lru_cache(maxsize=1)
def _newest_letters(_offsets: frozenset[tuple[int, tuple[int, int]]]) -> list[DisplayedDeadLetter]:
    """Read again only if the offsets of the topic have changed: each letter can have a megabyte."""
    return [DisplayedDeadLetter.of(found) for found in _dead_letters(newest=MAX_SHOWN_DEAD_LETTERS)][::-1]


SHORTER = ": choose a shorter time range"

matches = Source(lambda time_range, view, _: read_match_statistics(_elasticsearch(), time_range, view.filter), SHORTER)
"""The statistics of the matches."""
champion = Source(
    lambda time_range, view, _: read_champion_details(
        _elasticsearch(), time_range, view.filter, read_settings().window_slide_seconds
    ),
    SHORTER,
)
"""The games of the view's champion."""
filter_values = Source(
    lambda time_range, *_: read_filter_values(_elasticsearch(), time_range),
    SHORTER,
    # Without values, Elasticsearch has no match of the time range yet: they are not kept longer than other data.
    kept_for=lambda values: FILTER_VALUES_TTL_SECONDS if values.queue_ids else 0,
)
"""The values that the filters can have in the view's time range."""
player = Source(lambda _, __, wanted: read_player(_elasticsearch(), wanted), " for this player")
"""The player with the wanted Riot ID or puuid. His matches are those of all time."""
pipeline = Source(lambda time_range, *_: read_pipeline_metrics(_prometheus(), time_range))
"""The pipeline's metrics over time."""
dead_letter_metrics = Source(lambda time_range, *_: read_dead_letter_metrics(_prometheus(), time_range))
"""The dead letters over time."""
pipeline_figures = Source(lambda time_range, *_: read_pipeline_figures(_prometheus(), time_range))
"""The pipeline's figures of now."""
alerts = Source(lambda *_: _prometheus().alerts())
"""The active alerts."""
newest_dead_letters = Source(lambda *_: _newest_letters(frozenset(read_offsets(_kafka()).items())))
"""The newest dead letters, newest first, with the beginning of their values."""
dead_letter = Source(_read_dead_letter)
"""The dead letter at the wanted partition:offset."""
