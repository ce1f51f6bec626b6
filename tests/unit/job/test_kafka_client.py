"""Kafka's client settings with a login, for librdkafka and for Java, and a rejected login's error."""

from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from job.kafka_client import (
    ConnectionErrors,
    KafkaClientSettings,
    client_settings,
    describe_error,
    describe_login_error,
    is_login_error,
)
from job.settings import with_overrides

REFRESH = {"topic.metadata.refresh.interval.ms": "5000"}
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"


def test_without_a_login_no_setting_of_one_is_set() -> None:
    plain = client_settings(with_overrides({}).kafka)
    assert plain.librdkafka() == plain.java() | REFRESH
    assert plain.java() == {"bootstrap.servers": "kafka:9092", "security.protocol": "PLAINTEXT"}


def test_login_and_tls_of_librdkafka_and_java() -> None:
    login = {"security_protocol": "SASL_SSL", "username": "job", "password": "p", "ca_certificate": CERTIFICATE}
    found = client_settings(with_overrides({"kafka": login}).kafka)
    both = {"bootstrap.servers": "kafka:9092", "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512"}
    login = {"sasl.username": "job", "sasl.password": "p", "ssl.ca.pem": CERTIFICATE}
    assert found.librdkafka() == both | login | REFRESH
    module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    assert found.java() == both | {
        "sasl.jaas.config": f'{module} required username="job" password="p";',
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": CERTIFICATE,
    }


def test_quotes_and_backslashes_are_escaped_for_java() -> None:
    jaas = KafkaClientSettings("k:1", "SASL_SSL", "PLAIN", "me", 'a"b\\c').java()["sasl.jaas.config"]
    assert jaas == (
        'org.apache.kafka.common.security.plain.PlainLoginModule required username="me" password="a\\"b\\\\c";'
    )


def test_password_is_not_in_the_settings_text() -> None:
    overrides = {"kafka": {"security_protocol": "SASL_PLAINTEXT", "username": "job", "password": "hush"}}
    options = with_overrides(overrides)
    assert "hush" not in repr(options)
    assert "hush" not in repr(client_settings(options.kafka))


class RejectedClient:
    """A client whose second poll delivers a rejected login."""

    def __init__(self, errors: ConnectionErrors) -> None:
        self.polls = 0
        self._errors = errors

    def poll(self, _timeout: float) -> None:
        self.polls += 1
        if self.polls == 2:
            self._errors(KafkaError(KafkaError._AUTHENTICATION, "invalid credentials"))
            self._errors(KafkaError(KafkaError._ALL_BROKERS_DOWN))


def test_rejected_login_ends_the_wait_for_an_answer_at_once() -> None:
    """librdkafka would repeat the login until the request's timeout."""
    errors, unanswered = ConnectionErrors(), Future[Any]()
    with pytest.raises(KafkaException) as raised:
        errors.wait(RejectedClient(errors), unanswered)
    assert raised.value.args[0].code() == KafkaError._AUTHENTICATION
    assert errors.last is errors.rejected


def test_answer_is_returned_and_an_earlier_rejected_login_is_forgotten() -> None:
    """Kafka acknowledges a user some time before it accepts the login."""
    errors, answered = ConnectionErrors(), Future[Any]()
    errors(KafkaError(KafkaError._AUTHENTICATION))
    answered.set_result("cluster")
    assert errors.wait(RejectedClient(errors), answered) == "cluster"
    assert errors.last is None


class StaleClient:
    """A client that was not polled since a login was rejected. Kafka answers during the third poll."""

    def __init__(self, errors: ConnectionErrors, future: Future[Any]) -> None:
        self._errors = errors
        self._future = future
        self.polls = 0

    def poll(self, _timeout: float) -> None:
        self.polls += 1
        if self.polls == 1:
            self._errors(KafkaError(KafkaError._AUTHENTICATION, "invalid credentials"))
        if self.polls == 3:
            self._future.set_result("cluster")


def test_login_that_was_rejected_before_the_request_does_not_end_its_wait() -> None:
    """Its event is delivered by the client's next poll, which can be minutes later."""
    errors, future = ConnectionErrors(), Future[Any]()
    assert errors.wait(StaleClient(errors, future), future) == "cluster"
    assert errors.last is None


def test_rejected_login_ends_the_wait_although_another_thread_begins_one() -> None:
    """The checks of `make status` share a client."""

    class SharedClient(RejectedClient):
        def poll(self, timeout: float) -> None:
            super().poll(timeout)
            assert self.polls < 5, "the wait does not end"
            if self.polls == 2:
                answered = Future[Any]()
                answered.set_result("another thread's answer")
                errors.wait(RejectedClient(errors), answered)

    errors, unanswered = ConnectionErrors(), Future[Any]()
    with pytest.raises(KafkaException):
        errors.wait(SharedClient(errors), unanswered)


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (KafkaError._AUTHENTICATION, "x: Kafka at k:1 rejects the login of the user me; correct username and password"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "x: Kafka at k:1 does not permit the user me this (why); use a login"),
    ],
)
def test_login_error_names_setting_and_user(code: int, line: str) -> None:
    error = KafkaError(code, "why")
    assert is_login_error(error)
    assert describe_login_error(error, "k:1", "me", "x").startswith(line)
    named = describe_error(error, KafkaClientSettings("k:1", username="me"))
    assert named == describe_login_error(error, "k:1", "me", "kafka.username, kafka.password")


def test_other_errors_are_described_in_the_librarys_words() -> None:
    other = KafkaError(KafkaError._TRANSPORT, "Connection refused")
    assert not is_login_error(other)
    assert describe_error(other, KafkaClientSettings("k:1")) == "Connection refused"
