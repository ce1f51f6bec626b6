"""Errors that end the job, told in one line."""

import re


class JobError(Exception):
    """The job cannot start or go on. The message is one line: which service or setting, what is wrong, what to do."""


_NAMED = re.compile(r"^(?:Caused by: |: )?[\w.$]*(?:Error|Exception|Failure)\b.*")


def one_line(text: str) -> str:
    """The cause in a Spark error of many lines: the innermost error that it names, Python's or Java's."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if _NAMED.match(line)]
    cause = named[-1] if named else (lines or ["no reason given"])[0]
    return cause.removeprefix("Caused by: ").removeprefix(": ")


def first_line(text: object) -> str:
    """What others say in many lines, for a line of our own."""
    return str(text).strip().partition("\n")[0][:300]
