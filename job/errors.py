"""Errors that end the job, each reported in one line."""

import re

from job.printable import escape


class JobError(Exception):
    """The job cannot start or continue. The message is one line: service or setting, what is wrong, what to do."""


_NAMES_AN_ERROR = re.compile(r"^(?:Caused by: |: )?[\w.$]*(?:Error|Exception|Failure)\b.*")


def root_cause(text: str) -> str:
    """The root cause of a Spark error as one line: the innermost Python or Java exception in its stack trace.

    Without any exception in `text` it is the first line that is not blank.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    exceptions = [line for line in lines if _NAMES_AN_ERROR.match(line)]
    cause = exceptions[-1] if exceptions else (lines or ["no reason given"])[0]
    return cause.removeprefix("Caused by: ").removeprefix(": ")


def first_line(text: object) -> str:
    """The first line of another program's message, cut to 300 characters and escaped, for use in one line of ours."""
    return escape(str(text).strip().partition("\n")[0][:300])
