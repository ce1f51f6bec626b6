"""Elasticsearch, seen from the driver at the start: is it the right one, and are our templates and indices in it?"""

from datetime import UTC, datetime

from elastic_transport import SerializationError, TlsError, TransportError
from elasticsearch import ApiError, BadRequestError, Elasticsearch

from job import settings
from job.documents import monthly_index
from job.errors import JobError, first_line
from job.retry import wait_until_available
from job.sinks import elasticsearch

_MAJOR = 8


def connect(options: settings.Elasticsearch) -> str:
    """Wait for Elasticsearch; return its cluster's name and version in words.

    Raises JobError if nothing answers within the limit of `job.waiting`, or if what answers is no Elasticsearch, of
    another major version, or lacks our index templates. Makes this month's indices where they are missing, so that each
    name answers before the first document.
    """
    client = elasticsearch.client(tuple(options.hosts), options.request_timeout_seconds)
    hosts = ", ".join(options.hosts)

    def complaint(error: ApiError | TransportError) -> str:
        cause = first_line(error.message)
        return f"elasticsearch.hosts: {hosts} cannot serve ({cause}); is it running, is the address right?"

    try:
        return wait_until_available("Elasticsearch", lambda: _check(client, options), _will_pass, complaint)
    except TlsError as error:
        raise JobError(
            f"elasticsearch.hosts: no secure connection to {hosts} ({first_line(error.message)}); correct http or "
            "https in the address, or the server's certificate"
        ) from error
    except (ApiError, SerializationError) as error:
        raise JobError(f"elasticsearch.hosts: {_fault(error, hosts)}") from error


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
        no_room = elasticsearch.no_room(error.status_code, str(error))
        return no_room or error.status_code == 429 or error.status_code >= 500
    return isinstance(error, TransportError) and not isinstance(error, (SerializationError, TlsError))


def _fault(error: ApiError | SerializationError, hosts: str) -> str:
    """What an answer that will stay the same says about who gave it, and what to do."""
    if isinstance(error, ApiError):
        # The client names its version in each request's media type; an Elasticsearch that does not know it says so.
        if error.error == "media_type_header_exception":
            return f"{hosts} does not speak to clients of Elasticsearch {_MAJOR}.x; use such a cluster"
        answer = f"{hosts} answers {error.status_code} ({first_line(error.message)})"
        if error.status_code in (401, 403):
            return f"{answer}; correct address or rights"
        if "x-elastic-product" in error.meta.headers:
            return f"{answer}; its log says more"
    return f"what answers at {hosts} is not Elasticsearch; correct the address"
