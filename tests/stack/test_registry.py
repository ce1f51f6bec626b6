"""The image source `registry`, and two stacks on one Docker host: a second stack pulls its images from a private
registry.

The registry holds the built images under the official images' names, which have the same contract, so that no public
registry is needed. Kibana and Grafana are missing in it.
"""

from __future__ import annotations

import pytest

from harness.stack import Stack, sum_samples
from harness.waiting import eventually
from infra import versions
from infra.images.source import mirrored
from infra.names import MATCHES_ALIAS, MATCHES_TOPIC
from tests.stack.test_archive import archived, fresh_match
from tests.support import private_registry
from tests.support.kafka_batch import send_batch
from tests.support.private_registry import PrivateRegistry

pytestmark = pytest.mark.disruptive

LAGS = {
    "spark-job": ("lol_job_kafka_lag_messages", "lol_job_statistics_lag_messages"),
    "archive": ("lol_archive_lag_messages",),
}
"""Metrics of the lag by partition, by the service that has them."""


def test_second_stack_pulls_images_from_private_registry(second_stack: Stack) -> None:
    assert second_stack.outputs["imageSource"] == "registry"
    image = second_stack.container("elasticsearch").image
    assert image is not None
    assert mirrored(versions.OFFICIAL_IMAGES["elasticsearch"], private_registry.ADDRESS) in image.tags


def test_service_without_image_is_left_out_and_reported(second_stack: Stack) -> None:
    assert set(second_stack.outputs["leftOut"]) == {"kibana", "grafana"}
    assert "is not available" in second_stack.outputs["leftOut"]["kibana"]


@pytest.mark.usefixtures("stream")
def test_both_stacks_index_documents(stack: Stack, second_stack: Stack) -> None:
    for each in (stack, second_stack):
        each.wait_for_new_documents()


def test_stacks_share_no_port_container_volume_or_network(stack: Stack, second_stack: Stack) -> None:
    def ports(each: Stack) -> set[str]:
        return {address for addresses in each.outputs["services"].values() for address in addresses.values()}

    assert not ports(stack) & ports(second_stack)
    assert not set(stack.leftovers()) & set(second_stack.leftovers())


@pytest.mark.last_of_second_stack
def test_partition_added_by_up_is_read_by_job_and_archive_without_a_restart(second_stack: Stack) -> None:
    """On a stack that is destroyed afterwards: Kafka cannot take partitions away."""
    added = int(second_stack.setting("topicPartitions"))  # partitions are numbered from 0
    running = {service: second_stack.container(service) for service in LAGS}
    second_stack.up(topicPartitions=str(added + 1))
    second_stack.container("generator").stop()  # its matches would be lag, too

    def without_lag() -> None:
        lags = {
            metric: sum_samples(second_stack.samples(service), metric, partition=str(added))
            for service, metrics in LAGS.items()
            for metric in metrics
        }
        assert set(lags.values()) == {0}, f"lag of partition {added}: {lags}"

    eventually(without_lag)
    matches = dict(fresh_match(number) for number in range(100))
    send_batch(second_stack.kafka_settings(), MATCHES_TOPIC, matches.values(), partition=added)
    client = second_stack.elasticsearch()

    def indexed() -> None:
        found = client.count(index=MATCHES_ALIAS, query={"terms": {"match_id": list(matches)}})["count"]
        assert found == 10 * len(matches), f"{found} documents of {len(matches)} matches"

    eventually(indexed)
    eventually(lambda: archived(second_stack, matches))
    eventually(without_lag)
    for service, container in running.items():
        started_at = container.attrs["State"]["StartedAt"]
        assert second_stack.container(service).attrs["State"]["StartedAt"] == started_at, f"{service} was restarted"


@pytest.mark.last_of_second_stack
@pytest.mark.usefixtures("stream")
def test_destroying_one_stack_leaves_the_other_running(stack: Stack, second_stack: Stack) -> None:
    second_stack.destroy()
    registry = f"/{PrivateRegistry(second_stack.name).container_name}"
    assert [name for name in second_stack.leftovers() if name != registry] == []
    before = stack.document_count()

    def more() -> None:
        assert stack.document_count() > before

    eventually(more)
