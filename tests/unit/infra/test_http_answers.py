"""Answers of a compromised service, or of another program on its port: limited in size and time, and errors."""

from __future__ import annotations

import gzip
import itertools
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from werkzeug import Response

from infra.clients.kibana import SavedObjectClient, SavedObjectError
from infra.clients.prometheus import PrometheusClient, PrometheusError
from tests.support.http_server import HTTPServer

NOW = datetime(2026, 2, 2, tzinfo=UTC)
NO_OBJECTS = ["[]", "null", "1", '"text"', "{", "[" * 100_000]
RESULTS: list[Any] = [
    *(1, [1], [{}], [{"metric": 1, "value": 1, "values": 1}]),
    [{"metric": {"job": "x"}, "value": ["a", "b"], "values": [["a", "b"]]}],
    [{"metric": {"job": "x"}, "value": [1e300, "x"], "values": [[1e300, "1"]]}],
]


@contextmanager
def answering(content: bytes | Iterator[bytes], **headers: str) -> Iterator[str]:
    """The URL of a server that answers everything with this."""
    with HTTPServer() as server:
        server.expect_request(re.compile("")).respond_with_handler(lambda _: Response(content, headers=headers))
        yield server.url_for("").rstrip("/")


def ask_prometheus(url: str) -> object:
    return PrometheusClient(url).values("up", "job")


def ask_prometheus_shortly(url: str) -> object:
    return PrometheusClient(url, timeout_seconds=0.3).values("up", "job")


def ask_kibana(url: str) -> object:
    return SavedObjectClient(url).read("dashboard", "a")


CLIENTS = [(ask_prometheus, PrometheusError), (ask_kibana, SavedObjectError)]


@pytest.mark.parametrize(("ask", "error"), CLIENTS)
def test_large_answer_is_an_error(ask: Callable[[str], object], error: type[Exception]) -> None:
    """Also one that becomes large by decompression."""
    content = gzip.compress(b" " * (17 * 2**20) + b'{"status": "success", "data": {"result": []}}')
    with (
        answering(content, **{"Content-Encoding": "gzip"}) as url,
        pytest.raises(error, match="more than 16 MiB"),
    ):
        ask(url)


@pytest.mark.parametrize(("ask", "error"), [(ask_prometheus_shortly, PrometheusError), (ask_kibana, SavedObjectError)])
def test_answer_without_end_is_an_error(
    ask: Callable[[str], object], error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although no single read takes long."""
    monkeypatch.setattr("infra.clients.kibana.TIMEOUT_SECONDS", 0.3)
    deadline = time.monotonic() + 5
    content = itertools.takewhile(lambda _: time.monotonic() < deadline, itertools.repeat(b" "))
    with answering(content) as url, pytest.raises(error, match=r"not complete after 0\.3 s"):
        ask(url)
    assert time.monotonic() < deadline


@pytest.mark.parametrize(("ask", "error"), CLIENTS)
@pytest.mark.parametrize("content", NO_OBJECTS)
def test_answer_that_is_no_json_object_is_an_error(
    ask: Callable[[str], object], error: type[Exception], content: str
) -> None:
    with answering(content.encode()) as url, pytest.raises(error, match="unreadable answer"):
        ask(url)


@pytest.mark.parametrize("result", RESULTS)
def test_result_of_another_form_is_an_error(result: Any) -> None:
    answer = json.dumps({"status": "success", "data": {"result": result, "alerts": result}})
    with answering(answer.encode()) as url:
        client = PrometheusClient(url)
        for ask in (
            lambda: client.value("up"),
            lambda: client.values("up", "job"),
            lambda: client.range("up", NOW - timedelta(hours=1), NOW, 60),
            client.alerts,
        ):
            with pytest.raises(PrometheusError, match="unreadable answer"):
                ask()


@pytest.mark.parametrize("content", [*NO_OBJECTS, ""])
def test_answer_of_kibana_to_an_import_that_is_no_json_object_is_an_error(content: str) -> None:
    with answering(content.encode()) as url, pytest.raises(SavedObjectError, match="unreadable answer"):
        SavedObjectClient(url).put({"type": "dashboard", "id": "a", "references": [], "attributes": {}})
