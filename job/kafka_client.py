"""Connection settings of Kafka's clients, with the login: for librdkafka and for Java, and the login's errors in words.

librdkafka retries a rejected login for ever and reports only a timeout. Its error callback alone names the reason.
"""

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from confluent_kafka import KafkaError, KafkaException

if TYPE_CHECKING:
    from job.settings import Kafka

_LOGIN_MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}
_NOT_AUTHORIZED = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
)
_REJECTED = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED)
_POLL_SECONDS = 0.05
_METADATA_REFRESH_SECONDS = 5
"""A broker that has just started does not know the controller yet. A client that asks it then asks again only after
this time, by default 5 minutes, and until then its requests time out ("Failed while waiting for controller")."""


@dataclass(frozen=True)
class KafkaClientSettings:
    """Where Kafka is, and the login. `ca_certificate` is PEM text, of the authority that the brokers' are signed by."""

    bootstrap_servers: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "SCRAM-SHA-512"
    username: str = ""
    password: str = field(default="", repr=False)
    ca_certificate: str = ""

    def librdkafka(self) -> dict[str, Any]:
        """As settings of librdkafka: those of a Producer, a Consumer or an AdminClient."""
        settings = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
            "topic.metadata.refresh.interval.ms": str(_METADATA_REFRESH_SECONDS * 1000),
        }
        if self.username:
            settings |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.username,
                "sasl.password": self.password,
            }
        if self.ca_certificate:
            settings["ssl.ca.pem"] = self.ca_certificate
        return settings

    def java(self) -> dict[str, str]:
        """As settings of Kafka's Java clients, which are those of Spark too."""
        settings = {"bootstrap.servers": self.bootstrap_servers, "security.protocol": self.security_protocol}
        if self.username:
            settings |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.jaas.config": (
                    f"{_LOGIN_MODULES[self.sasl_mechanism]} required "
                    f"username={_quoted(self.username)} password={_quoted(self.password)};"
                ),
            }
        if self.ca_certificate:
            settings |= {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": self.ca_certificate}
        return settings


def client_settings(kafka: "Kafka") -> KafkaClientSettings:
    """Those of the section `kafka` of the job's settings."""
    return KafkaClientSettings(
        kafka.bootstrap_servers,
        kafka.security_protocol,
        kafka.sasl_mechanism,
        kafka.username,
        kafka.password.get_secret_value(),
        kafka.ca_certificate,
    )


def _quoted(text: str) -> str:
    """A string of a JAAS configuration."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Pollable(Protocol):
    def poll(self, timeout: float) -> Any: ...


class ConnectionErrors:
    """A client's `error_cb`: remembers why it cannot connect."""

    def __init__(self) -> None:
        self.last: KafkaError | None = None
        """The last error that names a cause."""
        self.rejected: KafkaError | None = None
        """The last rejected login."""

    def __call__(self, error: KafkaError) -> None:
        if error.code() in _REJECTED:
            self.rejected = error
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # follows errors that name the cause
            self.last = error

    def wait(self, client: _Pollable, future: Future[Any]) -> Any:
        """The result of an AdminClient's request. A rejected login ends the wait at once, with its error.

        Raises KafkaException.
        """
        client.poll(0)  # delivers errors from before the request
        self.last, earlier = None, self.rejected  # not reset: another thread may wait with this client
        while True:
            try:
                return future.result(timeout=_POLL_SECONDS)
            except TimeoutError:
                client.poll(0)  # delivers errors to this callback
                if self.rejected is not None and self.rejected is not earlier:
                    raise KafkaException(self.rejected) from None


def check_listed(found: Any) -> Any:
    """Kafka's answer for a partition to a request for its offsets (AdminClient.list_offsets), if there was one.

    The client reports no error for an answer that was late or cut off, but its own mark for "unknown"
    (OFFSET_INVALID, -1001) as the offset. Kafka's answers begin at -1: no message matches. Raises KafkaException.
    """
    if found.offset < -1:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer with the offsets of a partition"))
    return found


def is_login_error(error: KafkaError) -> bool:
    """Whether Kafka has rejected the login, or does not permit its user what was requested."""
    return error.code() in _REJECTED or error.code() in _NOT_AUTHORIZED


def describe_login_error(error: KafkaError, servers: str, username: str, setting: str) -> str:
    """A login's error as one line: `setting` names where username and password are set."""
    who = f"the user {username}" if username else "a client without a login"
    if error.code() in _NOT_AUTHORIZED:
        return f"{setting}: Kafka at {servers} does not permit {who} this ({error.str()}); use a login with that right"
    return f"{setting}: Kafka at {servers} rejects the login of {who}; correct username and password"


def describe_error(error: KafkaError, kafka: KafkaClientSettings) -> str:
    """An error as one line. A login's error names the job's settings."""
    if is_login_error(error):
        return describe_login_error(error, kafka.bootstrap_servers, kafka.username, "kafka.username, kafka.password")
    return error.str()
