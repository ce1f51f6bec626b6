"""The archive stores each match as it arrived: across outages, crashes and transactions, and from large batches."""

from __future__ import annotations

import re
import shlex
import time
from contextlib import ExitStack

import pytest
import yaml
from confluent_kafka import Producer

from harness.stack import Stack, sum_samples
from harness.waiting import eventually
from infra.clients.cassandra import CassandraError
from infra.clients.task_container import put_files
from infra.logins import login_of
from infra.names import JOB_SETTINGS, ROOT, stack_prefix
from job.archive import MAX_BYTES
from job.times import now_ms
from tests.support.kafka_batch import send_batch
from tests.support.known_messages import KnownMessages
from tests.support.own_container import own_container
from tests.support.sample_matches import ARRIVED_AT, match, participant, value

pytestmark = pytest.mark.disruptive


def read_archive(stack: Stack, match_ids: list[str]) -> dict[str, bytes]:
    """The archived messages of these matches, by match id. Raises AssertionError if Cassandra does not answer."""
    try:
        with stack.cassandra() as session:
            select = session.prepare("SELECT match_id, message FROM lol.matches WHERE match_id = ?")
            rows = [session.execute(select, [match_id], timeout=30).one() for match_id in match_ids]
    except CassandraError as error:  # it starts
        raise AssertionError(str(error)) from error
    return {row.match_id: row.message for row in rows if row}


def assert_archived(stack: Stack, known: KnownMessages) -> None:
    """Wait until each match is archived byte for byte; of duplicates, the later message."""
    expected = known.matches()
    assert expected

    def all_archived() -> None:
        found = read_archive(stack, list(expected))
        assert len(found) == len(expected), f"{len(expected) - len(found)} of {len(expected)} matches are missing"
        different = [match_id for match_id, message in expected.items() if found[match_id] != message]
        assert not different, f"{len(different)} of {len(expected)} matches differ, the first: {different[0]}"

    eventually(all_archived, timeout_seconds=240, poll_seconds=2)


def test_each_match_is_archived_unchanged(stack: Stack) -> None:
    known = KnownMessages(stack, count=300)
    known.send()
    assert_archived(stack, known)


def test_wrong_kafka_password_is_one_line_with_the_setting_and_delays_matches_only(stack: Stack) -> None:
    archive, known = stack.container("archive"), KnownMessages(stack)
    password = stack.outputs["credentials"][login_of("kafka", "archive")]
    settings = stack.host("archive").check_output(f"cat {JOB_SETTINGS}")
    before = len(archive.logs())
    put_files(archive, {JOB_SETTINGS: settings.replace(password, "wrong").encode()})
    archive.restart(timeout=0)

    def refused() -> None:
        lines = archive.logs()[before:].decode().splitlines()
        assert any("The archive ends: kafka.username, kafka.password: " in line for line in lines), lines
        assert not any("Traceback" in line for line in lines), lines

    try:
        known.send()
        eventually(refused)
    finally:
        put_files(archive, {JOB_SETTINGS: settings.encode()})
    assert_archived(stack, known)


def test_last_of_many_versions_of_a_match_in_one_millisecond_wins_in_both_stores(stack: Stack) -> None:
    """A producer's batch has one arrival time. It has more messages than a millisecond has microseconds."""
    delay = now_ms() - ARRIVED_AT
    times = {
        field: match()["info"][field] + delay for field in ("gameCreation", "gameStartTimestamp", "gameEndTimestamp")
    }
    match_id = f"EUW1_{time.time_ns()}"
    versions = [
        value(match(participant(1, kills=kills, challenges=...), match_id=match_id, **times)) for kills in range(1_200)
    ]
    arrivals: list[int] = []
    producer = Producer({**stack.kafka_settings(), "linger.ms": 60_000})
    for version in versions:
        producer.produce(
            "lol_matches", version, match_id, on_delivery=lambda _, sent: arrivals.append(sent.timestamp()[1])
        )
    producer.list_topics("lol_matches", timeout=30)  # as in send_batch
    assert producer.flush(60) == 0
    assert arrivals.count(arrivals[-1]) > 1_000, "the messages were not sent in one batch"

    def indexed() -> None:
        hits = stack.elasticsearch().search(index="lol_matches_stream", q=f"match_id:{match_id}")["hits"]["hits"]
        assert [hit["_source"]["kills"] for hit in hits] == [1_199]

    def archived() -> None:
        assert read_archive(stack, [match_id]) == {match_id: versions[-1]}

    eventually(indexed)
    eventually(archived)


def test_archive_retries_through_an_outage_and_connects_to_cassandras_new_address(stack: Stack) -> None:
    """A restarted container gets another address if its former one is taken. The archive runs on."""
    archive, cassandra = stack.container("archive"), stack.container("cassandra")
    network, address = stack_prefix(stack.name), stack.address("cassandra")
    started_at, known = archive.attrs["State"]["StartedAt"], KnownMessages(stack, count=300)
    cassandra.stop()
    image = str(archive.attrs["Image"])
    others: list[str] = []
    with ExitStack() as created:
        created.callback(cassandra.start)
        while address not in [stack.address(other) for other in others]:
            assert len(others) < 10, f"no container has got the address {address}"
            others.append(f"other-{len(others)}")
            other = own_container(stack, others[-1], image, ["sleep", "infinity"], network=network, init=True)
            created.enter_context(other).start()
        known.send()
        cassandra.start()
        new_address = stack.address("cassandra")
    assert new_address != address
    assert_archived(stack, known)
    archive.reload()
    assert archive.attrs["State"]["StartedAt"] == started_at, "the archive was restarted"


