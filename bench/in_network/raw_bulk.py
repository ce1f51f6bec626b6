"""What Elasticsearch can take at most: the backlog's documents, ready to be sent, by `_bulk` and nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date

from elasticsearch import Elasticsearch

from bench.in_network.task import Task, batches, given
from job.documents import action, documents
from job.match import Match, PlausibleTimes, decode

DOCUMENTS_A_REQUEST = 5000


def main() -> None:
    """Make all requests, then send them."""
    task = given()
    bodies = requests(task)
    client = Elasticsearch(task.elasticsearch, request_timeout=60, connections_per_node=task.connections)

    def send(body: bytes) -> None:
        answer = client.perform_request(
            "POST",
            "/_bulk?filter_path=errors",
            headers={"accept": "application/json", "content-type": "application/x-ndjson"},
            body=body,
        )
        assert not answer.body["errors"]

    with ThreadPoolExecutor(task.connections) as pool:
        list(pool.map(send, bodies))


def requests(task: Task) -> list[bytes]:
    """The bodies: the job's own documents under its own ids, for the task's index."""
    bounds = PlausibleTimes.of(date(2019, 1, 1), 300)
    lines: list[bytes] = []
    for batch in batches(task, 1000):
        for message in batch:
            arrived = message.timestamp()[1]
            match = decode(message.value(), arrived, bounds)
            assert isinstance(match, Match), match
            for document in documents(match, arrived):
                lines.append(action(task.index, f"{match.match_id}_{document['participant_id']}", document).lines)
    return [b"".join(lines[at : at + DOCUMENTS_A_REQUEST]) for at in range(0, len(lines), DOCUMENTS_A_REQUEST)]


if __name__ == "__main__":
    main()
