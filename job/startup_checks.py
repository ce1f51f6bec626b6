"""Start-up checks of the driver's dependencies: Elasticsearch (version, index templates, indices) and the Spark master.

Each check waits, with retries and a timeout (`job.retry`), for a service that is still starting. Kafka's check is
`TopicInspector.connect` in `job.topic`.
"""

import logging
import re
import socket
from collections.abc import Callable
from typing import TypeVar

from elastic_transport import SerializationError, TlsError, TransportError
from elasticsearch import ApiError, BadRequestError, Elasticsearch, NotFoundError

from job import settings
from job.errors import JobError, first_line
from job.ids import monthly_index
from job.retry import wait_until_available
from job.sinks import elasticsearch
from job.times import now_ms

T = TypeVar("T")

log = logging.getLogger(__name__)

_ELASTICSEARCH_MAJOR = 8

_CANNOT_CREATE_INDEX = ("validation_exception", "cluster_block_exception")

_SPARK_SCHEME = "spark://"
_HOST_AND_PORT = re.compile(r"(?P<host>[^\s,:]+):(?P<port>[0-9]{1,5})")
_CONNECT_TIMEOUT_SECONDS = 5


def wait_for_elasticsearch(options: settings.Elasticsearch) -> str:
    """Wait until Elasticsearch is available, check it, and return its cluster's name, version and addresses as text.

    Creates this month's indices if they are missing, so that each alias can be searched before the first document.
    Warns of an index that is not in its alias.

    Raises JobError if nothing answers before the timeout of `job.retry`, or if the server is not Elasticsearch, has
    another major version, rejects the credentials, or lacks an index template of the job.
    """
    return _when_available(options, lambda client: _check(client, options))


def has_indexed_matches(options: settings.Elasticsearch) -> bool:
    """Whether the matches' alias has a document. Waits, and raises JobError, as `wait_for_elasticsearch` does.

    A closed index cannot be searched, but a new deployment has none.
    """

    def search(client: Elasticsearch) -> bool:
        try:
            found = client.search(index=options.matches, size=0, track_total_hits=1, allow_partial_search_results=False)
        except NotFoundError as error:
            if error.error != "index_not_found_exception":
                raise
            return False
        except BadRequestError as error:
            if error.error != "index_closed_exception":
                raise
            return True
        return bool(found["hits"]["total"]["value"])

    return _when_available(options, search)


def _when_available(options: settings.Elasticsearch, request: Callable[[Elasticsearch], T]) -> T:
    """Wait until Elasticsearch is available, and return the result of `request`."""
    client = elasticsearch.client(elasticsearch.Connection.of(options))
    hosts = ", ".join(options.hosts)

    def complaint(error: ApiError | TransportError) -> str:
        if isinstance(error, ApiError):
            return f"elasticsearch.hosts: {hosts} answers {error.status_code} ({elasticsearch.describe(error)})."
        cause = first_line(error.message)
        check = f"{advice}." if (advice := elasticsearch.advice(error)) else "is it running, is the address right?"
        return f"elasticsearch.hosts: {hosts} is not available ({cause}); {check}"

    try:
        return wait_until_available("Elasticsearch", lambda: request(client), _is_temporary, complaint)
    except TlsError as error:
        raise JobError(
            f"elasticsearch.hosts: no secure connection to {hosts} ({first_line(error.message)}); "
            f"{elasticsearch.advice(error)}"
        ) from error
    except (ApiError, SerializationError) as error:
        raise JobError(f"elasticsearch.hosts: {_permanent_error(error, hosts)}") from error


def wait_for_spark_master(master: str) -> None:
    """Wait until one of the standalone Spark masters accepts a connection. Spark checks other kinds of master itself.

    Spark's own error comes after a minute, as stack traces that do not name the setting.

    Raises JobError if no master accepts a connection before the timeout of `job.retry`, or if `master` is not an
    address.
    """
    if not master.startswith(_SPARK_SCHEME):
        return
    found = [_HOST_AND_PORT.fullmatch(address) for address in master.removeprefix(_SPARK_SCHEME).split(",")]
    addresses = [(each["host"], int(each["port"])) for each in found if each and 0 < int(each["port"]) < 65536]
    if len(addresses) < len(found):
        raise JobError(f"master: {master} is not an address; write spark://host:7077")

    def connect_to_any() -> None:
        errors = []
        for address in addresses:
            try:
                socket.create_connection(address, timeout=_CONNECT_TIMEOUT_SECONDS).close()
                return
            except OSError as error:
                errors.append(error)
        raise errors[0]

    def complaint(error: OSError) -> str:
        cause = error.strerror or str(error)
        return f"master: {master} is not available ({cause}); is the Spark master running, is the address right?"

    wait_until_available("the Spark master", connect_to_any, lambda error: isinstance(error, OSError), complaint)


def _check(client: Elasticsearch, options: settings.Elasticsearch) -> str:
    info = client.info()
    version = str(info["version"]["number"])
    if int(version.partition(".")[0]) != _ELASTICSEARCH_MAJOR:
        raise JobError(
            f"elasticsearch.hosts: {', '.join(options.hosts)} is Elasticsearch {version}; this job supports "
            f"{_ELASTICSEARCH_MAJOR}.x only: use such a cluster"
        )
    for alias in (options.matches, options.teams, options.champions, options.positions):
        if not client.indices.exists_index_template(name=alias):
            raise JobError(
                f"elasticsearch: there is no index template {alias}; create it (a deployment of the stack does)"
            )
        _create_index(client, alias)
    return f"{info['cluster_name']} {version} at {', '.join(options.hosts)}"


def _create_index(client: Elasticsearch, alias: str) -> None:
    """Create this month's index if nothing has its name. An alias may have it, after a reindex or a shrink."""
    index = monthly_index(alias, now_ms())
    if client.indices.exists(index=index):
        if not client.indices.exists_alias(index=index, name=alias):
            log.warning(
                "The index %s is not in the alias %s, so searches do not find its documents; add it (a deployment of "
                "the stack does)",
                index,
                alias,
            )
        return
    try:
        client.indices.create(index=index)
    except BadRequestError as error:
        if error.error != "resource_already_exists_exception":
            raise


def _is_temporary(error: BaseException) -> bool:
    """Whether a retry can succeed: no connection, a rate limit (429), a server error (5xx), no index can be created now
    (the limit of shards, a blocked cluster), or a certificate that is not valid yet."""
    if isinstance(error, ApiError):
        return error.status_code == 429 or error.status_code >= 500 or error.error in _CANNOT_CREATE_INDEX
    if isinstance(error, TlsError):
        return elasticsearch.is_not_yet_valid(error)
    return isinstance(error, TransportError) and not isinstance(error, SerializationError)


def _permanent_error(error: ApiError | SerializationError, hosts: str) -> str:
    """Describe an error that a retry cannot fix: which server sent it, and what to do."""
    if isinstance(error, ApiError):
        # The client names its version in each request's media type; an Elasticsearch that does not support it sends
        # this error.
        if error.error == "media_type_header_exception":
            return f"{hosts} does not support clients of Elasticsearch {_ELASTICSEARCH_MAJOR}.x; use such a cluster"
        answer = f"{hosts} answers {error.status_code} ({elasticsearch.describe(error)})"
        if advice := elasticsearch.advice(error):
            return f"{answer}; {advice}"
        if "x-elastic-product" in error.meta.headers:
            return f"{answer}; see its log"
    return f"the server at {hosts} is not Elasticsearch; correct the address"
