"""Elasticsearch, seen from the driver at the start: is it the right one, and are our templates and indices in it?"""

import logging
from datetime import UTC, datetime

from elastic_transport import TransportError
from elasticsearch import ApiError, BadRequestError, Elasticsearch, UnsupportedProductError
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from job import bulk, settings
from job.documents import monthly_index
from job.errors import JobError

log = logging.getLogger(__name__)

_MAJOR = 8


def connect(options: settings.Elasticsearch) -> str:
    """Wait for Elasticsearch; return its cluster's name and version in words.

    Raises JobError if what answers is no Elasticsearch, of another major version, or lacks our index templates.
    Makes this month's indices where they are missing, so that each name answers before the first document.
    """
    client = bulk.client(tuple(options.hosts), options.request_timeout_seconds)
    hosts = ", ".join(options.hosts)

    def say_waiting(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning(
            "Waiting for Elasticsearch: elasticsearch.hosts %s cannot serve (%s); is it running, is the address right?",
            hosts,
            str(error).partition("\n")[0],
        )

    retrying = Retrying(
        retry=retry_if_exception(_will_pass),
        wait=wait_random_exponential(multiplier=1, max=10),
        before_sleep=say_waiting,
    )
    try:
        return retrying(_check, client, options)
    except UnsupportedProductError as error:
        raise JobError(
            f"elasticsearch.hosts: what answers at {hosts} is not Elasticsearch; correct the address"
        ) from error
    except ApiError as error:
        raise JobError(
            f"elasticsearch.hosts: {hosts} answers {error.status_code} ({error.message}); correct address or rights"
        ) from error


def _check(client: Elasticsearch, options: settings.Elasticsearch) -> str:
    info = client.info()
    version = str(info["version"]["number"])
    if int(version.partition(".")[0]) != _MAJOR:
        raise JobError(
            f"elasticsearch.hosts: {', '.join(options.hosts)} is Elasticsearch {version}; this job speaks to "
            f"{_MAJOR}.x only: use such a cluster"
        )
    for name in (options.matches, options.champions, options.positions):
        if not client.indices.exists_index_template(name=name):
            raise JobError(f"elasticsearch: there is no index template {name}; create it (`pulumi up` does)")
        _make_index(client, monthly_index(name, int(datetime.now(UTC).timestamp() * 1000)))
    return f"{info['cluster_name']} {version} at {', '.join(options.hosts)}"


def _make_index(client: Elasticsearch, index: str) -> None:
    try:
        client.indices.create(index=index)
    except BadRequestError as error:
        if error.error != "resource_already_exists_exception":
            raise


def _will_pass(error: BaseException) -> bool:
    """A service that starts or restarts: it does not answer, or says that it cannot yet."""
    if isinstance(error, ApiError):
        return error.status_code == 429 or error.status_code >= 500
    return isinstance(error, TransportError)
