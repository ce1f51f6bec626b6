"""Index names, document ids and document versions: the keys that make a repeated write idempotent."""

from job.times import from_ms

_MAX_LONG = 2**63 - 1


def monthly_index(alias: str, milliseconds: int) -> str:
    """The index behind the alias for the UTC month of a timestamp in milliseconds: lol_matches_stream-2026.11.

    A month is the unit of index retention (docs/operations.md, "Retire a month"); there is no ILM policy or rollover.
    """
    month = from_ms(milliseconds)
    return f"{alias}-{month.year}.{month.month:02d}"


def participant_document_id(match_id: str, participant_id: int) -> str:
    """The document id of a participant. A match that is sent twice overwrites its documents."""
    return f"{match_id}_{participant_id}"


def team_document_id(match_id: str, team_id: object) -> str:
    """The document id of a team, 100 or 200."""
    return f"{match_id}_{team_id}"


def statistics_document_id(window_start: int, name: str) -> str:
    """The document id of a window's statistics of a champion or position; `window_start` is in milliseconds."""
    return f"{window_start}_{name}"


def external_version(arrived_at: int, offset: int) -> int:
    """The external version of a message's documents, a `long` of Elasticsearch: later in a partition is higher.

    In a partition neither the offset nor the arrival time decreases, so their weighted sum grows with every message:
    also if thousands of messages share a millisecond, and at any offset. (A remainder of the offset would start again
    at 0.) Between partitions, the message with the later arrival time has the higher version if its offset is less
    than 2^20 lower for each millisecond between the two.
    """
    return _message_version(arrived_at, offset, 1 << 20)


def cassandra_write_time(arrived_at: int, offset: int) -> int:
    """The write time (USING TIMESTAMP, in microseconds) of an archived match: later in a partition is higher.

    The same sum as `external_version`, for the same reason, but in Cassandra's own unit: so a DELETE without a
    timestamp works from `offset` microseconds after the arrival on. Between partitions, the message with the later
    arrival time has the higher write time if its offset is less than 1,000 lower for each millisecond between the two.
    If rows have equal write times, Cassandra keeps the larger value of each column, which would mix two messages.
    """
    return _message_version(arrived_at, offset, 1000)


def _message_version(arrived_at: int, offset: int, per_millisecond: int) -> int:
    return min(max(arrived_at, 0) * per_millisecond + offset, _MAX_LONG)
