"""The shared names agree with what cannot import them: the job, the generator, and the files of index templates."""

from __future__ import annotations

from generator.producer import MAX_MESSAGE_BYTES as GENERATOR_MAX_MESSAGE_BYTES
from infra import names
from infra.provisioning.index_template import TEMPLATES
from job.archive_table import TABLE
from job.settings import with_overrides

JOB = with_overrides({})


def test_topics_and_aliases_agree_with_the_jobs_defaults() -> None:
    assert (JOB.kafka.topic, JOB.kafka.dead_letter_topic) == (names.MATCHES_TOPIC, names.DEAD_LETTER_TOPIC)
    assert (
        JOB.elasticsearch.matches,
        JOB.elasticsearch.teams,
        JOB.elasticsearch.champions,
        JOB.elasticsearch.positions,
    ) == names.INDEX_ALIASES


def test_ports_and_paths_agree_with_the_jobs_defaults() -> None:
    assert f"kafka:{names.KAFKA_PORT}" == JOB.kafka.bootstrap_servers
    assert [f"http://elasticsearch:{names.ELASTICSEARCH_PORT}"] == JOB.elasticsearch.hosts
    assert f"spark://spark-master:{names.SPARK_MASTER_PORT}" == JOB.master
    assert JOB.archive.port == names.CASSANDRA_PORT
    assert JOB.driver.ui_port == names.SPARK_JOB_UI_PORT
    assert JOB.http.port == names.METRICS_PORT
    assert f"file://{names.CHECKPOINTS}" == JOB.checkpoint_location


def test_table_of_the_archive_agrees_with_the_job() -> None:
    assert names.ARCHIVE_TABLE == TABLE


def test_largest_message_of_the_topic_agrees_with_the_generator() -> None:
    assert names.MAX_MESSAGE_BYTES == GENERATOR_MAX_MESSAGE_BYTES


def test_every_alias_has_an_index_template() -> None:
    assert set(names.INDEX_ALIASES) == {path.stem for path in TEMPLATES.glob("*.json")}
