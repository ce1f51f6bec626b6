"""Cache of the pages' data from Elasticsearch, Prometheus and Kafka, shared by all viewers; the last data is kept while
a source does not answer.

Nothing is read without a viewer: only a page that is open in a browser calls these functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Generic, TypeVar, cast

import requests
import streamlit as st
from elasticsearch import ApiError, ConnectionTimeout, Elasticsearch, NotFoundError, TransportError

from analytics.champion_details import ChampionDetails, read_champion_details
from analytics.match_statistics import FilterValues, MatchStatistics, read_filter_values, read_match_statistics
from analytics.pipeline_metrics import (
    DeadLetterMetrics,
    PipelineFigures,
    PipelineMetrics,
    read_dead_letter_metrics,
    read_pipeline_figures,
    read_pipeline_metrics,
)
from analytics.player import Player, read_player
from analytics.search import search_nothing
from analytics.time_range import FutureTimeRangeError, TimeRange
from dashboard.settings import Settings, SettingsError, load
from dashboard.view import View
from infra.clients.prometheus import Alert, PrometheusClient, PrometheusError
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
"""Maximum number of cached views."""
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


def matches(view: View) -> Answer[MatchStatistics]:
    """The statistics of the matches."""
    return cast(Answer[MatchStatistics], shared("matches", view))


def pipeline(view: View) -> Answer[PipelineMetrics]:
    """The pipeline's metrics over time."""
    return cast(Answer[PipelineMetrics], shared("pipeline", view))


def dead_letter_metrics(view: View) -> Answer[DeadLetterMetrics]:
    """The dead letters over time."""
    return cast(Answer[DeadLetterMetrics], shared("dead letter metrics", view))


def pipeline_figures(view: View) -> Answer[PipelineFigures]:
    """The pipeline's figures of now."""
    return cast(Answer[PipelineFigures], shared("pipeline figures", view))


def champion(view: View) -> Answer[ChampionDetails]:
    """The games of the view's champion."""
    return cast(Answer[ChampionDetails], shared("champion", view))


def filter_values(view: View) -> Answer[FilterValues]:
    """The values that the filters can have in the view's time range."""
    return cast(Answer[FilterValues], shared("filter values", view))


def player(wanted: str) -> Answer[Player | None]:
    """The player with this Riot ID or puuid."""
    return cast("Answer[Player | None]", shared("player", View(), wanted))


def alerts() -> Answer[list[Alert]]:
    """The active alerts."""
    return cast(Answer[list[Alert]], shared("alerts", View()))


def newest_dead_letters() -> Answer[list[DisplayedDeadLetter]]:
    """The newest dead letters, newest first, with the beginning of their values."""
    return cast(Answer[list[DisplayedDeadLetter]], shared("dead letters", View()))


def dead_letter(position: str) -> Answer[DisplayedDeadLetter | None]:
    """The dead letter at this partition:offset."""
    return cast("Answer[DisplayedDeadLetter | None]", shared("dead letter", View(), position))


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


@st.cache_resource(show_spinner=False)
def read_settings() -> Settings:
    """The settings, read once. Raises SettingsError."""
    return load()


def stack_name() -> str:
    """The stack's name, for commands in advice; a placeholder without settings: then each source has a problem."""
    try:
        return read_settings().stack
    except SettingsError:
        return "…"


@st.cache_resource(show_spinner=False)
def _elasticsearch() -> Elasticsearch:
    source = read_settings().elasticsearch
    login: dict[str, Any] = {"basic_auth": (source.username, source.password)} if source.username else {}
    if source.ca_certificates:
        login["ca_certs"] = source.ca_certificates
    return Elasticsearch(source.url, request_timeout=TIMEOUT_SECONDS, max_retries=0, **login)


@st.cache_resource(show_spinner=False)
def _prometheus() -> PrometheusClient:
    source = read_settings().prometheus
    session = requests.Session()
    if source.username:
        session.auth = (source.username, source.password)
    if source.ca_certificates:
        session.verify = source.ca_certificates
    return PrometheusClient(source.url.rstrip("/"), session, PROMETHEUS_TIMEOUT_SECONDS)


def _has_values(values: FilterValues) -> bool:
    return bool(values.queue_ids)


# Without values, Elasticsearch has no match of the time range yet: they are not kept longer than other data.
@st.cache_resource(
    ttl=FILTER_VALUES_TTL_SECONDS, max_entries=MAX_CACHED_VIEWS, show_spinner=False, validate=_has_values
)
def _filter_values(view: View) -> FilterValues:
    return read_filter_values(_elasticsearch(), view.time_range(datetime.now(UTC)))


def _read_dead_letter(_: TimeRange, __: View, wanted: str) -> DisplayedDeadLetter | None:
    position = MessagePosition.parse(wanted)
    if position is None or position.topic != DEAD_LETTER_TOPIC:
        raise DlqError(f"{wanted} is not a position: write partition:offset, such as 0:17")
    return next((DisplayedDeadLetter.of(found) for found in _dead_letters(only=position)), None)


