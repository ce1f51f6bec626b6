"""A fake of a Cassandra session for the archive's unit tests, and an error of Cassandra."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from cassandra import InvalidRequest

from job import archive_table

TOO_LARGE = InvalidRequest(
    'Error from server: code=2200 [Invalid query] message="CQL Message of size 9732097 bytes exceeds allowed maximum '
    'of 9732096 bytes"'
)


class FakeSession:
    """A fake Cassandra session. `errors` has the errors of the writes of a match id; later writes of it succeed."""

    def __init__(self, **errors: list[Exception]) -> None:
        self._errors = errors
        self.table_id = "table"
        """Empty: there is no table."""
        self.cluster = SimpleNamespace(shutdown=lambda: None)
        self.written: list[tuple[Any, ...]] = []
        self.attempts: list[str] = []

    def prepare(self, _statement: str) -> SimpleNamespace:
        if errors := self._errors.get("prepare"):
            raise errors.pop(0)
        return SimpleNamespace()

    def execute(self, statement: str, parameters: tuple[str, str]) -> SimpleNamespace:
        assert (statement, parameters) == (archive_table._SELECT_TABLE_ID, ("lol", "matches"))
        if errors := self._errors.get("execute"):
            raise errors.pop(0)
        return SimpleNamespace(one=lambda: SimpleNamespace(id=self.table_id) if self.table_id else None)

    def execute_async(self, _statement: Any, values: tuple[Any, ...]) -> SimpleNamespace:
        def result() -> None:
            self.attempts.append(values[0])
            if errors := self._errors.get(values[0]):
                raise errors.pop(0)
            self.written.append(values)

        return SimpleNamespace(result=result)
