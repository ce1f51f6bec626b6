"""A dead letter: why a message cannot be processed."""

from dataclasses import dataclass

REASONS = (
    "null_value",
    "empty_value",
    "not_json",
    "not_an_object",
    "not_a_match",
    "invalid_field",
    "empty_match",
    "duplicate_participant",
    "implausible_timestamp",
    "rejected_by_elasticsearch",
)
"""The dead-letter reasons: the values of the header dlq.reason."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why a message becomes a dead letter.

    `reason` is one of REASONS, for counting. `detail` is the error message. `field` is the path of the invalid field,
    or empty. `error_class` is the name of the exception or of Elasticsearch's error type, or empty.
    """

    reason: str
    detail: str
    field: str = ""
    error_class: str = ""
