"""Monitoring: Prometheus scrapes every component, its alert rules are valid, and alerts fire, notify and resolve."""

from __future__ import annotations

import json
from collections.abc import Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from confluent_kafka import Producer
from docker.models.containers import Container

from harness.stack import Stack
from harness.waiting import eventually
from infra.clients.docker_engine import execute
from infra.clients.task_container import put_files
from infra.services.alertmanager import CONFIG, HOST_AUTHORITIES
from infra.services.prometheus import RULES
from tests.stack.conftest import WEBHOOK
from tests.support.open_ports import SCRAPE_TARGETS
from tests.support.own_container import own_container
from tests.support.promql import RULE_TESTS, selectors
from tests.support.tls import issued_certificate


def prometheus(stack: Stack, path: str, **parameters: str) -> Any:
    """The data of a response of Prometheus's API."""
    return stack.get("prometheus", 9090, f"/api/v1/{path}?{urlencode(parameters)}").json()["data"]


def firing(stack: Stack) -> set[str]:
    """Names of the alerts that are firing."""
    return {
        alert["labels"]["alertname"] for alert in prometheus(stack, "alerts")["alerts"] if alert["state"] == "firing"
    }


class TestScraping:
    def test_every_component_is_scraped(self, stack: Stack) -> None:
        expected = SCRAPE_TARGETS.keys() - ({"generator"} - set(stack.services))

        def all_are_up() -> None:
            targets = prometheus(stack, "targets", state="active")["activeTargets"]
            up = {target["labels"]["job"] for target in targets if target["health"] == "up"}
            assert up == expected, f"missing: {expected - up}"

        eventually(all_are_up)

    def test_every_metric_in_a_rule_exists(self, stack: Stack) -> None:
        """As a series; or, for a counter without an event yet, in the targets' metadata."""
        rules = [rule for group in prometheus(stack, "rules")["groups"] for rule in group["rules"]]
        named = {selector.name for rule in rules for selector in selectors(rule["query"])}
        assert len(named) > 10
        if stack.outputs["security"] != "strict":  # no certificate is in use
            named.remove("lolstack_certificate_expires_timestamp_seconds")

        def all_exist() -> None:
            series = set(prometheus(stack, "label/__name__/values"))
            families = {
                f"{family}{end}" for family in prometheus(stack, "metadata") for end in ("", "_total", "_bucket")
            }
            assert not named - series - families

        eventually(all_exist)

    @pytest.mark.usefixtures("has_documents")
    def test_job_has_a_goal_for_its_freshness(self, stack: Stack) -> None:
        assert stack.job_metric("lol_job_freshness_goal_seconds") >= 2.5

    def test_elasticsearch_exporter_reports_the_documents(self, stack: Stack) -> None:
        query = 'sum(elasticsearch_indices_docs{job="elasticsearch"})'

        def documents() -> None:
            answer = prometheus(stack, "query", query=query)["result"]
            assert answer
            assert float(answer[0]["value"][1]) > 0

        eventually(documents)

    def test_node_exporter_reports_the_docker_host(self, stack: Stack) -> None:
        def figures() -> None:
            memory = prometheus(stack, "query", query="node_memory_MemTotal_bytes")["result"]
            assert memory
            assert float(memory[0]["value"][1]) == pytest.approx(stack.engine.info()["MemTotal"], rel=0.01)
            disk = prometheus(stack, "query", query='node_filesystem_avail_bytes{mountpoint="/"}')["result"]
            assert disk
            assert float(disk[0]["value"][1]) > 0

        eventually(figures)

    def test_prometheus_scrapes_after_its_clock_went_back(self, stack: Stack) -> None:
        """A Prometheus with the deployed configuration, whose newest sample is half a day in the future: less
        than the shortest retention."""
        deployed = stack.container("prometheus")
        assert deployed.image is not None
        config, _ = deployed.get_archive("/etc/prometheus/prometheus.yml")
        future = datetime.now(UTC) + timedelta(hours=12)
        sample = f"# TYPE early gauge\nearly 1 {future.timestamp():.0f}\n# EOF\n"
        script = (
            "promtool tsdb create-blocks-from openmetrics /tmp/future.txt /tmp/data &&"
            " exec prometheus --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/tmp/data"
        )
        entrypoint = ["sh", "-c", script]
        with own_container(stack, "prometheus-clock", deployed.image, entrypoint=entrypoint) as container:
            put_files(container, {"/tmp/future.txt": sample.encode()})
            assert container.put_archive("/etc/prometheus", b"".join(config))
            container.start()

            def scrapes() -> None:
                query = ["promtool", "query", "instant", "http://127.0.0.1:9090", 'up{job="prometheus"} == 1']
                code, output = execute(str(container.name), query)
                assert code == 0, output
                assert "=> 1 @" in output, container.logs(tail=3).decode()

            eventually(scrapes)


