"""Timestamps as the job writes them: milliseconds since 1970 and ISO 8601 text, both in UTC."""

import time
from datetime import UTC, datetime

LATEST_MS = 253_402_300_799_000
"""The last second of the year 9999, which no datetime exceeds."""


def now_ms() -> int:
    """The current time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def to_ms(moment: datetime) -> int:
    """A datetime with a time zone as milliseconds since 1970."""
    return round(moment.timestamp() * 1000)


def from_ms(milliseconds: int) -> datetime:
    """Milliseconds since 1970 as a datetime in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def iso(milliseconds: int) -> str:
    """Milliseconds since 1970 as ISO 8601 text: 2026-11-23T21:45:00.123Z. From 1970 to LATEST_MS."""
    return from_ms(min(max(milliseconds, 0), LATEST_MS)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