def _dead_letters(only: MessagePosition | None = None, newest: int | None = None) -> Iterator[DeadLetterMessage]:
    return read_dead_letters(_kafka(), only, newest)


def _kafka() -> dict[str, Any]:
    kafka = read_settings().kafka
    return CONSUMER_LIMITS | kafka.client | {"bootstrap.servers": kafka.bootstrap_servers}


@dataclass
class _NewestLetters:
    """The newest dead letters, and the offsets that the topic's partitions had when they were read."""

    offsets: dict[int, tuple[int, int]] | None = None
    letters: list[DisplayedDeadLetter] = field(default_factory=list)


@st.cache_resource(show_spinner=False)
def _newest_letters() -> _NewestLetters:
    return _NewestLetters()


def _read_newest_dead_letters() -> list[DisplayedDeadLetter]:
    """Reads the letters only if the topic has changed: each can have a megabyte."""
    kept, offsets = _newest_letters(), read_offsets(_kafka())
    if offsets != kept.offsets:
        kept.letters = [DisplayedDeadLetter.of(found) for found in _dead_letters(newest=MAX_SHOWN_DEAD_LETTERS)][::-1]
        kept.offsets = offsets
    return kept.letters


READERS: dict[str, Callable[[TimeRange, View, str], Any]] = {
    "matches": lambda time_range, view, _: read_match_statistics(_elasticsearch(), time_range, view.filter),
    "champion": lambda time_range, view, _: read_champion_details(
        _elasticsearch(), time_range, view.filter, read_settings().window_slide_seconds
    ),
    "filter values": lambda _, view, __: _filter_values(view),
    "player": lambda _, __, wanted: read_player(_elasticsearch(), wanted),
    "pipeline": lambda time_range, _, __: read_pipeline_metrics(_prometheus(), time_range),
    "dead letter metrics": lambda time_range, _, __: read_dead_letter_metrics(_prometheus(), time_range),
    "pipeline figures": lambda time_range, _, __: read_pipeline_figures(_prometheus(), time_range),
    "alerts": lambda *_: _prometheus().alerts(),
    "dead letters": lambda *_: _read_newest_dead_letters(),
    "dead letter": _read_dead_letter,
}

SHORTER = ": choose a shorter time range"
SLOW_HINTS = {"matches": SHORTER, "champion": SHORTER, "filter values": SHORTER, "player": " for this player"}
"""The sources whose query of Elasticsearch reads more the more matches there are: the end of the problem's text if it
takes longer than the timeout. A player's matches are those of all time."""


# Streamlit lets one thread compute an entry, and the others wait for it. It counts the TTL from the end of a read, and
# the interval of a viewer's refreshes begins before it: so the entry ends at once, and `_Kept.next_read` decides.
@st.cache_resource(ttl=1, max_entries=MAX_CACHED_VIEWS, show_spinner=False)
def shared(source: str, view: View, argument: str = "") -> Answer[Any]:
    """What all viewers of the same view see: read once in each interval, errors too."""
    return _read(source, view, argument)


def _read(source: str, view: View, argument: str) -> Answer[Any]:
    kept = _kept(source, view, argument)
    begin, now = monotonic(), datetime.now(UTC)
    if begin < kept.next_read:
        return kept.answer
    pause, problem = TTL_SECONDS, ""
    try:
        time_range = view.time_range(now)
        kept.answer = Answer(READERS[source](time_range, view, argument), time_range, now)
        kept.timed_out = False
        pause = lifetime(time_range, now, monotonic() - begin)
    except NotFoundError:
        status = make_command("status", stack_name())
        problem = f"No index of {MATCHES_ALIAS} is open: `{status}` names the closed ones."
    except (ApiError, TransportError) as error:
        failure = "returns an error" if isinstance(error, ApiError) else "does not answer"
        problem = f"Elasticsearch {failure}: {first_line(error)}"
        if isinstance(error, ConnectionTimeout) and source in SLOW_HINTS and _elasticsearch_answers():
            problem = f"Elasticsearch needs more than {TIMEOUT_SECONDS} s{SLOW_HINTS[source]}"
            if kept.timed_out:  # once, it may have been a pause of Elasticsearch
                pause = SLOW_PAUSE_SECONDS
            kept.timed_out = True
    except (PrometheusError, DlqError, SettingsError, FutureTimeRangeError) as error:
        problem = str(error)
    if problem:
        kept.answer = replace(kept.answer, problem=problem)
    kept.next_read = begin + pause
    return kept.answer


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


@dataclass
class _Kept:
    """The newest answer for a view, when its source may be read again, and whether the last read was too slow."""

    answer: Answer[Any] = field(default_factory=Answer)
    next_read: float = 0
    timed_out: bool = False


@st.cache_resource(max_entries=MAX_CACHED_VIEWS, show_spinner=False)
def _kept(source: str, view: View, argument: str) -> _Kept:
    """Outlives the shared answer."""
    return _Kept()
