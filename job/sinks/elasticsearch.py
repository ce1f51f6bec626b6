"""Documents → Elasticsearch by `_bulk`: every item is judged, and what can succeed later is tried until it does."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from elastic_transport import ConnectionError as ElasticsearchConnectionError
from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from job.documents import Action
from job.errors import JobError, first_line

log = logging.getLogger(__name__)

# A request of a few megabytes is where indexing speed levels off; more only costs memory on both sides.
MAX_BYTES = 6 * 2**20
MAX_ACTIONS = 5000

# The answer holds no more of each item than is judged. The client's own `bulk` would take the lines apart again.
_PATH = "/_bulk?filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason"
_HEADERS = {"accept": "application/json", "content-type": "application/x-ndjson"}

# Statuses that say "not now" or "not you", of an item as of a whole request: the document itself is not to blame.
# All other 4xx say "not this document".
_LATER = frozenset({401, 403, 408, 429})
# The document is not to blame either for an index that is not there and may not make itself (its template is missing),
# one that somebody has closed, or a cluster that has no room for another index's shards.
_LATER_TYPES = frozenset({"index_not_found_exception", "index_closed_exception"})
_NO_ROOM = "shards open"
# A later version of the document is there: what was to be written has its place in history, and no other.
_SUPERSEDED = 409
# Of a whole request: too large, or one of its documents makes all of it unreadable (an id over 512 bytes does).
_DIVIDE = frozenset({400, 413})


class Rejection(NamedTuple):
    """An action that Elasticsearch will never accept as it is, and Elasticsearch's reason."""

    action: Action
    status: int
    error_class: str
    reason: str


class UnavailableError(Exception):
    """Elasticsearch did not take the request, or not all of its items, for a reason that will pass."""


OnWait = Callable[[str, str, float, int], None]
"""Called before each wait with: service, reason, seconds until the next attempt, attempts so far."""


@cache
def client(hosts: tuple[str, ...], request_timeout: int) -> Elasticsearch:
    """The process's connection to Elasticsearch, kept between tasks. It does not retry: `Bulk` does."""
    return Elasticsearch(list(hosts), request_timeout=request_timeout, max_retries=0, retry_on_timeout=False)


class Bulk:
    """Sends actions, and comes back when each of them is indexed or rejected, however long that takes."""

    def __init__(self, elasticsearch: Elasticsearch, on_wait: OnWait, longest_wait: float = 5) -> None:
        self._elasticsearch = elasticsearch
        self._on_wait = on_wait
        self._longest_wait = longest_wait

    def index(self, actions: Sequence[Action]) -> list[Rejection]:
        """Index the actions in one request, and in more where items have to be repeated; return the rejected ones.

        Raises JobError if what answers does not know such requests: that is no document's fault.
        """
        pending = list(actions)
        rejections: list[Rejection] = []
        retrying = Retrying(
            retry=retry_if_exception_type(UnavailableError),
            wait=wait_random_exponential(multiplier=0.25, max=self._longest_wait),
            before_sleep=self._say,
        )
        for attempt in retrying:
            with attempt:
                if not pending:
                    break
                later, reason, rejected = self._send(pending)
                rejections += rejected
                pending = later
                if pending:
                    raise UnavailableError(reason)
        return rejections

    def _send(self, actions: list[Action]) -> tuple[list[Action], str, list[Rejection]]:
        """One request. Returns the actions to repeat, the reason of the first of them, and the rejections."""
        try:
            response: Any = self._elasticsearch.perform_request(
                "POST", _PATH, headers=_HEADERS, body=b"".join(action.lines for action in actions)
            ).body
        except ApiError as error:
            if error.status_code in _DIVIDE:
                return self._send_halves(actions, error)
            if error.status_code in _LATER or error.status_code >= 500:
                raise UnavailableError(f"it answers {error.status_code} ({first_line(error.message)})") from error
            raise JobError(
                f"Elasticsearch refuses a whole bulk request with {error.status_code} ({first_line(error.message)}): "
                "check that elasticsearch.hosts names an Elasticsearch 8"
            ) from error
        except TransportError as error:
            kind = "cannot be reached" if isinstance(error, ElasticsearchConnectionError) else "does not answer"
            raise UnavailableError(f"it {kind} ({first_line(error.message)})") from error
        if not response["errors"]:
            return [], "", []
        return _judged(actions, response["items"])

    def _send_halves(self, actions: list[Action], error: ApiError) -> tuple[list[Action], str, list[Rejection]]:
        """Elasticsearch refuses the request as a whole: find the documents to blame by halving it."""
        if len(actions) == 1:
            return [], "", [Rejection(actions[0], error.status_code, first_line(error.message), first_line(error))]
        later: list[Action] = []
        rejections: list[Rejection] = []
        reason = ""
        for half in (actions[: len(actions) // 2], actions[len(actions) // 2 :]):
            repeat, why, rejected = self._send(half)
            later, reason, rejections = later + repeat, reason or why, rejections + rejected
        return later, reason, rejections

    def _say(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0.0
        self._on_wait("Elasticsearch", str(error), seconds, state.attempt_number)


def _judged(actions: list[Action], items: list[dict[str, Any]]) -> tuple[list[Action], str, list[Rejection]]:
    """Tell the items to repeat from those that are rejected for good."""
    later: list[Action] = []
    rejections: list[Rejection] = []
    reason = ""
    for action, item in zip(actions, items, strict=True):
        result = next(iter(item.values()))
        status = result["status"]
        if status < 300 or status == _SUPERSEDED:
            continue
        error = result.get("error", {})
        kind, why = error.get("type", ""), first_line(error.get("reason", ""))
        full = no_room(status, why)
        if full or status in _LATER or status >= 500 or kind in _LATER_TYPES:
            later.append(action)
            reason = reason or f"it answers {status} for an item ({why if full else kind or 'no reason given'})"
        else:
            rejections.append(Rejection(action, status, kind, why))
    return later, reason, rejections


def no_room(status: int, reason: str) -> bool:
    """Whether Elasticsearch refuses an index because it has all the shards that it may have."""
    return status == 400 and _NO_ROOM in reason


def chunks(actions: Iterable[Action]) -> Iterator[list[Action]]:
    """The actions in lists for one request each. An action that is larger than a request should be gets its own."""
    chunk: list[Action] = []
    size = 0
    for action in actions:
        if chunk and (size + len(action.lines) > MAX_BYTES or len(chunk) == MAX_ACTIONS):
            yield chunk
            chunk, size = [], 0
        chunk.append(action)
        size += len(action.lines)
    if chunk:
        yield chunk
