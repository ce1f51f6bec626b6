"""The Elasticsearch sink: indexes documents with `_bulk`, retries with backoff, returns rejected documents.

A document is rejected only for an error that names it or one of its fields. Every other error (429 Too Many Requests,
5xx, a closed index) is the index's or the cluster's fault: the sink waits until somebody has repaired it, and no valid
match becomes a dead letter.
"""

import logging
import re
import ssl
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from elastic_transport import ConnectionError as ElasticsearchConnectionError
from elastic_transport import ConnectionTimeout, TlsError, TransportError
from elasticsearch import ApiError, Elasticsearch

from job.documents import Action
from job.errors import JobError, first_line
from job.retry import OnProgress, OnWait, TransientError, ignore_progress, retry_with_backoff

if TYPE_CHECKING:  # the executors do not need the settings' libraries
    from job import settings

log = logging.getLogger(__name__)

# Indexing speed levels off at requests of a few megabytes; larger ones only cost memory on both sides.
MAX_BYTES = 6 * 2**20
MAX_ACTIONS = 5000

# Less than the time between two batches: the events of the batches must not wait for a slow Elasticsearch.
_REFRESH_TIMEOUT_SECONDS = 1

# filter_path keeps the response small: only the fields that are evaluated here. The client's own `helpers.bulk` would
# parse and serialize the lines again. Elasticsearch waits for an unassigned shard as long as `timeout`, and then says
# which one it is. Its default of a minute is longer than the client waits (elasticsearch.request_timeout_seconds), and
# the documents of all the other shards would be sent again and again.
_PATH = "/_bulk?timeout=10s&filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason"
_HEADERS = {"accept": "application/json", "content-type": "application/x-ndjson"}

# The error types that name a document or one of its fields, of an item or of a whole request. Any other error is the
# index's or the cluster's fault, also with 400 or 404: closed, missing, no write index, no such pipeline, …
_DOCUMENT_ERRORS = frozenset(
    {
        "document_parsing_exception",
        "strict_dynamic_mapping_exception",
        "mapper_parsing_exception",  # of a document before Elasticsearch 8.8
        "action_request_validation_exception",  # of a whole request: an id over 512 bytes, for example
    }
)
# Lucene's own errors have no type of their own.
_ILLEGAL_ARGUMENT = "illegal_argument_exception"
_FIELD_TOO_LONG = re.compile(r"immense term|DocValuesField .* is too large")
# The mapping of an index that is created automatically, not a document.
_INVALID_MAPPING = "Failed to parse mapping"
_TOO_LARGE = 413
_UNAUTHORIZED = 401
_SECURITY_EXCEPTION = "security_exception"
# Not the answers of an Elasticsearch with a bulk API.
_WRONG_SERVER_STATUSES = frozenset({404, 405, 406, 410})
# The index has the document in a later version, so this one is done.
_VERSION_CONFLICT = "version_conflict_engine_exception"


class Rejection(NamedTuple):
    """An action whose document Elasticsearch rejects, with the status, error type and reason."""

    action: Action
    status: int
    error_class: str
    reason: str


class Connection(NamedTuple):
    """Where Elasticsearch is, and the login. Serializable, and a key of a cache."""

    hosts: tuple[str, ...]
    request_timeout: int
    username: str = ""
    password: str = ""
    ca_certificate: str = ""

    @classmethod
    def of(cls, options: "settings.Elasticsearch") -> "Connection":
        return cls(
            tuple(options.hosts),
            options.request_timeout_seconds,
            options.username,
            options.password.get_secret_value(),
            options.ca_certificate,
        )

    def __repr__(self) -> str:
        return f"Connection({', '.join(self.hosts)})"  # without the password: this may get into a log


@cache
def client(connection: Connection) -> Elasticsearch:
    """The process's Elasticsearch client, shared by its tasks. Retries are left to `BulkSink`.

    Raises JobError if the CA certificate cannot be parsed.
    """
    options: dict[str, Any] = {}
    if connection.username:
        options["basic_auth"] = (connection.username, connection.password)
    if connection.ca_certificate:
        try:
            options["ssl_context"] = ssl.create_default_context(cadata=connection.ca_certificate)
        except ssl.SSLError as error:
            raise JobError(
                f"elasticsearch.ca_certificate: is not a certificate ({error.reason}); correct or remove it"
            ) from error
    return Elasticsearch(
        list(connection.hosts),
        request_timeout=connection.request_timeout,
        max_retries=0,
        retry_on_timeout=False,
        **options,
    )


