"""Fakes of Elasticsearch and Kafka with failures on demand.

Real servers answer 429, 503 or nothing at moments that no test can choose. The fake Elasticsearch is a real HTTP
server: the official client, its connections and its errors are real, only the answers are made up. The fake producer
replaces librdkafka, whose delivery failures take half a minute each. tests/stack covers the job with the real servers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import orjson
from confluent_kafka import KafkaError, KafkaException

Lines = list[dict[str, Any]]
Answer = tuple[int, Any]
"""Status and JSON body of an answer."""


class FakeElasticsearch:
    """Stores documents by index and id. Answers `_bulk` with the next of `answers`, or correctly without any left.

    Answers other requests from `pages`, by method and path, with 404 for any other path. `product` is the value of the
    product header, which is missing if it is empty; `port` is any free one if it is 0.
    """

    def __init__(self, product: str, port: int) -> None:
        self.content_type = "application/json"
        self.pages: dict[tuple[str, str], Answer] = {}
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}
        self.requests: list[int] = []
        """The number of documents in each bulk request."""
        self.answers: list[Callable[[Lines], Answer | None]] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = fake.bulk([orjson.loads(line) for line in body.split(b"\n")[:-1]])
                if answer is None:
                    self.close_connection = True
                else:
                    self.send(*answer)

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send(*fake.pages.get((self.command, self.path), (404, {"error": {"type": "not_found"}})))

            do_HEAD = do_PUT = do_GET  # noqa: N815

            def send(self, status: int, body: Any) -> None:
                text = b"" if self.command == "HEAD" else orjson.dumps(body)
                self.send_response(status)
                if product:
                    self.send_header("X-Elastic-Product", product)
                self.send_header("Content-Type", fake.content_type)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: Any) -> None:
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port: int = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def bulk(self, lines: Lines) -> Answer | None:
        """Answer one request; None closes the connection without an answer."""
        self.requests.append(len(lines) // 2)
        return self.answers.pop(0)(lines) if self.answers else self.store(lines)

    def store(self, lines: Lines, statuses: dict[str, int] | None = None) -> Answer:
        """Store the documents, except those with an error status in `statuses`, which is by document id."""
        items = []
        for head, source in zip(lines[::2], lines[1::2], strict=True):
            index, document_id = head["index"]["_index"], head["index"]["_id"]
            status = (statuses or {}).get(document_id, 201)
            item: dict[str, Any] = {"status": status}
            if status < 300:
                self.documents[index, document_id] = source
            else:
                item["error"] = {"type": f"fault_{status}_exception", "reason": "as the test\ndemands"}
            items.append({"index": item})
        return 200, {"errors": bool(statuses), "items": items}


@contextmanager
def fake_elasticsearch(product: str = "Elasticsearch", port: int = 0) -> Iterator[FakeElasticsearch]:
    """Run a fake Elasticsearch in a background thread."""
    fake = FakeElasticsearch(product, port)
    thread = Thread(target=fake.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.server.shutdown()
        fake.server.server_close()
        thread.join()


class FakeProducer:
    """A fake producer. `faults` has the error code of each delivery, None for success; later ones succeed."""

    def __init__(self, *faults: int | None, too_large: int | None = None) -> None:
        self.delivered: list[dict[str, Any]] = []
        self._faults = list(faults)
        self._too_large = too_large
        self._queue: list[dict[str, Any]] = []

    def produce(self, topic: str, **message: Any) -> None:
        if self._too_large is not None and len(message["value"] or b"") > self._too_large:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        self._queue.append({"topic": topic, **message})

    def poll(self, _timeout: float) -> None:
        """Deliver nothing before `flush`."""

    def flush(self, _timeout: float) -> None:
        queue, self._queue = self._queue, []
        for message in queue:
            fault = self._faults.pop(0) if self._faults else None
            delivered = message.pop("on_delivery")
            if fault is None:
                self.delivered.append(message)
            delivered(None if fault is None else KafkaError(fault), None)
