"""Elasticsearch's ceiling: sends prepared `_bulk` requests of the backlog's documents and does nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date

from bench.in_network.workload import Workload, consume_batches, load_workload
from job.documents import action, documents
from job.match import Match, PlausibleTimes, decode

DOCUMENTS_PER_REQUEST = 5000


def main() -> None:
    """Prepare all request bodies, then send them over the workload's connections."""
    workload = load_workload()
    bodies = bulk_bodies(workload)
    client = workload.elasticsearch(request_timeout=60, connections_per_node=workload.connections)

    def send(body: bytes) -> None:
        response = client.perform_request(
            "POST",
            "/_bulk?filter_path=errors",
            headers={"accept": "application/json", "content-type": "application/x-ndjson"},
            body=body,
        )
        assert not response.body["errors"]

    with ThreadPoolExecutor(workload.connections) as pool:
        list(pool.map(send, bodies))


def bulk_bodies(workload: Workload) -> list[bytes]:
    """The `_bulk` request bodies: the job's own documents and ids, for the workload's index."""
    plausible_times = PlausibleTimes.of(date(2019, 1, 1), 300)
    lines: list[bytes] = []
    for batch in consume_batches(workload, max_messages=1000):
        for message in batch:
            arrived_at = message.timestamp()[1]
            match = decode(message.value(), arrived_at, plausible_times)
            assert isinstance(match, Match), match
            for document in documents(match, arrived_at):
                lines.append(action(workload.index, f"{match.match_id}_{document['participant_id']}", document).lines)
    return [b"".join(lines[at : at + DOCUMENTS_PER_REQUEST]) for at in range(0, len(lines), DOCUMENTS_PER_REQUEST)]


if __name__ == "__main__":
    main()