class TestRules:
    def test_promtool_rule_tests_pass_with_the_deployed_prometheus(self, stack: Stack) -> None:
        image = stack.container("prometheus").image
        assert image is not None
        command = ["test", "rules", *(f"/rules/{file.name}" for file in RULE_TESTS)]
        with own_container(stack, "rule-tests", image, command, entrypoint=["/bin/promtool"]) as tester:
            put_files(tester, {f"/rules/{file.name}": file.read_bytes() for file in RULES.parent.iterdir()})
            tester.start()
            code = tester.wait(timeout=120)["StatusCode"]
            assert code == 0, tester.logs().decode()

    def test_rules_are_loaded_and_evaluate_without_error(self, stack: Stack) -> None:
        def well() -> None:
            rules = [rule for group in prometheus(stack, "rules")["groups"] for rule in group["rules"]]
            assert rules
            assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}

        eventually(well)

    def test_prometheus_sends_alerts_to_alertmanager(self, stack: Stack) -> None:
        (active,) = prometheus(stack, "alertmanagers")["activeAlertmanagers"]
        assert "alertmanager:9093" in active["url"]

    def test_no_critical_alert_fires_on_a_healthy_stack(self, stack: Stack) -> None:
        def well() -> None:
            alerts = prometheus(stack, "alerts")["alerts"]
            critical = [alert for alert in alerts if alert["labels"]["severity"] == "critical"]
            assert [alert["annotations"]["summary"] for alert in critical if alert["state"] == "firing"] == []

        eventually(well)

    def test_restart_of_prometheus_resolves_no_alert(self, stack: Stack) -> None:
        """A Prometheus with the deployed flags of rules. With its own, the alert would be pending again."""
        deployed = stack.container("prometheus")
        assert deployed.image is not None
        flags = [flag for flag in deployed.attrs["Config"]["Cmd"] if flag.startswith("--rules.")]
        command = ["--config.file=/tmp/config.json", "--storage.tsdb.path=/tmp/data", *flags]
        config = {"global": {"evaluation_interval": "1s"}, "rule_files": ["/tmp/rules.json"]}
        rules = {"groups": [{"name": "one", "rules": [{"alert": "Always", "expr": "vector(1)", "for": "15s"}]}]}
        files = {"/tmp/config.json": json.dumps(config).encode(), "/tmp/rules.json": json.dumps(rules).encode()}
        with own_container(stack, "prometheus-restart", deployed.image, command) as container:
            put_files(container, files)
            container.start()

            def firing_since() -> str:
                url = "http://127.0.0.1:9090/api/v1/alerts"
                code, output = execute(str(container.name), ["busybox", "wget", "-q", "-O", "-", url])
                assert code == 0, output
                alerts = json.loads(output)["data"]["alerts"]
                assert [alert["state"] for alert in alerts] == ["firing"]
                return str(datetime.fromisoformat(alerts[0]["activeAt"]).replace(microsecond=0))

            since = eventually(firing_since)
            container.restart()
            assert eventually(firing_since) == since


WEBHOOK_SERVER = (Path(__file__).parents[1] / "support" / "webhook.py").read_text()


class TestNotifications:
    """That Alertmanager trusts whom its host trusts: real webhooks are https."""

    def test_alertmanager_has_the_public_certificate_authorities(self, stack: Stack) -> None:
        code, bundle = execute(stack.container_name("alertmanager"), ["cat", "/etc/ssl/certs/ca-certificates.crt"])
        assert code == 0, bundle
        assert bundle.count("BEGIN CERTIFICATE") > 100

    def test_webhook_with_a_certificate_of_the_hosts_own_authority_is_notified(self, stack: Stack) -> None:
        """An Alertmanager with the deployed image, and a webhook at 127.0.0.1: they share a network namespace."""
        alertmanager, python = (stack.container(service).image for service in ("alertmanager", "generator"))
        assert alertmanager is not None
        assert python is not None
        authority, certificate, key = issued_certificate()
        receiver = {"name": "people", "webhook_configs": [{"url": "https://127.0.0.1:8000/"}]}
        config = {"route": {"receiver": "people", "group_wait": "0s"}, "receivers": [receiver]}
        command = [f"--config.file={CONFIG}", "--storage.path=/tmp/data", "--cluster.listen-address="]
        alert = [
            *("busybox", "wget", "-q", "-O", "-", "--header", "Content-Type: application/json"),
            *("--post-data", '[{"labels": {"alertname": "Secure"}}]', "http://127.0.0.1:9093/api/v2/alerts"),
        ]
        with own_container(stack, "tls-alertmanager", alertmanager, command, network_mode="none") as sender:
            put_files(sender, {CONFIG: json.dumps(config).encode(), HOST_AUTHORITIES: authority.encode()})
            sender.start()
            network = f"container:{sender.id}"
            server = ["python3", "-c", WEBHOOK_SERVER, "/tls/certificate", "/tls/key"]
            with own_container(stack, "tls-webhook", python, server, network_mode=network) as webhook:
                put_files(webhook, {"/tls/certificate": certificate.encode(), "/tls/key": key.encode()})
                webhook.start()

                def notified() -> None:
                    code, output = execute(str(sender.name), alert)
                    assert code == 0, output
                    assert b'"alertname":"Secure"' in webhook.logs(), sender.logs(tail=3).decode()

                eventually(notified)


