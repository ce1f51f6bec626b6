"""What the pages show, read from Elasticsearch and Prometheus: shared by all viewers, and kept while a source is away.

Nothing is read without a viewer: only a page that is open in a browser calls these functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, cast

import requests
import streamlit as st
from elasticsearch import ApiError, Elasticsearch, NotFoundError, TransportError

from analytics.match_statistics import MatchStatistics, read_match_statistics
from analytics.pipeline_metrics import PipelineMetrics, read_pipeline_metrics
from analytics.time_range import TimeRange
from dashboard.settings import Settings, load
from dashboard.view import View
from infra.clients.prometheus import PrometheusClient, PrometheusError
from infra.names import MATCHES_ALIAS

T = TypeVar("T")

REFRESH_SECONDS = 10
TTL_SECONDS = REFRESH_SECONDS - 0.5
"""Of what is shared: shorter than a viewer's interval, which varies a little, so that each refresh has new data."""
TIMEOUT_SECONDS = 8
"""Of a query. A longer one would hold up the next refresh."""
KEPT_VIEWS = 64


@dataclass(frozen=True)
class Answer(Generic[T]):
    """The newest data that could be read for a view. With a problem, a later attempt to read it has failed."""

    data: T | None = None
    time_range: TimeRange | None = None
    read_at: datetime | None = None
    problem: str = ""


def matches(view: View) -> Answer[MatchStatistics]:
    """The statistics of the matches."""
    return cast(Answer[MatchStatistics], _shared("matches", view))


def pipeline(view: View) -> Answer[PipelineMetrics]:
    """The pipeline's metrics."""
    return cast(Answer[PipelineMetrics], _shared("pipeline", view))


def _read_matches(time_range: TimeRange, view: View) -> MatchStatistics:
    return read_match_statistics(_elasticsearch(), time_range, view.filter)


def _read_pipeline(time_range: TimeRange, view: View) -> PipelineMetrics:
    return read_pipeline_metrics(_prometheus(), time_range)


_READERS: dict[str, Callable[[TimeRange, View], Any]] = {"matches": _read_matches, "pipeline": _read_pipeline}


# Streamlit lets one thread compute an entry, and the others wait for it.
@st.cache_resource(ttl=TTL_SECONDS, max_entries=KEPT_VIEWS, show_spinner=False)
def _shared(source: str, view: View) -> Answer[Any]:
    """What all viewers of the same view see: read once in each interval, errors too."""
    last = _last(source, view)
    now = datetime.now(UTC)
    time_range = view.time_range(now)
    try:
        last[0] = Answer(_READERS[source](time_range, view), time_range, now)
    except NotFoundError:
        last[0] = replace(last[0], problem=f"No index of {MATCHES_ALIAS} is open: `make status` names the closed ones.")
    except (ApiError, TransportError) as error:
        failure = "returns an error" if isinstance(error, ApiError) else "does not answer"
        last[0] = replace(last[0], problem=f"Elasticsearch {failure}: {str(error).splitlines()[0][:200]}")
    except PrometheusError as error:
        last[0] = replace(last[0], problem=str(error))
    return last[0]


@st.cache_resource(max_entries=KEPT_VIEWS, show_spinner=False)
def _last(source: str, view: View) -> list[Answer[Any]]:
    """The newest answer, as the only element: it outlives the shared one."""
    return [Answer()]


@st.cache_resource(show_spinner=False)
def _settings() -> Settings:
    return load()


@st.cache_resource(show_spinner=False)
def _elasticsearch() -> Elasticsearch:
    source = _settings().elasticsearch
    login: dict[str, Any] = {"basic_auth": (source.username, source.password)} if source.username else {}
    if source.ca_certificates:
        login["ca_certs"] = source.ca_certificates
    return Elasticsearch(source.url, request_timeout=TIMEOUT_SECONDS, max_retries=0, **login)


@st.cache_resource(show_spinner=False)
def _prometheus() -> PrometheusClient:
    source = _settings().prometheus
    session = requests.Session()
    if source.username:
        session.auth = (source.username, source.password)
    if source.ca_certificates:
        session.verify = source.ca_certificates
    return PrometheusClient(source.url.rstrip("/"), session)
