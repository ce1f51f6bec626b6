"""The sink judges every item, repeats what will pass, and gives up on nothing else than what never will."""

from collections.abc import Iterator

import pytest
from elasticsearch import Elasticsearch

from job.documents import Action, action
from job.errors import JobError
from job.sinks import elasticsearch
from job.sinks.elasticsearch import Bulk
from tests.support.job_fakes import Answer, FakeElasticsearch, Lines, fake_elasticsearch

INDEX = "n-2026.02"


@pytest.fixture
def server() -> Iterator[FakeElasticsearch]:
    with fake_elasticsearch() as fake:
        yield fake


@pytest.fixture
def waits() -> list[tuple[str, str]]:
    """Service and reason of each wait."""
    return []


@pytest.fixture
def sink(server: FakeElasticsearch, waits: list[tuple[str, str]]) -> Iterator[Bulk]:
    client = Elasticsearch([server.url], max_retries=0, request_timeout=2)
    yield Bulk(client, lambda service, reason, _seconds, _attempt: waits.append((service, reason)), longest_wait=0.01)
    client.close()


def some(number: int) -> list[Action]:
    return [action(INDEX, f"id{n}", {"n": n}, origin=n) for n in range(number)]


def ids(server: FakeElasticsearch) -> set[str]:
    return {document_id for _, document_id in server.documents}


def test_documents_are_indexed_in_one_request(server: FakeElasticsearch, sink: Bulk) -> None:
    assert sink.index(some(3)) == []
    assert server.documents == {(INDEX, f"id{n}"): {"n": n} for n in range(3)}
    assert server.requests == [3]


def test_nothing_to_index_is_no_request(server: FakeElasticsearch, sink: Bulk) -> None:
    assert sink.index([]) == []
    assert server.requests == []


def test_the_same_documents_again_change_nothing(server: FakeElasticsearch, sink: Bulk) -> None:
    sink.index(some(3))
    before = dict(server.documents)
    sink.index(some(3))
    assert server.documents == before


def test_a_document_of_which_a_later_version_is_there_is_done(server: FakeElasticsearch, sink: Bulk) -> None:
    server.answers = [lambda lines: server.store(lines, {"id1": 409})]
    assert sink.index(some(3)) == []
    assert server.requests == [3]


@pytest.mark.parametrize("status", [429, 500, 503, 403])
def test_only_the_items_that_were_put_off_are_repeated(
    server: FakeElasticsearch, sink: Bulk, waits: list[tuple[str, str]], status: int
) -> None:
    server.answers = [lambda lines: server.store(lines, {"id1": status})] * 2
    assert sink.index(some(3)) == []
    assert ids(server) == {"id0", "id1", "id2"}
    assert server.requests == [3, 1, 1]
    assert waits == [("Elasticsearch", f"it answers {status} for an item (fault_{status}_exception)")] * 2


def test_items_that_are_refused_are_not_repeated(server: FakeElasticsearch, sink: Bulk) -> None:
    server.answers = [lambda lines: server.store(lines, {"id1": 400, "id2": 429})]
    (rejection,) = sink.index(some(4))
    assert (rejection.action.origin, rejection.status) == (1, 400)
    assert (rejection.error_class, rejection.reason) == ("fault_400_exception", "as told")
    assert ids(server) == {"id0", "id2", "id3"}
    assert server.requests == [4, 1]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 401])
def test_a_whole_request_that_is_put_off_is_repeated(
    server: FakeElasticsearch, sink: Bulk, waits: list[tuple[str, str]], status: int
) -> None:
    server.answers = [lambda _: (status, {"error": {"type": "circuit_breaking_exception"}, "status": status})] * 3
    assert sink.index(some(2)) == []
    assert server.requests == [2, 2, 2, 2]
    assert waits == [("Elasticsearch", f"it answers {status} (circuit_breaking_exception)")] * 3


