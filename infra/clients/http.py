"""HTTP requests to a service that may be compromised, or replaced by another program on its port."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from urllib3.exceptions import HTTPError

MAX_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Answer:
    """A complete answer. `request` names what it answers: method and path."""

    request: str
    status: int
    text: str

    def json(self) -> Any:
        """Raises ValueError, or RecursionError."""
        return json.loads(self.text)


def request(session: requests.Session, method: str, url: str, timeout: float, **what: Any) -> Answer:
    """The answer to a request. `timeout` is that of the connection, of each read of the headers, and of the whole
    content. A redirection is an answer like any other: `requests` would read its content without a limit.

    Raises requests.RequestException, also for more than MAX_BYTES after decompression.
    """
    with session.request(method, url, timeout=timeout, stream=True, allow_redirects=False, **what) as response:
        deadline = time.monotonic() + timeout
        content = bytearray()
        try:
            # Not `read`, which waits for all that it was asked for: a server can send a byte before each timeout.
            while part := response.raw.read1(64 * 1024, decode_content=True):
                content += part
                if len(content) > MAX_BYTES:
                    raise requests.RequestException(f"the answer has more than {MAX_BYTES >> 20} MiB")
                if time.monotonic() > deadline:
                    raise requests.Timeout(f"the answer is not complete after {timeout:g} s")
        except HTTPError as error:
            raise requests.ConnectionError(error) from error
        sent = f"{method} {response.request.path_url}"
        return Answer(sent, response.status_code, content.decode(errors="replace"))


def innermost_cause(error: requests.RequestException) -> str:
    """The innermost cause of a failed request, in few words: the outer errors repeat the address and the path."""
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    return str(cause)


@contextmanager
def readable(error_class: type[Exception], service: str) -> Iterator[None]:
    """Raises `error_class` if what is read inside from an answer of the service is not there, or something else."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
        raise error_class(f"{service} gives an unreadable answer: {type(error).__name__}: {error}") from error
