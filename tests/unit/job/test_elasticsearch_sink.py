"""The Elasticsearch sink waits unless a document is at fault, returns rejections, and splits requests. A fake server
answers, with the errors of Elasticsearch 8.19."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from elastic_transport import ConnectionTimeout
from elasticsearch import Elasticsearch
from msgspec import structs

from job import retry
from job.documents import Action, action
from job.errors import JobError
from job.sinks import elasticsearch
from job.sinks.elasticsearch import BulkSink, Connection, Rejection
from tests.support.fakes import Answer, FakeElasticsearch, Lines, fake_elasticsearch

INDEX = "n-2026.02"

INDEX_FAULTS = [
    (400, "index_closed_exception", "closed"),
    (400, "illegal_argument_exception", "pipeline with id [gone] does not exist"),
    (
        400,
        "illegal_argument_exception",
        "no write index is defined for alias [n-2026.02]. The write index may be explicitly disabled using "
        "is_write_index=false or the alias points to multiple indices without one being designated as a write index",
    ),
    (400, "illegal_argument_exception", "only write ops with an op_type of create are allowed in data streams"),
    (400, "illegal_argument_exception", "number of documents in the index cannot exceed 2147483519"),
    (400, "routing_missing_exception", "routing is required for [n-2026.02]/[id1]"),
    (400, "invalid_index_name_exception", "Invalid index name [N-2026.02], must be lowercase"),
    (400, "invalid_alias_name_exception", "Invalid alias name [n]: an index or data stream exists with the same name"),
    (400, "mapper_parsing_exception", "Failed to parse mapping: No handler for type [keywords] declared on field [n]"),
    (
        400,
        "validation_exception",
        "Validation Failed: 1: this action would add [3] shards, but this cluster currently has [89]/[89] maximum "
        "normal shards open;",
    ),
    (403, "cluster_block_exception", "index [n-2026.02] blocked by: [FORBIDDEN/8/index write (api)];"),
    (
        429,
        "cluster_block_exception",
        "index [n-2026.02] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has "
        "read-only-allow-delete block];",
    ),
    (404, "index_not_found_exception", "no such index [n-2026.02]"),
    (404, "resource_not_found_exception", "no such resource"),
    (409, "resource_already_exists_exception", "index [n-2026.02] already exists"),
    (500, "ingest_processor_exception", "a processor failed"),
    (503, "unavailable_shards_exception", "[n-2026.02][0] primary shard is not active Timeout: [1m]"),
]
DOCUMENT_FAULTS = [
    (
        400,
        "document_parsing_exception",
        "[1:28] failed to parse field [kills] of type [integer] in document with id 'id1'. Preview of field's value: "
        "'many'",
    ),
    (400, "document_parsing_exception", "[1:2] failed to parse: [1:14] Unexpected end of file"),
    (
        400,
        "strict_dynamic_mapping_exception",
        "[1:80] mapping set to strict, dynamic introduction of [unknown] within [_doc] is not allowed",
    ),
    (400, "mapper_parsing_exception", "failed to parse field [kills] of type [integer] in document with id 'id1'"),
    (
        400,
        "illegal_argument_exception",
        'Document contains at least one immense term in field="n" (whose UTF8 encoding is longer than the max length '
        "32766), all of which were skipped.",
    ),
    (400, "illegal_argument_exception", 'DocValuesField "n" is too large, must be <= 32766'),
    (413, "", ""),
]


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_MAX_BACKOFF_SECONDS", 0.01)


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
    yield BulkSink(client, lambda service, reason, _: waits.append((service, reason)))
    client.close()


def some_actions(count: int) -> list[Action]:
    return [structs.replace(action(INDEX, f"id{n}", {"n": n}), source_index=n) for n in range(count)]


def failing(
    server: FakeElasticsearch, document_id: str, status: int, error: dict[str, str]
) -> Callable[[Lines], Answer]:
    """An answer in which this document fails; the others are stored."""

    def answer(lines: Lines) -> Answer:
        code, body = server.store(lines, {document_id: status})
        for item in body["items"]:
            if item["index"]["status"] == status:
                item["index"]["error"] = error
        return code, body

    return answer


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
    reason = f"it answers {status} for a document of {INDEX} (fault_{status}_exception: as the test)"
    assert len(waits) == 2
    assert all(service == "Elasticsearch" and why.startswith(reason) for service, why in waits)


@pytest.mark.parametrize(("status", "error_type", "reason"), INDEX_FAULTS)
def test_index_at_fault_is_waited_for_and_no_document_is_rejected(
    server: FakeElasticsearch,
    sink: BulkSink,
    waits: list[tuple[str, str]],
    status: int,
    error_type: str,
    reason: str,
) -> None:
    server.answers = [failing(server, "id1", status, {"type": error_type, "reason": reason})] * 2
    assert sink.index(some_actions(3)) == []
    assert ids(server) == {"id0", "id1", "id2"}
    assert server.requests == [3, 1, 1]
    assert waits == [("Elasticsearch", f"it answers {status} for a document of {INDEX} ({error_type}: {reason})")] * 2


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "; correct elasticsearch.username and elasticsearch.password"),
        (403, "; elasticsearch.username needs a role that allows it"),
    ],
)
def test_refused_login_is_waited_for_with_the_setting_to_correct(
    server: FakeElasticsearch, sink: BulkSink, waits: list[tuple[str, str]], status: int, advice: str
) -> None:
    """A refused request, and a refused document: no message becomes a dead letter."""
    error = {"type": "security_exception", "reason": "not for you"}
    server.answers = [
        lambda lines: (status, {"error": error, "status": status}),
        failing(server, "id1", status, error),
    ]
    assert sink.index(some_actions(3)) == []
    assert ids(server) == {"id0", "id1", "id2"}
    assert [reason.endswith(advice) for _, reason in waits] == [True, True]


def test_connections_text_has_no_password() -> None:
    """A log or an error may quote it."""
    assert "secret" not in str(Connection(("http://a:1",), 5, "job", "secret"))


@pytest.mark.parametrize(("status", "error_type", "reason"), DOCUMENT_FAULTS)
def test_document_at_fault_is_rejected_and_not_retried(
    server: FakeElasticsearch, sink: BulkSink, status: int, error_type: str, reason: str
) -> None:
    server.answers = [failing(server, "id1", status, {"type": error_type, "reason": reason})]
    assert sink.index(actions := some_actions(3)) == [Rejection(actions[1], status, error_type, reason)]
    assert ids(server) == {"id0", "id2"}
    assert server.requests == [3]


def test_unknown_error_is_waited_for(server: FakeElasticsearch, sink: BulkSink, waits: list[tuple[str, str]]) -> None:
    server.answers = [failing(server, "id1", 400, {})]
    assert sink.index(some_actions(3)) == []
    assert waits == [("Elasticsearch", f"it answers 400 for a document of {INDEX} (no reason given)")]


def test_rejections_and_waits_of_one_response_are_kept_apart(server: FakeElasticsearch, sink: BulkSink) -> None:
    server.answers = [lambda lines: server.store(lines, {"id1": 400, "id2": 429})]
    (rejection,) = sink.index(some_actions(4))
    assert (rejection.action.source_index, rejection.status) == (1, 400)
    assert (rejection.error_class, rejection.reason) == ("document_parsing_exception", "as the test")
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
    assert len(waits) == 3
    assert all(why.startswith(f"it answers {status} (circuit_breaking_exception)") for _, why in waits)


@pytest.mark.parametrize(
    ("status", "error_type", "reason"),
    [
        (403, "cluster_block_exception", "blocked by: [FORBIDDEN/6/cluster read-only (api)];"),
        (400, "illegal_argument_exception", "no write index is defined for alias [n-2026.02]."),
    ],
)
def test_cluster_at_fault_is_waited_for_without_splitting_the_request(
    server: FakeElasticsearch,
    sink: BulkSink,
    waits: list[tuple[str, str]],
    status: int,
    error_type: str,
    reason: str,
) -> None:
    error = {"type": error_type, "reason": reason}
    server.answers = [lambda _: (status, {"error": error, "status": status})] * 2
    assert sink.index(some_actions(2)) == []
    assert server.requests == [2, 2, 2]
    assert waits == [("Elasticsearch", f"it answers {status} ({error_type}: {reason})")] * 2


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

        def start_server(service: str, reason: str, _seconds: float) -> None:
            waits.append((service, reason))
            if len(waits) == 3:
                started.append(stack.enter_context(fake_elasticsearch(port=port)))

        assert BulkSink(client, start_server).index(some_actions(2)) == []
    assert [ids(server) for server in started] == [{"id0", "id1"}]
    assert len(waits) == 3
    assert all("cannot be reached" in reason for _, reason in waits)


def test_acknowledged_request_is_progress_and_one_of_which_all_is_sent_again_is_not(server: FakeElasticsearch) -> None:
    reports: list[str] = []
    with Elasticsearch([server.url], max_retries=0) as client:
        sink = BulkSink(client, lambda *_: reports.append("wait"), lambda: reports.append("progress"))
        sink.index(some_actions(2))
        assert reports == ["progress"]
        server.answers = [
            lambda lines: server.store(lines, {"id0": 503, "id1": 503}),
            lambda _: (429, {"error": {"type": "es_rejected_execution_exception"}}),
            lambda lines: server.store(lines, {"id1": 503}),
        ]
        sink.index(some_actions(2))
    assert reports[1:] == ["wait", "wait", "progress", "wait", "progress"]


def test_request_of_statistics_that_is_rejected_as_a_whole_is_no_progress(server: FakeElasticsearch) -> None:
    """Rejected statistics are sent again, for ever: the job's health must show it."""
    reports: list[str] = []
    server.answers = [lambda lines: server.store(lines, {"id0": 400, "id1": 400})] * 2
    with Elasticsearch([server.url], max_retries=0) as client:
        sink = BulkSink(client, lambda *_: reports.append("wait"), lambda: reports.append("progress"))
        sink.index_all(some_actions(2))
    assert reports == ["wait", "wait", "progress"]