def test_a_connection_that_breaks_is_made_anew(
    server: FakeElasticsearch, sink: Bulk, waits: list[tuple[str, str]]
) -> None:
    def store_then_break(lines: list[dict[str, object]]) -> None:
        server.store(lines)  # the documents are in, but nobody hears of it

    server.answers = [store_then_break, lambda _: None]
    assert sink.index(some(2)) == []
    assert ids(server) == {"id0", "id1"}
    assert len(waits) == 2


def test_nobody_answers_until_somebody_does(waits: list[tuple[str, str]]) -> None:
    with fake_elasticsearch() as closed:
        url = closed.url
    with fake_elasticsearch() as server, Elasticsearch([url], max_retries=0) as client:

        def point_at_the_server(service: str, reason: str, _seconds: float, attempt: int) -> None:
            waits.append((service, reason))
            if attempt == 3:
                moved._elasticsearch = Elasticsearch([server.url], max_retries=0)

        moved = Bulk(client, point_at_the_server, longest_wait=0.01)
        assert moved.index(some(2)) == []
        moved._elasticsearch.close()
        assert ids(server) == {"id0", "id1"}
    assert len(waits) == 3
    assert all("cannot be reached" in reason for _, reason in waits)


def test_a_request_that_is_too_large_is_divided(server: FakeElasticsearch, sink: Bulk) -> None:
    def at_most_two(lines: list[dict[str, object]]) -> tuple[int, object]:
        fits = len(lines) <= 4 and lines[1] != {"n": 3}
        return server.store(lines) if fits else (413, {})

    server.answers = [at_most_two] * 9
    (rejection,) = sink.index(some(5))
    assert (rejection.action.document_id, rejection.status) == ("id3", 413)
    assert ids(server) == {"id0", "id1", "id2", "id4"}


def test_a_document_that_makes_the_whole_request_unreadable_is_found(server: FakeElasticsearch, sink: Bulk) -> None:
    def unreadable_with_id3(lines: Lines) -> Answer:
        ill = any(line.get("index", {}).get("_id") == "id3" for line in lines)
        return (400, {"error": {"type": "action_request_validation_exception"}}) if ill else server.store(lines)

    server.answers = [unreadable_with_id3] * 9
    (rejection,) = sink.index(some(5))
    assert (rejection.action.document_id, rejection.status) == ("id3", 400)
    assert rejection.error_class == "action_request_validation_exception"
    assert ids(server) == {"id0", "id1", "id2", "id4"}


def test_a_server_that_knows_no_bulk_requests_ends_the_job(server: FakeElasticsearch, sink: Bulk) -> None:
    server.answers = [lambda _: (405, {"error": {"type": "illegal_argument_exception"}})]
    with pytest.raises(JobError, match="refuses a whole bulk request with 405"):
        sink.index(some(1))


def test_chunks_are_bounded_by_number_and_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elasticsearch, "MAX_ACTIONS", 25)
    assert [len(chunk) for chunk in elasticsearch.chunks(some(60))] == [25, 25, 10]
    monkeypatch.setattr(elasticsearch, "MAX_BYTES", sum(len(each.lines) for each in some(10)))
    assert [len(chunk) for chunk in elasticsearch.chunks(some(10) * 3)] == [10] * 3
    monkeypatch.setattr(elasticsearch, "MAX_BYTES", 1)
    assert [len(chunk) for chunk in elasticsearch.chunks(some(2))] == [1, 1]
    assert list(elasticsearch.chunks([])) == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, {"type": "index_not_found_exception", "reason": "no such index [n-2026.02]"}),
        (400, {"type": "index_closed_exception", "reason": "closed"}),
        (400, {"type": "validation_exception", "reason": "this cluster has [9]/[9] maximum normal shards open;"}),
    ],
)
def test_a_document_is_not_to_blame_for_its_index(
    server: FakeElasticsearch, sink: Bulk, waits: list[tuple[str, str]], status: int, error: dict[str, str]
) -> None:
    server.answers = [lambda _: (200, {"errors": True, "items": [{"index": {"status": status, "error": error}}]})]
    assert sink.index(some(1)) == []
    assert ids(server) == {"id0"}
    assert len(waits) == 1