@pytest.mark.disruptive
class TestAlerts:
    """One test breaks several services at once, since each alert takes minutes to fire and to resolve.

    With most of the stack stopped, this is also the time to deploy the second stack, for the tests that need it.
    """

    @pytest.fixture(autouse=True)
    def _deploy_the_second_stack_meanwhile(self, request: pytest.FixtureRequest, stack: Stack) -> None:
        needed = any("second_stack" in getattr(item, "fixturenames", ()) for item in request.session.items)
        if needed and stack.outputs["imageSource"] == "build":
            request.getfixturevalue("second_stack_deployment")

    @pytest.fixture
    def webhook(self, stack: Stack) -> Iterator[Container]:
        """The container that `alertWebhookUrl` of the stack under test points to."""
        python = stack.container("generator").image
        assert python is not None
        command = ["python3", "-c", WEBHOOK_SERVER]
        with own_container(stack, WEBHOOK, python, command) as container:
            container.start()
            stack.engine.networks.get(f"lolstack-{stack.name}").connect(container, aliases=[WEBHOOK])
            yield container

    @pytest.mark.usefixtures("stream")
    def test_alerts_fire_notify_and_resolve(self, stack: Stack, webhook: Container) -> None:
        alerts = {
            *("JobDown", "SparkWithoutWorkers", "ZooKeeperNotServing", "ElasticsearchRed"),
            *("DeadLettersArriving", "ProducerSilent", "TargetDown"),
        }
        fired: set[str] = set()

        def none_fires(expected: Set[str] = frozenset()) -> None:
            assert not alerts & firing(stack) - expected

        def all_have_fired(expected: set[str]) -> None:
            fired.update(firing(stack))
            assert not expected - fired, f"not firing: {expected - fired}"

        def all_are_notified(status: str) -> None:
            try:
                notifications = [json.loads(line) for line in webhook.logs().decode().splitlines()]
            except json.JSONDecodeError as error:  # the last line is not complete yet
                raise AssertionError(f"not a notification: {error}") from error
            notified = [alert for each in notifications for alert in each["alerts"] if alert["status"] == status]
            missing = alerts - {alert["labels"]["alertname"] for alert in notified}
            assert not missing, f"not notified as {status}: {missing}"
            assert all(alert["annotations"]["runbook"] for alert in notified)

        dead_letters = stack.message_count("lol_matches_dlq")

        def dead_letter_arrived() -> None:
            assert stack.message_count("lol_matches_dlq") > dead_letters

        elasticsearch = stack.elasticsearch()
        # First, because its alert takes longest to fire: two minutes.
        stopped = [stack.container("node-exporter")]
        stopped[0].stop()
        try:
            eventually(lambda: none_fires({"TargetDown"}))
            producer = Producer(stack.kafka_settings())
            producer.produce("lol_matches", b"not a match")
            assert producer.flush(30) == 0
            eventually(dead_letter_arrived)
            stopped += map(stack.container, ("generator", "spark-job", "spark-worker", "zookeeper"))
            # A primary shard that cannot be allocated to any node makes the cluster red.
            elasticsearch.indices.create(
                index="red",
                settings={"index.routing.allocation.require._name": "no-such-node", "number_of_replicas": 0},
                wait_for_active_shards=0,
            )
            with ThreadPoolExecutor() as pool:
                list(pool.map(Container.stop, stopped[1:]))
            eventually(lambda: all_have_fired(alerts), timeout_seconds=240)
            # Alertmanager notifies after group_wait, and not at all if the alert has resolved by then.
            eventually(lambda: all_are_notified("firing"))
        finally:
            elasticsearch.options(ignore_status=404).indices.delete(index="red")
            for container in reversed(stopped):
                container.start()
        eventually(none_fires, timeout_seconds=240)
        eventually(lambda: all_are_notified("resolved"), timeout_seconds=240)
