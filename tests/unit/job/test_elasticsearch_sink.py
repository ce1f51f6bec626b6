"""The Elasticsearch sink retries transient errors, returns rejections, and splits requests. A fake server answers."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from elasticsearch import Elasticsearch

from job.documents import Action, action
from job.errors import JobError
from job.sinks import elasticsearch
from job.sinks.elasticsearch import BulkSink
from tests.support.job_fakes import Answer, FakeElasticsearch, Lines, fake_elasticsearch

INDEX = "n-2026.02"


@pytest.fixture
def server() -> Iterator[FakeElasticsearch]:
    with fake_elasticsearch() as fake:
        yield fake


@pytest.fixture
def waits() -> list[tuple[str, str]]:
    """Service and reason of each backoff."""
    return []


@pytest.fixture
def sink(server: FakeElasticsearch, waits: list[tuple[str, str]]) -> Iterator[BulkSink]:
    client = Elasticsearch([server.url], max_retries=0, request_timeout=2)
    yield BulkSink(
        client, lambda service, reason, _seconds, _attempt: waits.append((service, reason)), max_backoff=0.01
    )
    client.close()


def some_actions(count: int) -> list[Action]:
    return [action(INDEX, f"id{n}", {"n": n}, source_index=n) for n in range(count)]


def ids(server: FakeElasticsearch) -> set[str]:
    return {document_id for _, document_id in server.documents}


def test_documents_are_indexed_in_one_bulk_request(server: FakeElasticsearch, sink: BulkSink) -> None:
    assert sink.index(some_actions(3)) == []
    assert server.documents == {(INDEX, f"id{n}"): {"n": n} for n in range(3)}
    assert server.requests == [3]


def test_no_documents_make_no_request(server: FakeElasticsearch, sink: BulkSink) -> None:
    assert sink.index([]) == []
    assert server.requests == []


def test_indexing_is_idempotent(server: FakeElasticsearch, sink: BulkSink) -> None:
    sink.index(some_actions(3))
    before = dict(server.documents)
    sink.index(some_actions(3))
    assert server.documents == before


def test_version_conflict_counts_as_done(server: FakeElasticsearch, sink: BulkSink) -> None:
    server.answers = [lambda lines: server.store(lines, {"id1": 409})]
    assert sink.index(some_actions(3)) == []
    assert server.requests == [3]


@pytest.mark.parametrize("status", [408, 429, 500, 503, 401, 403])
def test_only_items_with_a_transient_error_are_retried(
    server: FakeElasticsearch, sink: BulkSink, waits: list[tuple[str, str]], status: int
) -> None:
    server.answers = [lambda lines: server.store(lines, {"id1": status})] * 2
    assert sink.index(some_actions(3)) == []
    assert ids(server) == {"id0", "id1", "id2"}
    assert server.requests == [3, 1, 1]
    assert waits == [("Elasticsearch", f"it answers {status} for an item (fault_{status}_exception)")] * 2


@pytest.mark.parametrize("status", [400, 404, 413])
def test_rejected_items_are_not_retried(server: FakeElasticsearch, sink: BulkSink, status: int) -> None:
    server.answers = [lambda lines: server.store(lines, {"id1": status, "id2": 429})]
    (rejection,) = sink.index(some_actions(4))
    assert (rejection.action.source_index, rejection.status) == (1, status)
    assert (rejection.error_class, rejection.reason) == (f"fault_{status}_exception", "as the test")
    assert ids(server) == {"id0", "id2", "id3"}
    assert server.requests == [4, 1]


def test_rejections_of_an_earlier_attempt_are_kept(server: FakeElasticsearch, sink: BulkSink) -> None:
    server.answers = [
        lambda lines: server.store(lines, {"id1": 400, "id2": 429, "id3": 429}),
        lambda lines: server.store(lines, {"id2": 400, "id3": 429}),
    ]
    assert [rejection.action.document_id for rejection in sink.index(some_actions(4))] == ["id1", "id2"]
    assert ids(server) == {"id0", "id3"}


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 401, 403])
def test_whole_request_with_a_transient_error_is_retried(
    server: FakeElasticsearch, sink: BulkSink, waits: list[tuple[str, str]], status: int
) -> None:
    server.answers = [lambda _: (status, {"error": {"type": "circuit_breaking_exception"}, "status": status})] * 3
    assert sink.index(some_actions(2)) == []
    assert server.requests == [2, 2, 2, 2]
    assert waits == [("Elasticsearch", f"it answers {status} (circuit_breaking_exception)")] * 3


def test_retries_after_a_broken_connection(
    server: FakeElasticsearch, sink: BulkSink, waits: list[tuple[str, str]]
) -> None:
    def store_without_an_answer(lines: Lines) -> None:
        server.store(lines)

    server.answers = [store_without_an_answer, lambda _: None]
    assert sink.index(some_actions(2)) == []
    assert ids(server) == {"id0", "id1"}
    assert len(waits) == 2


def test_retries_until_elasticsearch_answers(waits: list[tuple[str, str]]) -> None:
    with fake_elasticsearch() as closed:
        port = closed.port
    started: list[FakeElasticsearch] = []
    with ExitStack() as stack, Elasticsearch([f"http://127.0.0.1:{port}"], max_retries=0) as client:

        def start_server(service: str, reason: str, _seconds: float, attempt: int) -> None:
            waits.append((service, reason))
            if attempt == 3:
                started.append(stack.enter_context(fake_elasticsearch(port=port)))

        assert BulkSink(client, start_server, max_backoff=0.01).index(some_actions(2)) == []
    assert [ids(server) for server in started] == [{"id0", "id1"}]
    assert len(waits) == 3
    assert all("cannot be reached" in reason for _, reason in waits)


def test_request_that_is_too_large_is_split(server: FakeElasticsearch, sink: BulkSink) -> None:
    def at_most_two_and_not_id3(lines: Lines) -> Answer:
        fits = len(lines) <= 4 and lines[1] != {"n": 3}
        return server.store(lines) if fits else (413, {})

    server.answers = [at_most_two_and_not_id3] * 9
    (rejection,) = sink.index(some_actions(5))
    assert (rejection.action.document_id, rejection.status) == ("id3", 413)
    assert ids(server) == {"id0", "id1", "id2", "id4"}


def test_items_of_a_split_request_are_retried_and_rejected_one_by_one(
    server: FakeElasticsearch, sink: BulkSink
) -> None:
    server.answers = [
        lambda _: (413, {}),
        lambda lines: server.store(lines, {"id0": 429, "id1": 400}),
        lambda lines: server.store(lines, {"id2": 400, "id3": 429}),
    ]
    assert [rejection.action.document_id for rejection in sink.index(some_actions(4))] == ["id1", "id2"]
    assert ids(server) == {"id0", "id3"}
    assert server.requests == [4, 2, 2, 2]


def test_document_that_makes_a_whole_request_invalid_is_found_by_bisection(
    server: FakeElasticsearch, sink: BulkSink
) -> None:
    def invalid_with_id3(lines: Lines) -> Answer:
        invalid = any(line.get("index", {}).get("_id") == "id3" for line in lines)
        return (400, {"error": {"type": "action_request_validation_exception"}}) if invalid else server.store(lines)

    server.answers = [invalid_with_id3] * 9
    (rejection,) = sink.index(some_actions(5))
    assert (rejection.action.document_id, rejection.status) == ("id3", 400)
    assert rejection.error_class == "action_request_validation_exception"
    assert ids(server) == {"id0", "id1", "id2", "id4"}


def test_server_without_bulk_requests_ends_the_job(server: FakeElasticsearch, sink: BulkSink) -> None:
    server.answers = [lambda _: (405, {"error": {"type": "illegal_argument_exception"}})]
    with pytest.raises(JobError, match="rejects a whole bulk request with 405"):
        sink.index(some_actions(1))


def test_chunks_are_limited_by_actions_and_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elasticsearch, "MAX_ACTIONS", 25)
    assert [len(chunk) for chunk in elasticsearch.chunks(some_actions(60))] == [25, 25, 10]
    monkeypatch.setattr(elasticsearch, "MAX_BYTES", sum(len(each.lines) for each in some_actions(10)))
    assert [len(chunk) for chunk in elasticsearch.chunks(some_actions(10) * 3)] == [10] * 3
    monkeypatch.setattr(elasticsearch, "MAX_BYTES", 1)
    assert [len(chunk) for chunk in elasticsearch.chunks(some_actions(2))] == [1, 1]
    assert list(elasticsearch.chunks([])) == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, {"type": "index_not_found_exception", "reason": "no such index [n-2026.02]"}),
        (400, {"type": "index_closed_exception", "reason": "closed"}),
        (400, {"type": "validation_exception", "reason": "this cluster has [9]/[9] maximum normal shards open;"}),
    ],
)
def test_missing_or_closed_index_and_shard_limit_are_retried(
    server: FakeElasticsearch, sink: BulkSink, waits: list[tuple[str, str]], status: int, error: dict[str, str]
) -> None:
    server.answers = [lambda _: (200, {"errors": True, "items": [{"index": {"status": status, "error": error}}]})]
    assert sink.index(some_actions(1)) == []
    assert ids(server) == {"id0"}
    assert len(waits) == 1