def advice(error: ApiError | TransportError) -> str:
    """What to do about a refused login or certificate, naming the setting; empty for any other error."""
    if isinstance(error, ApiError):
        return _login_advice(error.status_code, error_of(error)[0])
    if not isinstance(error, TlsError):
        return ""
    cause = error.message
    if "certificate has expired" in cause:
        return "its certificate has expired: a deployment of the stack renews it"
    if is_not_yet_valid(error):
        return (
            "this machine's clock is behind the beginning of its certificate: correct the clock, or it was issued "
            "while the clock was ahead: deploy the stack again"
        )
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        return "set elasticsearch.ca_certificate to the authority that has signed its certificate"
    return "correct http or https in elasticsearch.hosts"


def is_not_yet_valid(error: Exception) -> bool:
    """Whether the server's certificate is not valid yet, which passes without a change of the settings."""
    return isinstance(error, TlsError) and "certificate is not yet valid" in error.message


def _login_advice(status: int, error_type: str) -> str:
    if status == _UNAUTHORIZED:
        return "correct elasticsearch.username and elasticsearch.password"
    if error_type == _SECURITY_EXCEPTION:
        return "elasticsearch.username needs a role that allows it"
    return ""


def refresh(connection: Connection, indices: Sequence[str]) -> None:
    """Make the documents in those of the indices that exist searchable. If it fails, the refresh interval does it."""
    quick = client(connection).options(request_timeout=_REFRESH_TIMEOUT_SECONDS)
    try:
        quick.indices.refresh(index=",".join(indices), ignore_unavailable=True)
    except (ApiError, TransportError) as error:
        log.debug("Elasticsearch did not refresh %s: %s", ", ".join(indices), error)


