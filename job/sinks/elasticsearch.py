"""The Elasticsearch sink: indexes documents with `_bulk`, retries transient errors with backoff, returns rejections."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from elastic_transport import ConnectionError as ElasticsearchConnectionError
from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch

from job.documents import Action
from job.errors import JobError, first_line
from job.retry import OnWait, TransientError, retry_with_backoff

log = logging.getLogger(__name__)

# Indexing speed levels off at requests of a few megabytes; larger ones only cost memory on both sides.
MAX_BYTES = 6 * 2**20
MAX_ACTIONS = 5000

# filter_path keeps the response small: only the fields that are evaluated here. The client's own `helpers.bulk` would
# parse and serialize the lines again.
_PATH = "/_bulk?filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason"
_HEADERS = {"accept": "application/json", "content-type": "application/x-ndjson"}

# Transient, of an item as of a whole request, besides all 5xx: timeout (408), too many requests (429), or not allowed
# until somebody corrects the rights. The document is not at fault. With any other 4xx, it is.
_TRANSIENT_STATUSES = frozenset({401, 403, 408, 429})
# Transient too: an index that does not exist and cannot be created automatically (its template is missing), or that
# somebody has closed; a cluster at its limit of shards.
_TRANSIENT_TYPES = frozenset({"index_not_found_exception", "index_closed_exception"})
_SHARD_LIMIT = "shards open"
# A version conflict: the index has the document in a later version, so this one is done.
_VERSION_CONFLICT = 409
# Of a whole request: it is too large, or one of its documents makes all of it invalid (an id over 512 bytes does).
_SPLIT_STATUSES = frozenset({400, 413})


class Rejection(NamedTuple):
    """An action that Elasticsearch rejects permanently, with its status, error type and reason."""

    action: Action
    status: int
    error_class: str
    reason: str


@cache
def client(hosts: tuple[str, ...], request_timeout: int) -> Elasticsearch:
    """The process's Elasticsearch client, shared by its tasks. Retries are left to `BulkSink`."""
    return Elasticsearch(list(hosts), request_timeout=request_timeout, max_retries=0, retry_on_timeout=False)


class BulkSink:
    """Indexes actions in bulk; returns when each is indexed or rejected, however long an outage lasts.

    `max_backoff` is in seconds.
    """

    def __init__(self, elasticsearch: Elasticsearch, on_wait: OnWait, max_backoff: float = 5) -> None:
        self._elasticsearch = elasticsearch
        self._on_wait = on_wait
        self._max_backoff = max_backoff

    def index(self, actions: Sequence[Action]) -> list[Rejection]:
        """Index the actions in one request, and retry those that fail for a transient reason with backoff.

        Transient are 429, 5xx, no connection, and an index that is not available.

        Returns the rejections. Raises JobError if the server does not support bulk requests.
        """
        pending = list(actions)
        rejections: list[Rejection] = []

        def attempt() -> None:
            nonlocal pending
            if not pending:
                return
            pending, reason, rejected = self._send(pending)
            rejections.extend(rejected)
            if pending:
                raise TransientError(reason)

        retry_with_backoff("Elasticsearch", attempt, self._on_wait, max_seconds=self._max_backoff)
        return rejections

    def _send(self, actions: list[Action]) -> tuple[list[Action], str, list[Rejection]]:
        """Send one request. Returns the actions to retry, the reason of the first of them, and the rejections.

        Raises TransientError if the request as a whole can be retried.
        """
        try:
            response: Any = self._elasticsearch.perform_request(
                "POST", _PATH, headers=_HEADERS, body=b"".join(action.lines for action in actions)
            ).body
        except ApiError as error:
            if error.status_code in _SPLIT_STATUSES:
                return self._send_halves(actions, error)
            if error.status_code in _TRANSIENT_STATUSES or error.status_code >= 500:
                raise TransientError(f"it answers {error.status_code} ({first_line(error.message)})") from error
            raise JobError(
                f"Elasticsearch rejects a whole bulk request with {error.status_code} ({first_line(error.message)}): "
                "check that elasticsearch.hosts names an Elasticsearch 8"
            ) from error
        except TransportError as error:
            problem = "cannot be reached" if isinstance(error, ElasticsearchConnectionError) else "does not answer"
            raise TransientError(f"it {problem} ({first_line(error.message)})") from error
        if not response["errors"]:
            return [], "", []
        return _evaluate(actions, response["items"])

    def _send_halves(self, actions: list[Action], error: ApiError) -> tuple[list[Action], str, list[Rejection]]:
        """Find the documents that make a whole request fail, by bisection: send each half of it alone."""
        if len(actions) == 1:
            return [], "", [Rejection(actions[0], error.status_code, first_line(error.message), first_line(error))]
        pending: list[Action] = []
        rejections: list[Rejection] = []
        reason = ""
        for half in (actions[: len(actions) // 2], actions[len(actions) // 2 :]):
            to_retry, why, rejected = self._send(half)
            pending, reason, rejections = pending + to_retry, reason or why, rejections + rejected
        return pending, reason, rejections


def _evaluate(actions: list[Action], items: list[dict[str, Any]]) -> tuple[list[Action], str, list[Rejection]]:
    """Split the failed items of a response into those to retry and those that are rejected permanently."""
    to_retry: list[Action] = []
    rejections: list[Rejection] = []
    reason = ""
    for action, item in zip(actions, items, strict=True):
        result = next(iter(item.values()))
        status = result["status"]
        if status < 300 or status == _VERSION_CONFLICT:
            continue
        error = result.get("error", {})
        error_type, why = error.get("type", ""), first_line(error.get("reason", ""))
        at_limit = is_shard_limit(status, why)
        if at_limit or status in _TRANSIENT_STATUSES or status >= 500 or error_type in _TRANSIENT_TYPES:
            to_retry.append(action)
            cause = why if at_limit else error_type or "no reason given"
            reason = reason or f"it answers {status} for an item ({cause})"
        else:
            rejections.append(Rejection(action, status, error_type, why))
    return to_retry, reason, rejections


def is_shard_limit(status: int, reason: str) -> bool:
    """Whether Elasticsearch cannot create an index because the cluster is at its limit of shards."""
    return status == 400 and _SHARD_LIMIT in reason


def chunks(actions: Iterable[Action]) -> Iterator[list[Action]]:
    """Split actions into bulk requests of at most MAX_ACTIONS and MAX_BYTES; a larger action gets its own request."""
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