def test_request_that_times_out_is_sent_again_with_fewer_actions(
    server: FakeElasticsearch, waits: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow Elasticsearch would never answer the whole request in time, although it indexes each copy of it."""
    sent: list[int] = []
    fits = 1000
    with Elasticsearch([server.url], max_retries=0) as client:
        perform_request = client.perform_request

        def answer_what_fits(method: str, path: str, *, body: bytes, **options: Any) -> Any:
            sent.append(body.count(b"\n") // 2)
            if sent[-1] > fits:
                assert len(sent) < 20, "the request does not become smaller"
                raise ConnectionTimeout("Connection timed out")
            return perform_request(method, path, body=body, **options)

        monkeypatch.setattr(client, "perform_request", answer_what_fits)
        sink = BulkSink(client, lambda service, reason, *_: waits.append((service, reason)))
        assert sink.index(some_actions(3000)) == []
        assert sent == [3000, 1500, 750, 844, 950, 456]
        assert ids(server) == {f"id{n}" for n in range(3000)}
        assert waits == [("Elasticsearch", "it does not answer (Connection timed out)")] * 2
        fits = 5000
        for _ in range(10):
            assert sink.index(some_actions(3000)) == []
        assert sent[-1] == 3000, "the requests do not grow again"


def test_documents_of_a_failing_index_do_not_delay_the_rest_after_a_timeout(
    server: FakeElasticsearch, sink: BulkSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "_max_actions", 2)
    server.answers = [lambda lines: server.store(lines, {"id1": 503})]
    assert sink.index(some_actions(4)) == []
    assert list(server.documents) == [(INDEX, "id0"), (INDEX, "id2"), (INDEX, "id3"), (INDEX, "id1")]


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
        reason = "Validation Failed: 1: id [id3] is too long, must be no longer than 512 bytes but was: 600;"
        error = {"type": "action_request_validation_exception", "reason": reason}
        return (400, {"error": error, "status": 400}) if invalid else server.store(lines)

    server.answers = [invalid_with_id3] * 9
    (rejection,) = sink.index(some_actions(5))
    assert (rejection.action.document_id, rejection.status) == ("id3", 400)
    assert rejection.error_class == "action_request_validation_exception"
    assert "id [id3] is too long" in rejection.reason
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


def test_failed_refresh_is_ignored() -> None:
    """The index's refresh interval makes the documents searchable, and the outcomes are still counted."""
    with fake_elasticsearch() as server:
        connection = Connection((server.url,), 5)
        server.pages["POST", f"/{INDEX}/_refresh"] = (503, {"error": {"type": "unavailable_shards_exception"}})
        elasticsearch.refresh(connection, [INDEX])
    elasticsearch.refresh(connection, [INDEX])  # nothing listens any more
