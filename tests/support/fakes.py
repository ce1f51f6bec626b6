"""Fault injection for unit tests: fakes of Elasticsearch and of Kafka's clients with failures on demand.

Real servers answer 429, 503 or nothing at moments that no test can choose. The fake Elasticsearch is a real HTTP
server: the official client, its connections and its errors are real, only the answers are made up. The fake producer
replaces librdkafka, whose delivery failures take half a minute each. tests/stack covers the job with the real servers.
"""

import re
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException
from werkzeug import Request, Response

from tests.support.http_server import HTTPServer

Lines = list[dict[str, Any]]
Answer = tuple[int, Any]
"""Status and JSON body of an answer."""


_ERROR_TYPES = {400: "document_parsing_exception", 409: "version_conflict_engine_exception"}
"""Elasticsearch's error types of an item for which the status alone does not say what it means."""


class FakeElasticsearch:
    """Stores documents by index and id, of each the one with the highest version.

    Answers `_bulk` with the next of `answers`, or correctly without any left. Answers other requests from `pages`, by
    method and path, with the query or else without, and with 404 for any other path. `product` is the value of the
    product header, which is missing if it is empty.
    """

    def __init__(self, product: str) -> None:
        self.url = ""
        self.port = 0
        self.content_type = "application/json"
        self.pages: dict[tuple[str, str], Answer] = {}
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}
        self.versions: dict[tuple[str, str], int] = {}
        self.requests: list[int] = []
        """The number of documents in each bulk request."""
        self.paths: list[str] = []
        """The path of each other request."""
        self.answers: list[Callable[[Lines], Answer | None]] = []
        self._headers = {"X-Elastic-Product": product} if product else {}

    def respond(self, request: Request) -> Response:
        """The response to any request."""
        if request.path == "/_bulk":
            lines = [orjson.loads(line) for line in request.get_data().splitlines()]
            self.requests.append(len(lines) // 2)
            answer = self.answers.pop(0)(lines) if self.answers else self.store(lines)
        else:
            self.paths.append(request.path)
            other = self.pages.get((request.method, request.path), (404, {"error": {"type": "not_found"}}))
            answer = self.pages.get((request.method, request.full_path), other)
        if answer is None:
            return Response(_closed_connection())
        status, body = answer
        return Response(orjson.dumps(body), status, self._headers, content_type=self.content_type)

    def store(self, lines: Lines, statuses: dict[str, int] | None = None) -> Answer:
        """Store the documents, except those with an error status in `statuses`, which is by document id."""
        items = []
        for head, source in zip(lines[::2], lines[1::2], strict=True):
            index, document_id = head["index"]["_index"], head["index"]["_id"]
            version = head["index"].get("version", 0)
            conflict = version < self.versions.get((index, document_id), 0)
            status = (statuses or {}).get(document_id, 409 if conflict else 201)
            item: dict[str, Any] = {"status": status}
            if status < 300:
                self.documents[index, document_id] = source
                self.versions[index, document_id] = version
            else:
                error_type = _ERROR_TYPES.get(status, f"fault_{status}_exception")
                item["error"] = {"type": error_type, "reason": "as the test\ndemands"}
            items.append({"index": item})
        return 200, {"errors": any("error" in item["index"] for item in items), "items": items}


@contextmanager
def fake_elasticsearch(
    product: str = "Elasticsearch", port: int = 0, ssl_context: ssl.SSLContext | None = None
) -> Iterator[FakeElasticsearch]:
    """Serve a fake Elasticsearch, at any free port by default."""
    fake = FakeElasticsearch(product)
    with HTTPServer(host="127.0.0.1", port=port, ssl_context=ssl_context) as server:
        server.expect_request(re.compile("")).respond_with_handler(fake.respond)
        fake.url, fake.port = server.url_for("").rstrip("/"), server.port
        yield fake
        server.check_assertions()


def _closed_connection() -> Iterator[bytes]:
    """A body that makes the server close the connection without an answer."""
    raise ConnectionResetError
    yield b""


class FakeMessage:
    """A message, or with an error code an event, as a consumer returns it."""

    def __init__(
        self,
        offset: int = 0,
        value: bytes | None = b"",
        error: int | None = None,
        partition: int = 0,
        arrived_at: int = 1_000,
    ) -> None:
        self._offset, self._value, self._error = offset, value, error
        self._partition, self._arrived_at = partition, arrived_at

    def topic(self) -> str:
        return "lol_matches"

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_LOG_APPEND_TIME, self._arrived_at

    def key(self) -> None:
        return None

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> None:
        return None

    def error(self) -> KafkaError | None:
        return None if self._error is None else KafkaError(self._error)


class FakeProducer:
    """A fake producer. `faults` has the error code of each delivery, None for success; later ones succeed.

    `too_large` is the size in bytes above which it refuses a value, `queue_size` the number of messages that its queue
    takes until they are delivered, `unacknowledged` how many messages a flush reports as not delivered, `refusals` the
    error codes with which the next calls of `produce` end.
    """

    def __init__(
        self,
        *faults: int | None,
        too_large: int | None = None,
        queue_size: int = 1000,
        unacknowledged: int = 0,
        refusals: Iterable[int] = (),
    ) -> None:
        self.delivered: list[dict[str, Any]] = []
        self._faults = list(faults)
        self._too_large = too_large
        self._queue_size = queue_size
        self._unacknowledged = unacknowledged
        self._refusals = list(refusals)
        self._queue: list[dict[str, Any]] = []

    def produce(self, topic: str, value: bytes | None = None, key: bytes | None = None, **message: Any) -> None:
        if self._refusals:
            raise KafkaException(KafkaError(self._refusals.pop(0)))
        if self._too_large is not None and len(value or b"") > self._too_large:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        if len(self._queue) >= self._queue_size:
            raise BufferError("queue full")
        self._queue.append({"topic": topic, "value": value, "key": key, **message})

    def poll(self, timeout: float) -> None:
        """Deliver the queue's messages if there is time for it."""
        if timeout:
            self.flush(timeout)

    def flush(self, timeout: float = -1) -> int:
        """Deliver the queue's messages."""
        queue, self._queue = self._queue, []
        for message in queue:
            fault = self._faults.pop(0) if self._faults else None
            delivered = message.pop("on_delivery")
            if fault is None:
                self.delivered.append(message)
            delivered(None if fault is None else KafkaError(fault), None)
        return self._unacknowledged
