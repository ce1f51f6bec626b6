"""Prometheus sees every part, its rules are right, and an alert reaches people when something is really broken."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from confluent_kafka import Producer
from docker.errors import NotFound
from docker.models.containers import Container

from harness.stack import WEBHOOK, Stack
from harness.waiting import eventually
from infra.services.prometheus import RULES

PARTS = {
    *("prometheus", "alertmanager", "node"),
    *("kafka", "zookeeper", "cassandra", "archive", "elasticsearch"),
    *("spark-master", "spark-worker", "spark-driver", "spark-executors", "job"),
}
WORDS_OF_PROMQL = {"and", "or", "unless", "on", "by", "offset"}


def prometheus(stack: Stack, path: str, **parameters: str) -> Any:
    """The data of an answer of Prometheus's API."""
    return stack.get("prometheus", 9090, f"/api/v1/{path}?{urlencode(parameters)}").json()["data"]


def firing(stack: Stack) -> set[str]:
    """The names of the alerts that fire now."""
    return {
        alert["labels"]["alertname"] for alert in prometheus(stack, "alerts")["alerts"] if alert["state"] == "firing"
    }


def metrics(expression: str) -> set[str]:
    """The metrics that a PromQL expression names."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(by|on) *\([^)]*\)', "", expression)
    return set(re.findall(r"\b[a-z_][a-zA-Z0-9_:]*\b(?! *\()", bare)) - WORDS_OF_PROMQL


class TestScraping:
    def test_every_part_is_scraped(self, stack: Stack) -> None:
        expected = PARTS | ({"generator"} & set(stack.services))

        def all_answer() -> None:
            targets = prometheus(stack, "targets", state="active")["activeTargets"]
            answering = {target["labels"]["job"] for target in targets if target["health"] == "up"}
            assert answering == expected, f"missing: {expected - answering}"

        eventually(all_answer, limit_seconds=60)

    def test_every_metric_that_a_rule_names_is_there(self, stack: Stack) -> None:
        """As a series; or, for a counter of what has not happened yet, in what the targets say they measure."""
        rules = [rule for group in prometheus(stack, "rules")["groups"] for rule in group["rules"]]
        named = {name for rule in rules for name in metrics(rule["query"])}
        assert len(named) > 10

        def there() -> None:
            series = set(prometheus(stack, "label/__name__/values"))
            families = {
                f"{family}{end}" for family in prometheus(stack, "metadata") for end in ("", "_total", "_bucket")
            }
            assert not named - series - families

        eventually(there, limit_seconds=60)

    def test_elasticsearchs_figures_are_of_its_indices(self, stack: Stack) -> None:
        query = 'sum(elasticsearch_indices_docs_primary{index=~"lol_matches_stream-.*"})'

        def documents() -> None:
            answer = prometheus(stack, "query", query=query)["result"]
            assert answer
            assert float(answer[0]["value"][1]) > 0

        eventually(documents, limit_seconds=60)

    def test_the_hosts_figures_are_the_docker_hosts(self, stack: Stack) -> None:
        def figures() -> None:
            memory = prometheus(stack, "query", query="node_memory_MemTotal_bytes")["result"]
            assert memory
            assert float(memory[0]["value"][1]) == pytest.approx(stack.engine.info()["MemTotal"], rel=0.01)
            disk = prometheus(stack, "query", query='node_filesystem_avail_bytes{mountpoint="/"}')["result"]
            assert disk
            assert float(disk[0]["value"][1]) > 0

        eventually(figures, limit_seconds=60)


class TestRules:
    def test_the_rules_cases_hold_with_the_prometheus_in_use(self, stack: Stack) -> None:
        image = stack.container("prometheus").image
        assert image is not None
        tester = stack.engine.containers.create(
            image,
            user="0",  # the checkout may be its owner's alone
            entrypoint=["/bin/promtool"],
            command=["test", "rules", "/rules/rules_test.yml"],
            volumes={str(RULES.parent): {"bind": "/rules", "mode": "ro"}},
        )
        try:
            tester.start()
            code = tester.wait(timeout=120)["StatusCode"]
            assert code == 0, tester.logs().decode()
        finally:
            tester.remove(force=True, v=True)

    def test_the_rules_are_loaded_and_can_be_evaluated(self, stack: Stack) -> None:
        def well() -> None:
            rules = [rule for group in prometheus(stack, "rules")["groups"] for rule in group["rules"]]
            assert rules
            assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}

        eventually(well, limit_seconds=60)

    def test_alerts_go_to_the_alertmanager(self, stack: Stack) -> None:
        (active,) = prometheus(stack, "alertmanagers")["activeAlertmanagers"]
        assert "alertmanager:9093" in active["url"]

    def test_a_stack_that_is_well_has_no_critical_alert(self, stack: Stack) -> None:
        def well() -> None:
            alerts = prometheus(stack, "alerts")["alerts"]
            critical = [alert for alert in alerts if alert["labels"]["severity"] == "critical"]
            assert [alert["annotations"]["summary"] for alert in critical if alert["state"] == "firing"] == []

        eventually(well, limit_seconds=180)


@pytest.mark.disruptive
class TestAlerts:
    """One long test: what it breaks it breaks at once, since each alert takes its time to fire and to end."""

    @pytest.fixture
    def webhook(self, stack: Stack) -> Iterator[Container]:
        """What `alertWebhookUrl` of the stack under test leads to."""
        name = f"lolstack-{stack.name}-{WEBHOOK}"
        python = stack.container("generator").image
        assert python is not None
        with suppress(NotFound):
            stack.engine.containers.get(name).remove(force=True)
        container = stack.engine.containers.run(
            python,
            ["python3", "-c", (Path(__file__).parents[1] / "support" / "webhook.py").read_text()],
            name=name,
            detach=True,
        )
        try:
            stack.engine.networks.get(f"lolstack-{stack.name}").connect(container, aliases=[WEBHOOK])
            yield container
        finally:
            container.remove(force=True)

    def test_what_breaks_is_told_and_what_is_well_again_is_told_too(self, stack: Stack, webhook: Container) -> None:
        alerts = {
            *("JobDown", "SparkWithoutWorkers", "ZooKeeperNotServing", "ElasticsearchRed"),
            *("DeadLettersArriving", "ProducerSilent", "TargetDown"),
        }
        seen: set[str] = set()

        def all_are_silent() -> None:
            assert not alerts & firing(stack)

        def have_fired(expected: set[str]) -> None:
            seen.update(firing(stack))
            assert not expected - seen, f"silent: {expected - seen}"

        def told(status: str) -> None:
            notices = [json.loads(line) for line in webhook.logs().decode().splitlines()]
            told_of = [alert for notice in notices for alert in notice["alerts"] if alert["status"] == status]
            missing = alerts - {alert["labels"]["alertname"] for alert in told_of}
            assert not missing, f"not told as {status}: {missing}"
            assert all(alert["annotations"]["runbook"] for alert in told_of)

        eventually(all_are_silent, limit_seconds=180)
        producer = Producer({"bootstrap.servers": stack.outputs["bootstrapServers"]})
        letters = stack.messages("lol_matches_dlq")
        producer.produce("lol_matches", b"not a match")
        assert producer.flush(30) == 0

        def is_a_dead_letter() -> None:
            assert stack.messages("lol_matches_dlq") > letters

        eventually(is_a_dead_letter, limit_seconds=60)

        stopped = [
            stack.container(service)
            for service in ("generator", "spark-job", "spark-worker", "zookeeper", "node-exporter")
        ]
        elasticsearch = stack.elasticsearch()
        try:
            # A primary shard that no node may have makes the cluster red.
            elasticsearch.indices.create(
                index="red",
                settings={"index.routing.allocation.require._name": "no-such-node", "number_of_replicas": 0},
                wait_for_active_shards=0,
            )
            with ThreadPoolExecutor() as pool:
                list(pool.map(Container.stop, stopped))
            eventually(lambda: have_fired(alerts), limit_seconds=240)
            # Alertmanager waits before it tells, and what has ended meanwhile is not told.
            eventually(lambda: told("firing"), limit_seconds=180)
        finally:
            elasticsearch.options(ignore_status=404).indices.delete(index="red")
            for container in reversed(stopped):
                container.start()
        eventually(all_are_silent, limit_seconds=240)
        eventually(lambda: told("resolved"), limit_seconds=240)
