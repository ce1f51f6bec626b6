"""Index names, document ids and document versions: the keys that make a repeated write idempotent."""

from job.times import from_ms

_MAX_VERSION_MS = 2**43 - 1
_OFFSET_BITS = 20


def monthly_index(alias: str, milliseconds: int) -> str:
    """The index behind the alias for the UTC month of a timestamp in milliseconds: lol_matches_stream-2026.11."""
    month = from_ms(milliseconds)
    return f"{alias}-{month.year}.{month.month:02d}"


def participant_document_id(match_id: str, participant_id: int) -> str:
    """The document id of a participant. A match that is sent twice overwrites its documents."""
    return f"{match_id}_{participant_id}"


def statistics_document_id(window_start: int, name: str) -> str:
    """The document id of a window's statistics of a champion or position; `window_start` is in milliseconds."""
    return f"{window_start}_{name}"


def external_version(arrived_at: int, offset: int) -> int:
    """The external version of a message's documents: the arrival time in milliseconds, then the offset.

    It fits into Elasticsearch's `long`. Messages of a producer's batch can share their arrival time; the low bits of
    the offset order them.
    """
    return min(max(arrived_at, 0), _MAX_VERSION_MS) << _OFFSET_BITS | offset % (1 << _OFFSET_BITS)


def cassandra_write_time(arrived_at: int, offset: int) -> int:
    """The write time (USING TIMESTAMP, in microseconds) of an archived match: the arrival time, then the offset.

    Messages of a producer's batch can share their arrival time. Of rows with equal write times, Cassandra keeps the
    larger value of each column, which would mix two messages.
    """
    return arrived_at * 1000 + offset % 1000