def test_archive_logs_an_outage_of_cassandra_and_resumes_after_a_crash(stack: Stack) -> None:
    cassandra = stack.container("cassandra")

    def retries() -> int:
        """How often the archive has logged that it waits for Cassandra with unwritten matches."""
        return stack.log("archive").count(" s for Cassandra")

    retries_before = retries()
    cassandra.stop()
    try:
        known = KnownMessages(stack, count=300)
        known.send()

        def retried() -> None:
            assert retries() > retries_before, "the archive does not log that it waits for Cassandra"

        def reports_lag() -> None:
            lag = stack.prometheus().value("sum(lol_archive_lag_messages)")
            assert lag, "the archive reports no lag"

        eventually(retried)
        eventually(reports_lag)
        stack.container("archive").restart(timeout=0)
    finally:
        cassandra.start()
    assert_archived(stack, known)


def fresh_match(number: int, padding: int = 0) -> tuple[str, bytes]:
    """The id and the message of a match that has just ended, with white space behind it."""
    now = now_ms()
    match_id = f"EUW1_{now}{number:03}"
    game = match(match_id=match_id, gameCreation=now - 60_000, gameStartTimestamp=now - 60_000, gameEndTimestamp=now)
    return match_id, value(game) + b" " * padding


def lag(stack: Stack, service: str, metric: str) -> float:
    """The service's lag in partition 0, from its own metrics endpoint."""
    return sum_samples(stack.samples(service), metric, partition="0")


def test_messages_behind_an_open_transaction_are_lag_until_it_ends(stack: Stack) -> None:
    servers = stack.kafka_settings()
    lags = (("spark-job", "lol_job_kafka_lag_messages"), ("archive", "lol_archive_lag_messages"))

    def has_lag(expected: float) -> None:
        found = {service: lag(stack, service, metric) for service, metric in lags}
        assert set(found.values()) == {expected}, f"lag {found}, not {expected}"

    eventually(lambda: has_lag(0))
    transaction = Producer({**servers, "transactional.id": "test-archive", "transaction.timeout.ms": 600_000})
    transaction.init_transactions(30)
    transaction.begin_transaction()
    transaction.produce("lol_matches", b"{", partition=0)
    try:
        assert transaction.flush(30) == 0, "Kafka did not acknowledge the message of the transaction"
        plain = Producer(servers)
        waiting = dict(fresh_match(number) for number in range(30))
        for message in waiting.values():
            plain.produce("lol_matches", message, partition=0)
        assert plain.flush(30) == 0, "Kafka did not acknowledge the messages behind the transaction"
        eventually(lambda: has_lag(31))
        assert stack.job_metric("lol_job_open_transaction_messages", partition="0") == 31
        assert stack.job_metric("lol_job_open_transaction_seconds", partition="1") == 0
        status = " ".join(stack.make("status").stdout.replace("│", " ").split())
        assert ", 31 behind an open transaction in partition 0" in status
        assert read_archive(stack, list(waiting)) == {}
        assert "CurrentTransactionStartOffset" in output_of_runbook(stack, "OpenTransaction")
    finally:  # while it is open, nobody reads what is behind it
        transaction.commit_transaction(30)
    # The transaction's marker takes an offset of its own.
    eventually(lambda: has_lag(0))
    eventually(lambda: archived(stack, waiting))


def output_of_runbook(stack: Stack, alert: str) -> str:
    """What the first command of an alert's runbook prints, with this stack's container, for partition 0."""
    [rule] = [
        rule
        for group in yaml.safe_load((ROOT / "mappings" / "prometheus" / "alert_rules.yml").read_text())["groups"]
        for rule in group["rules"]
        if rule.get("alert") == alert
    ]
    command = rule["annotations"]["runbook"].split("`")[1].replace("{{ $externalLabels.stack }}", stack.name)
    docker, execute, container, *arguments = shlex.split(command.replace("{{ $labels.partition }}", "0"))
    assert [docker, execute, container] == ["docker", "exec", stack.container_name("kafka")]
    output = stack.container("kafka").exec_run(arguments).output
    assert isinstance(output, bytes)
    return output.decode()


def archived(stack: Stack, messages: dict[str, bytes]) -> None:
    missing = messages.keys() - read_archive(stack, list(messages)).keys()
    assert not missing, f"{len(missing)} of {len(messages)} matches are not archived"


def test_match_of_the_largest_accepted_size_is_archived(stack: Stack) -> None:
    match_id, message = fresh_match(0)
    largest = {match_id: message + b" " * (MAX_BYTES - len(message))}
    send_batch(stack.kafka_settings(), "lol_matches", largest.values(), compression="zstd")
    eventually(lambda: archived(stack, largest), poll_seconds=2)


def test_large_batch_is_archived_and_an_unreadable_one_is_logged_and_passed(stack: Stack) -> None:
    """Batches of a few kilobytes: 14 matches with 9 MB of white space each, then 40, which exceed the limit."""

    def send(count: int) -> dict[str, bytes]:
        messages = dict(fresh_match(number, padding=9_000_000) for number in range(count))
        send_batch(stack.kafka_settings(), "lol_matches", messages.values(), compression="zstd")
        return messages

    archive = stack.container("archive")
    large = send(14)
    send(40)
    after = send(1)

    def unreadable() -> None:
        found = lag(stack, "archive", "lol_archive_unreadable_total")
        assert found == 40, f"{found:.0f} messages are counted as unreadable"

    eventually(lambda: archived(stack, large | after), poll_seconds=2)
    eventually(unreadable)
    assert re.search(
        r"Not archived: topic lol_matches, partition 0, offsets \d+ to \d+ cannot be read: ", stack.log("archive")
    )
    started_at = archive.attrs["State"]["StartedAt"]
    archive.reload()
    assert archive.attrs["State"]["StartedAt"] == started_at, "the archive has exceeded its memory limit"