class BulkSink:
    """Indexes actions in bulk; returns when each is indexed or rejected, however long an outage lasts.

    Its documents are searchable after the index's refresh interval, or after `refresh`.

    A request that times out is sent again with half as many actions: an Elasticsearch that is too slow for the whole
    request would never answer it, although it indexes each copy. The limit grows again with each request that succeeds.
    """

    def __init__(
        self, elasticsearch: Elasticsearch, on_wait: OnWait, on_progress: OnProgress = ignore_progress
    ) -> None:
        self._elasticsearch = elasticsearch
        self._on_wait = on_wait
        self._on_progress = on_progress
        self._max_actions = MAX_ACTIONS

    def index(self, actions: Sequence[Action]) -> list[Rejection]:
        """Index the actions in one request, and retry with backoff those that fail, unless the document is at fault.

        After a timeout it takes several requests.

        Returns the rejections. Raises JobError if the server does not support bulk requests.
        """
        pending = list(actions)
        rejections: list[Rejection] = []

        def attempt() -> None:
            nonlocal pending
            while pending:
                request, rest = pending[: self._max_actions], pending[self._max_actions :]
                to_retry, reason, rejected = self._send(request)
                if len(request) == self._max_actions:
                    self._max_actions = min(MAX_ACTIONS, self._max_actions + self._max_actions // 8 + 1)
                rejections.extend(rejected)
                pending = rest + to_retry  # the rest may be of other indices, which do not fail
                if to_retry:
                    raise TransientError(reason)

        retry_with_backoff("Elasticsearch", attempt, self._on_wait)
        return rejections

    def index_all(self, actions: Sequence[Action]) -> None:
        """Index actions whose documents cannot be at fault: a rejection is the index's fault, and retried as well."""
        pending = list(actions)

        def attempt() -> None:
            nonlocal pending
            rejections = self.index(pending)
            pending = [rejection.action for rejection in rejections]
            if rejections:
                first = rejections[0]
                index, cause = _index_of(first.action), f"{first.error_class}: {first.reason}"
                raise TransientError(f"it rejects a document of {index} with {first.status} ({cause})")

        retry_with_backoff("Elasticsearch", attempt, self._on_wait)

    def _send(self, actions: list[Action]) -> tuple[list[Action], str, list[Rejection]]:
        """Send one request. Returns the actions to retry, the reason of the first of them, and the rejections.

        Raises TransientError if the request as a whole can be retried.
        """
        try:
            response: Any = self._elasticsearch.perform_request(
                "POST", _PATH, headers=_HEADERS, body=b"".join(action.lines for action in actions)
            ).body
        except ApiError as error:
            error_type, reason = error_of(error)
            if _is_documents_fault(error.status_code, error_type, reason):
                return self._send_halves(actions, error)
            if error.status_code in _WRONG_SERVER_STATUSES:
                raise JobError(
                    f"Elasticsearch rejects a whole bulk request with {error.status_code} ({error_type}): check that "
                    "elasticsearch.hosts names an Elasticsearch 8"
                ) from error
            answer = f"it answers {error.status_code} ({describe(error)})"
            raise TransientError("; ".join(filter(None, (answer, advice(error))))) from error
        except TransportError as error:
            if isinstance(error, ConnectionTimeout):
                self._max_actions = max(1, len(actions) // 2)
            problem = "cannot be reached" if isinstance(error, ElasticsearchConnectionError) else "does not answer"
            answer = f"it {problem} ({first_line(error.message)})"
            raise TransientError("; ".join(filter(None, (answer, advice(error))))) from error
        found = _evaluate(actions, response["items"]) if response["errors"] else ([], "", [])
        to_retry, _, rejections = found
        if len(to_retry) + len(rejections) < len(actions):  # of the statistics, rejected documents are sent again too
            self._on_progress()
        return found

    def _send_halves(self, actions: list[Action], error: ApiError) -> tuple[list[Action], str, list[Rejection]]:
        """Find the documents that make a whole request fail, by bisection: send each half of it alone."""
        if len(actions) == 1:
            error_type, why = error_of(error)
            return [], "", [Rejection(actions[0], error.status_code, error_type, why or "too large for a request")]
        pending: list[Action] = []
        rejections: list[Rejection] = []
        reason = ""
        for half in (actions[: len(actions) // 2], actions[len(actions) // 2 :]):
            to_retry, why, rejected = self._send(half)
            pending, reason, rejections = pending + to_retry, reason or why, rejections + rejected
        return pending, reason, rejections


def _evaluate(actions: list[Action], items: list[dict[str, Any]]) -> tuple[list[Action], str, list[Rejection]]:
    """Split the failed items of a response into those to retry and those whose document is rejected."""
    to_retry: list[Action] = []
    rejections: list[Rejection] = []
    reason = ""
    for action, item in zip(actions, items, strict=True):
        result = next(iter(item.values()))
        status = result["status"]
        if status < 300:
            continue
        error = result.get("error", {})
        error_type, why = error.get("type", "no reason given"), first_line(error.get("reason", ""))
        if error_type == _VERSION_CONFLICT:
            continue
        if _is_documents_fault(status, error_type, why):
            rejections.append(Rejection(action, status, error_type, why))
        else:
            to_retry.append(action)
            cause = f"{error_type}: {why}" if why else error_type
            answer = f"it answers {status} for a document of {_index_of(action)} ({cause})"
            reason = reason or "; ".join(filter(None, (answer, _login_advice(status, error_type))))
    return to_retry, reason, rejections


def _is_documents_fault(status: int, error_type: str, reason: str) -> bool:
    """Whether an error names a document or one of its fields, so that the same document fails again."""
    if status == _TOO_LARGE:
        return True
    if error_type == _ILLEGAL_ARGUMENT:
        return _FIELD_TOO_LONG.search(reason) is not None
    return error_type in _DOCUMENT_ERRORS and not reason.startswith(_INVALID_MAPPING)


def _index_of(action: Action) -> str:
    head = orjson.loads(action.lines.partition(b"\n")[0])
    return str(head["index"]["_index"])


def error_of(error: ApiError) -> tuple[str, str]:
    """The type and the reason of an error response, each in one line; the reason is empty without one."""
    body = error.body if isinstance(error.body, dict) else {}
    cause = body.get("error")
    return first_line(error.message), first_line(cause.get("reason", "")) if isinstance(cause, dict) else ""


def describe(error: ApiError) -> str:
    """An error response in one line: its type, then its reason."""
    return ": ".join(part for part in error_of(error) if part)


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
