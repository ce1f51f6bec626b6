"""The whole program under Pulumi's mocks: the resources that it declares from either image source."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import dill
import pytest
import yaml
from confluent_kafka import Producer
from pulumi.dynamic import ResourceProvider
from pulumi.runtime import rpc

from infra import versions
from infra.images import RECIPES, dockerfile
from infra.logins import CASSANDRA_ADMIN
from infra.names import INDEX_ALIASES, JOB_SETTINGS, LIMITS_LABEL, ROOT, SCRAPE_SECONDS, SERVICE_LABEL, STACK_LABEL
from infra.services.alertmanager import START_DELAY
from infra.services.base import INTERVAL_SECONDS
from infra.services.prometheus import CONFIG as PROMETHEUS_CONFIG
from infra.settings import WORKER_EXTRA_MIB
from job.archive import MAX_BYTES
from job.consumer import MAX_BATCH_BYTES
from job.settings import with_overrides
from tests.support.open_ports import LISTENERS, SCRAPE_TARGETS
from tests.support.pulumi_program import IMAGE, PULLED_IMAGE, ImageSource, Recorder, declare, settings
from tools.backfill import MEMORY as BACKFILL_MEMORY

KINDS: tuple[ImageSource, ...] = ("build", "registry")
BASE_IMAGE = "pulumi-python:dynamic/image:BaseImage"
NETWORK = "docker:index/network:Network"
VOLUME = "docker:index/volume:Volume"
HEALTH_GATE = "pulumi-python:dynamic/container:HealthGate"
VOLUME_OWNERS = "pulumi-python:dynamic/container:VolumeOwners"
TOPIC = "pulumi-python:dynamic/kafka:Topic"
KAFKA_USERS = "pulumi-python:dynamic/kafka:Users"
SAVED_OBJECT = "pulumi-python:dynamic/kibana:SavedObject"
CASSANDRA_ROLES = "pulumi-python:dynamic/cassandra:Roles"
INDEX_TEMPLATE = "pulumi-python:dynamic/elasticsearch:IndexTemplate"
BUILT_SERVICES = set(LISTENERS) - set(versions.OFFICIAL_ONLY)


@pytest.fixture(scope="module")
def declared() -> dict[str, Recorder]:
    """The program's declarations by image source, with a generator."""
    return {kind: declare(kind, generatorEnabled=True) for kind in KINDS}


def upload(container: Mapping[str, Any], path: str) -> str:
    """The content of the container's configuration file at `path`."""
    uploads = container["uploads"]
    if not isinstance(uploads, list):
        uploads = uploads["value"]  # of a secret
    (content,) = [each["content"] for each in uploads if each["file"] == path]
    return str(content)


def scrape_targets(recorder: Recorder) -> dict[str, tuple[str, list[str]]]:
    """The scrape jobs in Prometheus's configuration: name → (metrics path, targets)."""
    config = yaml.safe_load(upload(recorder.containers["prometheus"], PROMETHEUS_CONFIG))
    return {
        job["job_name"]: (
            job["metrics_path"],
            [target for group in job["static_configs"] for target in group["targets"]],
        )
        for job in config["scrape_configs"]
    }


@pytest.mark.parametrize("kind", ["registry", "build"])
def test_every_scrape_has_limits(declared: dict[str, Recorder], kind: str) -> None:
    """A compromised container could end Prometheus by metrics without end, or by a few KB that are compressed zeros."""
    config = yaml.safe_load(upload(declared[kind].containers["prometheus"], PROMETHEUS_CONFIG))
    limits = {(job.get("body_size_limit"), job.get("sample_limit")) for job in config["scrape_configs"]}
    assert limits == {("16MB", 10_000)}
    assert config["global"]["scrape_interval"] == f"{SCRAPE_SECONDS}s"


def test_all_services_are_declared(declared: dict[str, Recorder]) -> None:
    assert set(declared["build"].containers) == BUILT_SERVICES
    assert set(declared["registry"].containers) == set(LISTENERS)


@pytest.mark.parametrize("kind", ["registry", "build"])
def test_outputs_have_the_id_of_the_engine(declared: dict[str, Recorder], kind: str) -> None:
    """By which a deployment on another engine is refused."""
    assert declared[kind].outputs["dockerEngine"] == "id of the engine"


def test_files_of_the_checkout_are_read_as_utf8_whatever_the_locale() -> None:
    """Alerts and dashboards would have wrong characters, or none in Python's C locale."""
    program = "from tests.support.pulumi_program import declare; declare('registry', generatorEnabled=True)"
    environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["registry", "build"])
def test_outputs_list_every_service_with_its_host_ports(declared: dict[str, Recorder], kind: str) -> None:
    recorder = declared[kind]
    assert recorder.outputs["services"] == {
        name: {f"{port['internal']:.0f}": f"127.0.0.1:{port['external']:.0f}" for port in container["ports"]}
        for name, container in recorder.containers.items()
    }


def test_host_ports_of_the_settings_are_those_of_the_declared_services() -> None:
    """By which preflight finds port conflicts."""
    published = {
        (name, port["external"])
        for name, container in declare("registry", sparkWorkers=2).containers.items()
        for port in container["ports"]
    }
    wanted = settings("unit", sparkWorkers=2).host_ports("unit")
    assert {(service, number) for _, service, number in wanted} == published


def test_outputs_name_the_settings_that_are_not_at_their_defaults(declared: dict[str, Recorder]) -> None:
    """By which a deployment without them is refused. The stack `unit` has no file."""
    assert declared["build"].outputs["configuration"] == {"id": "", "settings": ["generatorEnabled"]}


def test_container_whose_creation_failed_half_way_is_replaced(declared: dict[str, Recorder]) -> None:
    """Pulumi would only start it, without the files that were not uploaded."""
    for name in declared["registry"].containers:
        assert declared["registry"].options[name].replace_on_changes == {"#initerror"}, name


def test_services_without_an_image_are_left_out_with_the_reason(declared: dict[str, Recorder]) -> None:
    assert set(declared["build"].outputs["leftOut"]) == {"kibana", "grafana"}
    assert declared["registry"].outputs["leftOut"] == {}


def test_prometheus_scrapes_every_scrape_endpoint(declared: dict[str, Recorder]) -> None:
    assert scrape_targets(declared["build"]) == SCRAPE_TARGETS
    assert scrape_targets(declared["registry"]) == SCRAPE_TARGETS


def test_every_service_waits_behind_its_own_health_gate(declared: dict[str, Recorder]) -> None:
    gates = declared["build"].resources[HEALTH_GATE]
    for name, container in declared["build"].containers.items():
        gate = gates[f"{name}-healthy"]
        assert gate["container"] == container["name"]
        assert declared["build"].options[f"{name}-healthy"].deleted_with == name
        tests = container["healthcheck"]["tests"]
        assert tests[-len(gate["check"]) :] == gate["check"], "the gate must not count failed checks: it runs many"


def test_every_health_check_can_restart_its_service(declared: dict[str, Recorder]) -> None:
    """The script (files/health_check.sh) is in the container, with an init process."""
    for name, container in declared["registry"].containers.items():
        cmd, shell, script, timeout, _grace, _failures, start_checks, *_ = container["healthcheck"]["tests"]
        assert (cmd, shell) == ("CMD", "sh"), name
        assert "kill -TERM 1" in upload(container, script), name
        assert container["init"], f"{name}: its process could not be ended"
        assert float(timeout) < float(container["healthcheck"]["timeout"].removesuffix("s")), f"{name}: never counted"
        limit = declared["registry"].resources[HEALTH_GATE][f"{name}-healthy"]["limit_seconds"]
        assert int(start_checks) * INTERVAL_SECONDS > limit, f"{name}: restarted before the deployment gives up"


def test_every_jvm_exits_when_it_is_out_of_memory(declared: dict[str, Recorder]) -> None:
    """Elsewhere than in its own threads' errors, such a JVM would go on without serving."""
    without_jvm = {"prometheus", "alertmanager", "elasticsearch-exporter", "node-exporter", "grafana", "kibana"}
    python = {
        "archive",
        "generator",
        "dashboard",
        "spark-job",
    }  # tests/unit/job/test_session.py has the driver and the executors
    for name, container in declared["registry"].containers.items():
        options = " ".join([*(container.get("command") or ()), *container["envs"]])
        assert ("-XX:+ExitOnOutOfMemoryError" in options) is (name not in without_jvm | python), name
        # As the official images of these do.
        dumps_its_heap = name in ("elasticsearch", "cassandra") and "-XX:-HeapDumpOnOutOfMemoryError" not in options
        assert not dumps_its_heap, f"{name} would write its heap to the disk"


def test_addresses_that_a_service_puts_into_links_are_its_own() -> None:
    """Not those of the stack without a port offset."""
    containers = declare("registry", portOffset=1000).containers
    uploads = {name: json.dumps(container["uploads"], default=str) for name, container in containers.items()}
    assert "--web.external-url=http://127.0.0.1:10090" in containers["prometheus"]["command"]
    assert "--web.external-url=http://127.0.0.1:10093" in containers["alertmanager"]["command"]
    assert "GF_SERVER_ROOT_URL=http://127.0.0.1:4000/" in containers["grafana"]["envs"]
    assert "http://127.0.0.1:6601" in uploads["kibana"]


def test_container_starts_after_what_it_needs_is_healthy_and_provisioned(declared: dict[str, Recorder]) -> None:
    """A health gate is named `<service>-healthy`. Images, volumes and the network are left out."""
    recorder = declared["registry"]
    types = (HEALTH_GATE, TOPIC, KAFKA_USERS, INDEX_TEMPLATE, CASSANDRA_ROLES)
    provisioned = {name for type_ in types for name in recorder.resources[type_]}
    needs = {name: set(recorder.options[name].depends_on & provisioned) for name in recorder.containers}
    topics = {"kafka-users", "lol_matches", "lol_matches_dlq"}
    assert {name: each for name, each in needs.items() if each} == {
        "spark-worker": {"spark-master-healthy"},
        "spark-job": {"spark-master-healthy", "kafka-healthy", "elasticsearch-healthy", *topics, *INDEX_ALIASES},
        "archive": {"kafka-healthy", "cassandra-healthy", "kafka-users", "lol_matches", "cassandra-roles"},
        "generator": {"spark-job-healthy", "kafka-users"},
        "dashboard": {"kafka-users"},
        "elasticsearch-exporter": {"elasticsearch-healthy"},
        "alertmanager": {"spark-job-healthy"},
        "kibana": {"elasticsearch-healthy"},
        "grafana": {"prometheus-healthy"},
    }


def test_contents_are_provisioned_once_their_service_is_healthy_and_deleted_with_it(
    declared: dict[str, Recorder],
) -> None:
    """Deleted with the container: nothing has to answer a request to delete a topic while the stack is destroyed."""
    recorder = declared["registry"]
    contents = [
        *(("kafka", TOPIC), ("kafka", KAFKA_USERS)),
        *(("elasticsearch", INDEX_TEMPLATE), ("kibana", SAVED_OBJECT)),
        ("cassandra", CASSANDRA_ROLES),
    ]
    for service, type_ in contents:
        for name in recorder.resources[type_]:
            assert f"{service}-healthy" in recorder.options[name].depends_on, name
            assert recorder.options[name].deleted_with == service, name


def test_cassandras_roles_are_provisioned_with_the_former_passwords_of_its_administrator(
    declared: dict[str, Recorder],
) -> None:
    (roles,) = declared["build"].resources[CASSANDRA_ROLES].values()
    assert roles["former"]["value"] == [f"former password of {CASSANDRA_ADMIN}"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_a_fixed_name_is_deleted_before_its_replacement_is_created(
    declared: dict[str, Recorder], kind: str
) -> None:
    """`pulumi up --replace` and `pulumi state taint` ask no provider. Most would adopt what exists as the replacement,
    and then delete it. Images are not deleted (`keepLocally`)."""
    recorder = declared[kind]
    deleted = {"docker:index/container:Container", NETWORK, VOLUME}
    for type_, resources in recorder.resources.items():
        for inputs in resources.values():
            if "__provider" in inputs and type(provider(inputs)).delete is not ResourceProvider.delete:
                deleted.add(type_)
    assert deleted >= {TOPIC, INDEX_TEMPLATE} | ({SAVED_OBJECT} if kind == "registry" else set())
    kept = {
        (type_, name)
        for type_ in deleted
        for name, options in recorder.options_by_type[type_].items()
        if not options.delete_before_replace
    }
    assert not kept
    assert all(image["keepLocally"] for image in recorder.resources[IMAGE].values())


def provider(inputs: Mapping[str, Any]) -> ResourceProvider:
    """The provider of a dynamic resource, which is pickled in its inputs."""
    pickled = inputs["__provider"]
    loaded: ResourceProvider = dill.loads(base64.b64decode(pickled["value"]))
    return loaded


def test_owners_of_files_are_set_again_if_a_volume_is_replaced(declared: dict[str, Recorder]) -> None:
    """The new one has the same name."""
    recorder = declared["build"]
    assert recorder.options["volume-owners"].replace_with == set(recorder.resources[VOLUME])


def test_volume_is_never_replaced_because_of_its_labels(declared: dict[str, Recorder]) -> None:
    """Its data would be deleted."""
    for name, options in declared["build"].options_by_type[VOLUME].items():
        assert options.ignore_changes == {"labels"}, name


def test_network_is_never_replaced_because_the_engine_gives_it_ipv6(declared: dict[str, Recorder]) -> None:
    """With it all containers would be replaced, at each `up`. The provider reads back what the engine has chosen."""
    for name, options in declared["build"].options_by_type[NETWORK].items():
        assert options.ignore_changes == {"ipv6"}, name


def test_passwords_are_kept_with_the_volumes(declared: dict[str, Recorder]) -> None:
    """By `pulumi destroy --exclude`, which keeps what the excluded resources depend on."""
    for name, options in declared["build"].options_by_type[VOLUME].items():
        assert "credentials" in options.depends_on, name


def test_passwords_and_keys_are_secret(declared: dict[str, Recorder]) -> None:
    recorder = declared["registry"]
    assert recorder.options["credentials"].secret_outputs == {"passwords", "former"}
    assert recorder.options["certificates"].secret_outputs == {"authority_key", "keys"}
    assert recorder.options["lol_matches_stream"].secret_outputs == {"password"}
    assert recorder.options["cassandra-roles"].secret_outputs == {"passwords", "former"}
    assert recorder.options["kafka-users"].secret_outputs == {"client", "passwords"}
    assert recorder.options["lol_matches"].secret_outputs == {"client"}
    assert recorder.secret_outputs == {
        *(
            "credentials",
            "operatorPassword",
            "kafkaProducer",
            "kafkaOperator",
            "elasticsearchCurl",
            "grafanaAdminPassword",
        ),
    }


def test_each_client_of_kafka_has_its_own_login(declared: dict[str, Recorder]) -> None:
    containers = declared["registry"].containers
    for service, user in (("spark-job", "job"), ("archive", "archive")):
        kafka = with_overrides(yaml.safe_load(upload(containers[service], JOB_SETTINGS))).kafka
        assert (kafka.security_protocol, kafka.username) == ("SASL_PLAINTEXT", user)
        assert kafka.password.get_secret_value() == f"password of kafka.{user}"
    generator = upload(containers["generator"], "/etc/lolstack/kafka.properties").splitlines()
    assert {"sasl.username=generator", "sasl.password=password of kafka.generator"} <= set(generator)
    dashboard = yaml.safe_load(upload(containers["dashboard"], "/etc/lolstack/dashboard.yaml"))["kafka"]
    assert (dashboard["sasl.username"], dashboard["sasl.password"]) == ("dashboard", "password of kafka.dashboard")
    assert dashboard["bootstrap.servers"] == "kafka:9092"


@pytest.mark.parametrize(("job", "seconds"), [({}, 60), ({"window": {"slide_seconds": 30}}, 30)])
def test_dashboard_knows_how_often_a_window_of_the_statistics_ends(job: dict[str, Any], seconds: int) -> None:
    containers = declare("registry", generatorEnabled=False, job=job).containers
    assert (
        yaml.safe_load(upload(containers["dashboard"], "/etc/lolstack/dashboard.yaml"))["window_slide_seconds"]
        == seconds
    )


@pytest.mark.parametrize("security", ["guarded", "strict"])
def test_passwords_and_keys_reach_containers_as_secret_files_only(security: str) -> None:
    """Not by environment, command, label or health check, which `docker inspect` shows."""
    containers = declare("registry", generatorEnabled=True, security=security).containers
    with_secret = set()
    for name, container in containers.items():
        rest = {key: value for key, value in container.items() if key != "uploads"}
        assert not re.search("(password|key) of ", str(rest)), name
        if re.search("(password|key) of ", str(container["uploads"])):
            assert container["uploads"][rpc._special_sig_key] == rpc._special_secret_sig, name
            with_secret.add(name)
    assert with_secret >= {"elasticsearch", "elasticsearch-exporter", "spark-job", "dashboard", "kibana", "grafana"}
    assert with_secret >= {"zookeeper", "kafka", "archive", "generator"}


def test_build_arguments_with_passwords_are_secret() -> None:
    proxy = "http://me:password@proxy:3128"
    images = declare("build", network_arguments={"HTTPS_PROXY": proxy}).resources[IMAGE]
    for name, image in images.items():
        arguments = image["build"]
        assert arguments[rpc._special_sig_key] == rpc._special_secret_sig, name
        assert arguments["value"]["buildArgs"]["HTTPS_PROXY"] == proxy, name


@pytest.mark.parametrize("kind", KINDS)
def test_debian_mirror_reaches_every_image_on_the_official_base_that_installs_packages(kind: ImageSource) -> None:
    """`java` is given it; its children have its package sources. A base that is built has the mirror itself."""
    mirror = {"DEBIAN_MIRROR": "http://mirror"}
    images = declare(kind, network_arguments=mirror).resources[IMAGE]
    assert images["java"]["build"]["value"]["buildArgs"]["DEBIAN_MIRROR"] == "http://mirror"
    for name in images:
        if "apt-get" in dockerfile(name) and kind == "registry":
            assert name == "java" or set(RECIPES[name].parents.values()) <= {"java"}, name


def test_health_check_durations_have_dockers_own_form(declared: dict[str, Recorder]) -> None:
    """90 s as 1m30s: with any other form, every `up` would find a difference."""
    for name, container in declared["build"].containers.items():
        for key in ("interval", "timeout", "startPeriod"):
            assert re.fullmatch(r"([1-9]\d*m)?[1-5]?\ds", container["healthcheck"][key]), f"{name}: {key}"


def test_graceful_shutdown_of_the_job_ends_before_docker_kills_it(declared: dict[str, Recorder]) -> None:
    container = declared["build"].containers["spark-job"]
    assert container["stopTimeout"] == container["destroyGraceSeconds"] > with_overrides({}).stop_grace_seconds


def test_worker_leaves_memory_for_its_daemon_and_python(declared: dict[str, Recorder]) -> None:
    container = declared["build"].containers["spark-worker"]
    command = container["command"]
    executors = int(command[command.index("--memory") + 1].removesuffix("m"))
    assert executors == container["memory"] - WORKER_EXTRA_MIB


def properties(text: str) -> dict[str, str]:
    """The settings of a Java properties file."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def heap_bytes(container: Mapping[str, Any]) -> int:
    """The limit of a JVM's heap, from its command."""
    (limit,) = [option for option in container["command"] if option.startswith("-Xmx")]
    return int(limit.removeprefix("-Xmx").removesuffix("m")) * 2**20


def test_requests_before_a_login_cannot_fill_the_heap_of_kafka_and_zookeeper(declared: dict[str, Recorder]) -> None:
    """Requests of one address. Both allocate what a connection says that its next request has."""
    containers = declared["build"].containers
    kafka = properties(upload(containers["kafka"], "/etc/lolstack/server.properties"))
    login = int(kafka["sasl.server.max.receive.size"])
    assert int(kafka["max.connections.per.ip"]) * login <= heap_bytes(containers["kafka"]) / 8
    zookeeper = properties(upload(containers["zookeeper"], "/etc/lolstack/zookeeper.properties"))
    (request,) = [option for option in containers["zookeeper"]["command"] if option.startswith("-Djute.maxbuffer=")]
    request_bytes = int(request.partition("=")[2])
    assert int(zookeeper["maxClientCnxns"]) * request_bytes <= heap_bytes(containers["zookeeper"]) / 8
    assert request_bytes > 1.5 * 2**17, "Kafka's ZooKeeper client renews its watches in requests of 128 KiB"


def test_kafka_accepts_requests_with_the_largest_batch_of_each_topic(declared: dict[str, Recorder]) -> None:
    broker = properties(upload(declared["build"].containers["kafka"], "/etc/lolstack/server.properties"))
    batches = [int(topic["config"]["max.message.bytes"]) for topic in declared["build"].resources[TOPIC].values()]
    assert int(broker["socket.request.max.bytes"]) >= 2**20 + max(batches)


@pytest.mark.parametrize(("hours", "roll"), [(1, "600000"), (168, "75600000"), (8760, "604800000")])
def test_segment_is_closed_after_an_eighth_of_the_retention(hours: int, roll: str) -> None:
    """Retention deletes closed segments only. With a short one, Kafka rolls them every ten minutes at most; with a
    long one, once a week."""
    kafka = declare("build", topicRetentionHours=hours).containers["kafka"]
    broker = properties(upload(kafka, "/etc/lolstack/server.properties"))
    assert (broker["log.retention.hours"], broker["log.roll.ms"]) == (str(hours), roll)


def test_producers_configuration_lets_messages_wait_for_kafka_without_a_timeout(declared: dict[str, Recorder]) -> None:
    """By default librdkafka drops them after five minutes. With transactions it refuses a large value."""
    producer = properties(declared["build"].known_outputs["kafkaProducer"])
    assert producer["message.timeout.ms"] == "0"
    assert int(producer["topic.metadata.propagation.max.ms"]) * 1000 < 2**31  # of librdkafka's int, in microseconds
    Producer(producer | {"transactional.id": "producer-1", "bootstrap.servers": "", "log_level": "0"})


def test_kafka_and_the_producers_configuration_accept_the_largest_message_of_the_topic(
    declared: dict[str, Recorder],
) -> None:
    """By default a client refuses more than 1 MB."""
    largest = declared["build"].resources[TOPIC]["lol_matches"]["config"]["max.message.bytes"]
    assert largest == "10485760"
    broker = properties(upload(declared["build"].containers["kafka"], "/etc/lolstack/server.properties"))
    assert broker["message.max.bytes"] == broker["replica.fetch.max.bytes"] == largest
    producer = properties(declared["build"].known_outputs["kafkaProducer"])
    assert producer["message.max.bytes"] == largest
    assert producer["sasl.username"] == "producer"


def test_client_on_the_host_keeps_its_connection_for_a_day_without_a_new_login(declared: dict[str, Recorder]) -> None:
    """Not every client can log in again over its connection, and Kafka closes that of one that cannot."""
    broker = properties(upload(declared["build"].containers["kafka"], "/etc/lolstack/server.properties"))
    assert broker["connections.max.reauth.ms"] == "600000"
    assert broker["listener.name.host.scram-sha-512.connections.max.reauth.ms"] == "86400000"


def test_alertmanager_has_memory_for_the_refused_logins_that_it_keeps(declared: dict[str, Recorder]) -> None:
    """A hundred. One has at most 1 MiB of base64 in a request's header, and twice the decoded size in the key."""
    container = declared["build"].containers["alertmanager"]
    (limit,) = [each for each in container["envs"] if each.startswith("GOMEMLIMIT=")]
    refused_mib = 100 * 1 * 3 / 4 * 2
    assert container["memory"] > int(limit.removeprefix("GOMEMLIMIT=").removesuffix("MiB")) > refused_mib + 100


@pytest.mark.parametrize(("memory", "largest"), [(256, 2), (512, 5), (1280, 13), (4096, 42)])
def test_largest_request_of_cassandra_follows_from_its_memory_limit(memory: int, largest: int) -> None:
    """A node with 512 MiB runs out of memory if it gets matches of 12 MiB."""
    node = declare("build", cassandraMemory=memory).containers["cassandra"]
    limits = yaml.safe_load(upload(node, "/etc/cassandra/cassandra.yaml"))
    assert limits["native_transport_max_request_data_in_flight_per_ip"] == f"{largest}MiB"


def test_cassandra_accepts_the_largest_match_that_the_archive_writes(declared: dict[str, Recorder]) -> None:
    """By default, the largest request is a fortieth of the heap: 12.2 MB. No other limit is lower: the commit log takes
    mutations of half a segment, and the requests of all clients a tenth of the heap."""
    node = yaml.safe_load(upload(declared["build"].containers["cassandra"], "/etc/cassandra/cassandra.yaml"))
    limits = {name: int(text.removesuffix("MiB")) * 2**20 for name, text in node.items() if str(text).endswith("MiB")}
    largest = limits["native_transport_max_request_data_in_flight_per_ip"]
    assert largest >= MAX_BYTES + 2**16, "the message, its match id and the request's header"
    assert largest <= limits["commitlog_segment_size"] / 2


def test_archive_and_backfill_have_memory_for_two_of_the_largest_batches(declared: dict[str, Recorder]) -> None:
    """Messages of one can still be in the queue while the next is decompressed. Python and its libraries take 90 MiB in
    the archive and 200 MiB in the backfill, which has Spark's as well."""
    batches = 2 * MAX_BATCH_BYTES / 2**20
    assert declared["build"].containers["archive"]["memory"] >= batches + 90
    assert int(BACKFILL_MEMORY.removesuffix("m")) >= batches + 200


def test_topics_are_declared_with_broker_timestamps_and_unlimited_dead_letter_retention(
    declared: dict[str, Recorder],
) -> None:
    topics = declared["build"].resources[TOPIC]
    assert {name: topic["partitions"] for name, topic in topics.items()} == {"lol_matches": 3, "lol_matches_dlq": 1}
    matches, dead_letters = topics["lol_matches"]["config"], topics["lol_matches_dlq"]["config"]
    assert matches["message.timestamp.type"] == "LogAppendTime"
    assert dead_letters["retention.ms"] == "-1"
    assert dead_letters["segment.ms"] == str(7 * 24 * 3600 * 1000), (
        "its files do not become many with a short retention"
    )
    headers = int(dead_letters["max.message.bytes"]) - int(matches["max.message.bytes"])
    assert headers >= 2**20, "a dead letter is the message with additional headers"


def test_an_index_template_is_declared_for_every_alias(declared: dict[str, Recorder]) -> None:
    assert set(declared["build"].resources[INDEX_TEMPLATE]) == set(INDEX_ALIASES)


def test_containers_are_the_same_from_both_image_sources() -> None:
    """Except for the image, the label that names the source, the default of Elasticsearch's memory, and a flag."""
    built, pulled = (declare(kind, generatorEnabled=True, elasticsearchMemory=1024).containers for kind in KINDS)
    pulled["alertmanager"]["command"].remove(START_DELAY)
    for name, container in built.items():
        assert without_source(container) == without_source(pulled[name]), name


def test_alertmanager_of_another_version_starts_without_the_flag_of_the_pinned_one() -> None:
    images = {"alertmanager": "registry.example.com/alertmanager:v0.28.1"}
    assert START_DELAY not in declare("registry", images=images).containers["alertmanager"]["command"]


def test_smallest_memory_of_a_jvm_has_room_for_its_initial_heap() -> None:
    """A JVM whose maximum is smaller than its initial heap does not start."""
    containers = declare("build", kafkaMemory=192, cassandraMemory=256).containers
    assert {"-Xms96m", "-Xmx96m"} <= set(containers["kafka"]["command"])
    (options,) = [each for each in containers["cassandra"]["envs"] if each.startswith("JVM_EXTRA_OPTS=")]
    assert "-Xms96m" in options.split()
    assert "MAX_HEAP_SIZE=96M" in containers["cassandra"]["envs"]


def test_direct_memory_of_cassandra_follows_from_its_memory_limit() -> None:
    """Without the variable, the official image computes it from the host's memory."""
    for kind in KINDS:
        assert "MAX_DIRECT_MEMORY_SIZE=250M" in declare(kind, cassandraMemory=1000).containers["cassandra"]["envs"]


def test_official_elasticsearch_has_more_memory_unless_it_is_set(declared: dict[str, Recorder]) -> None:
    """The official image runs a second JVM. Half of the memory is heap."""

    def memory_and_heap(container: Mapping[str, Any]) -> tuple[float, str]:
        (options,) = [each for each in container["envs"] if each.startswith("ES_JAVA_OPTS=")]
        return container["memory"], options.partition("=")[2].split()[1]

    found = {kind: memory_and_heap(declared[kind].containers["elasticsearch"]) for kind in KINDS}
    assert found == {"build": (1280, "-Xmx640m"), "registry": (1536, "-Xmx768m")}
    for kind in KINDS:
        container = declare(kind, elasticsearchMemory=900).containers["elasticsearch"]
        assert memory_and_heap(container) == (900, "-Xmx450m")


def without_source(container: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in container.items() if key not in ("image", "labels")}
    labels = [label for label in container["labels"] if not label["label"].endswith("image-source")]
    return rest | {"labels": labels}


@pytest.mark.parametrize(
    ("kind", "changes", "warned"),
    [
        ("build", {"registryMirror": "warned.example.com"}, True),
        ("build", {"images": {"kafka": "warned.example.com/kafka:1"}}, True),
        ("registry", {"registryMirror": "warned.example.com"}, False),
    ],
)
def test_setting_of_official_images_without_effect_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, kind: ImageSource, changes: dict[str, Any], warned: bool
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warnings.append)
    declare(kind, **changes)
    assert any(text.startswith("images, registryMirror: of no effect") for text in warnings) is warned


@pytest.mark.parametrize(
    ("job", "services"),
    [
        ({"archive": {"retention_days": 1}}, {"archive"}),
        ({"window": {"update_seconds": 20}}, {"spark-job"}),
        ({"executor": {"cores": 1}}, {"spark-job"}),
        ({"event_time": {"ahead_seconds": 1}}, {"archive", "spark-job"}),
        ({"kafka": {"starting_offsets": "earliest"}, "log": {"level": "DEBUG"}}, {"archive", "spark-job"}),
    ],
)
def test_setting_of_the_job_restarts_only_the_processes_that_read_it(job: dict[str, Any], services: set[str]) -> None:
    kinds = [declare("build", sparkWorkerMemory=4864, job=each).containers for each in ({}, job)]
    without, changed = ({name: upload(each[name], JOB_SETTINGS) for name in ("archive", "spark-job")} for each in kinds)
    assert {name for name in without if without[name] != changed[name]} == services
    for section, values in job.items():
        for name in services:
            assert yaml.safe_load(changed[name])[section] == yaml.safe_load(without[name]).get(section, {}) | values


def test_registry_source_pulls_the_pinned_images(declared: dict[str, Recorder]) -> None:
    images = declared["registry"].resources[PULLED_IMAGE]
    assert {name: image["name"] for name, image in images.items()} == versions.OFFICIAL_IMAGES
    assert not set(images) & set(declared["registry"].resources[IMAGE])


def test_build_source_pulls_nothing(declared: dict[str, Recorder]) -> None:
    assert PULLED_IMAGE not in declared["build"].resources
    assert [name for name, image in declared["build"].resources[IMAGE].items() if "build" not in image] == []


@pytest.mark.parametrize("kind", KINDS)
def test_no_build_asks_a_registry_for_a_built_image(declared: dict[str, Recorder], kind: str) -> None:
    """A built image's name is under a host that cannot exist, and each parent is such an image or a pulled one. The
    builder is the engine's own, which has both."""
    resources = declared[kind].resources
    pulled = {image["name"] for image in resources.get(PULLED_IMAGE, {}).values()}
    bases = {image["name"] for image in resources.get(BASE_IMAGE, {}).values()}
    built = {image["name"] for image in resources[IMAGE].values()}
    assert all(re.fullmatch(r"lolstack\.invalid/[a-z-]+:[0-9a-f]{12}", name) for name in built | bases)
    for name, image in resources[IMAGE].items():
        assert image["build"]["builder"] == "default", name
        parents = {value for key, value in image["build"]["buildArgs"].items() if key.endswith("_IMAGE")}
        assert parents, name
        assert parents <= built | bases | pulled, name
        assert parents_of(name) <= set(image["build"]["buildArgs"]), name


def parents_of(name: str) -> set[str]:
    """The build arguments that name the Dockerfile's parent images. Every other parent is one of its own stages."""
    lines = [
        line.split() for line in (ROOT / RECIPES[name].context / RECIPES[name].dockerfile).read_text().splitlines()
    ]
    froms = [words for words in lines if words[:1] == ["FROM"]]
    copies = [word.removeprefix("--from=") for words in lines for word in words if word.startswith("--from=")]
    stages = {words[3] for words in froms if words[2:3] == ["AS"]}
    images = {words[1] for words in froms} | set(copies)
    assert all(re.fullmatch(r"\$\{\w+\}", each) for each in images - stages), f"{name}: {images - stages}"
    return {each.strip("${}") for each in images - stages}


def test_jmx_exporter_is_added_to_the_image_of_either_source(declared: dict[str, Recorder]) -> None:
    for service in ("kafka", "cassandra"):
        bases = {
            kind: declared[kind].resources[IMAGE][f"{service}-jmx"]["build"]["buildArgs"]["SERVICE_IMAGE"]
            for kind in declared
        }
        assert bases["registry"] == versions.OFFICIAL_IMAGES[service]
        assert bases["build"] == declared["build"].resources[IMAGE][service]["name"]


@pytest.mark.parametrize("kind", ["registry", "build"])
def test_every_container_is_hardened_and_limited(declared: dict[str, Recorder], kind: str) -> None:
    for name, container in declared[kind].containers.items():
        assert container["capabilities"] == {"drops": ["ALL"]}, name
        assert container["securityOpts"] == ["no-new-privileges"], name
        assert re.fullmatch(r"[1-9]\d*:\d+", container["user"]), name
        assert container["memory"] > 0, name
        assert container["memorySwap"] == container["memory"], f"{name} may swap"
        assert container["restart"] == "always", name
        assert container["logOpts"] == {"max-size": "10m", "max-file": "3"}, f"{name}: its log could fill the disk"
        assert container["healthcheck"]["tests"][0] == "CMD", name


@pytest.mark.parametrize("kind", ["registry", "build"])
def test_no_container_looks_up_a_service_outside_the_stack(declared: dict[str, Recorder], kind: str) -> None:
    for name, container in declared[kind].containers.items():
        assert (container["dnsOpts"], container["dnsSearches"]) == (["ndots:1"], ["."]), name


@pytest.mark.parametrize("kind", ["registry", "build"])
def test_every_port_is_published_on_loopback_only(declared: dict[str, Recorder], kind: str) -> None:
    published = [port for container in declared[kind].containers.values() for port in container["ports"]]
    assert {port["ip"] for port in published} == {"127.0.0.1"}
    # Not Spark's RPC port 7077: whoever connects to it can run code on the workers.
    built = {29092, 9200, 9042, 8080, 8081, 4040, 9090, 9093, 8501}
    assert {port["internal"] for port in published} == built | ({5601, 3000} if kind == "registry" else set())


def test_every_container_has_the_stacks_name_and_labels(declared: dict[str, Recorder]) -> None:
    for name, container in declared["build"].containers.items():
        assert container["name"] == f"lolstack-unit-{name}"
        labels = {label["label"]: label["value"] for label in container["labels"]}
        assert (labels[STACK_LABEL], labels[SERVICE_LABEL]) == ("unit", name)
        assert labels["traefik.enable"] == "false", "a Traefik of the host would publish it to others, without a login"


def test_engine_defaults_of_log_options_and_ulimits_replace_no_container(declared: dict[str, Recorder]) -> None:
    """The engine adds those of its daemon.json, which the provider reads back. A label has ours: a changed label
    replaces a container."""
    for name, container in declared["build"].containers.items():
        assert declared["build"].options[name].ignore_changes == {"logOpts", "ulimits"}
        labels = {label["label"]: label["value"] for label in container["labels"]}
        assert json.loads(labels[LIMITS_LABEL]) == {key: container[key] for key in ("logOpts", "ulimits")}


def test_a_volume_is_mounted_only_where_the_built_image_creates_the_directory(declared: dict[str, Recorder]) -> None:
    """A directory that is not in the image would be owned by root, and the service could not write there."""
    contexts = {
        "zookeeper": "kafka",
        "spark-worker": "spark",
        "spark-master": "spark",
        "spark-job": "spark",
        "archive": "spark",
    }
    for name, container in declared["build"].containers.items():
        recipe = RECIPES[contexts.get(name, name)]
        dockerfile = (ROOT / recipe.context / recipe.dockerfile).read_text()
        for mount in container.get("volumes") or []:
            assert mount["containerPath"] in dockerfile, f"{name}: {mount['containerPath']}"


def test_zookeeper_and_kafka_share_one_volume(declared: dict[str, Recorder]) -> None:
    containers = declared["build"].containers
    (zookeeper,), (kafka,) = containers["zookeeper"]["volumes"], containers["kafka"]["volumes"]
    assert zookeeper["volumeName"] == kafka["volumeName"]


def test_volume_of_a_service_that_is_left_out_is_kept(declared: dict[str, Recorder]) -> None:
    """Its image may only not be found today, and the volume has what people made in Grafana."""
    owners = {
        source: recorder.resources[VOLUME_OWNERS]["volume-owners"]["users"] for source, recorder in declared.items()
    }
    assert "grafana" not in declared["build"].containers
    assert owners["build"] == owners["registry"]


def test_driver_and_workers_share_the_checkpoints(declared: dict[str, Recorder]) -> None:
    containers = declared["build"].containers
    (driver,), (worker,) = containers["spark-job"]["volumes"], containers["spark-worker"]["volumes"]
    assert driver == worker


def test_every_service_has_a_user_that_no_host_account_has(declared: dict[str, Recorder]) -> None:
    """Two services have the same only where they share a volume. https://systemd.io/UIDS-GIDS has the range."""
    services: dict[int, set[str]] = {}
    for name, container in declared["registry"].containers.items():
        services.setdefault(int(container["user"].partition(":")[0]), set()).add(name)
    assert set(services) <= set(range(60706, 61184))
    assert {frozenset(each) for each in services.values() if len(each) > 1} == {
        frozenset({"zookeeper", "kafka"}),
        frozenset({"spark-master", "spark-worker", "spark-job", "archive"}),
    }


@pytest.mark.parametrize(
    ("image", "service"), [("job", "spark-job"), ("generator", "generator"), ("dashboard", "dashboard")]
)
def test_own_image_has_an_account_for_the_user_of_its_service(
    declared: dict[str, Recorder], image: str, service: str
) -> None:
    uid = declared["build"].containers[service]["user"].partition(":")[0]
    assert f"--uid {uid} " in dockerfile(image)


def test_volume_belongs_to_the_user_of_its_services_before_they_start(declared: dict[str, Recorder]) -> None:
    recorder = declared["registry"]
    owners = recorder.resources[VOLUME_OWNERS]["volume-owners"]["users"]
    mounted = set()
    for service, container in recorder.containers.items():
        for mount in container.get("volumes") or ():
            assert owners[mount["volumeName"]] == container["user"], service
            assert "volume-owners" in recorder.options[service].depends_on, service
            mounted.add(mount["volumeName"])
    assert mounted == set(owners)


def test_only_kafka_and_prometheus_reach_zookeeper_and_the_generator(declared: dict[str, Recorder]) -> None:
    connected: dict[str, set[str]] = {}
    for service, container in declared["registry"].containers.items():
        for network in container["networksAdvanced"]:
            assert network["aliases"] == [service]
            connected.setdefault(network["name"], set()).add(service)
    assert connected["lolstack-unit-zookeeper"] == {"zookeeper", "kafka", "prometheus"}
    assert connected["lolstack-unit-generator"] == {"generator", "kafka", "prometheus"}
    assert not {"zookeeper", "generator"} & connected["lolstack-unit"]


def test_number_of_workers_is_a_setting_and_each_is_scraped() -> None:
    recorder = declare("build", sparkWorkers=2)
    assert {"spark-worker", "spark-worker-2"} <= set(recorder.containers)
    assert scrape_targets(recorder)["spark-worker"][1] == ["spark-worker:8081", "spark-worker-2:8081"]


def test_without_a_generator_none_is_declared_or_scraped() -> None:
    recorder = declare("build")
    assert "generator" not in recorder.containers
    assert set(scrape_targets(recorder)) == set(SCRAPE_TARGETS) - {"generator"}


def test_every_dynamic_provider_preloads_all_libraries() -> None:
    """Each provider's module imports `preload`, and no library besides what that loads; preload.py explains the race.

    In a process of its own, without what the tests import.
    """
    script = """
import importlib, pkgutil, sys
import pulumi.dynamic
from infra import provisioning

def third_party():
    return {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names

import infra.provisioning.preload
preloaded = third_party()
assert {"confluent_kafka", "docker", "elasticsearch"} <= preloaded
for module in [each.name for each in pkgutil.iter_modules(provisioning.__path__) if each.name != "preload"]:
    for name in [name for name in sys.modules if name.startswith("infra")]:
        del sys.modules[name]
    importlib.import_module(f"infra.provisioning.{module}")
    assert "infra.provisioning.preload" in sys.modules, f"{module} does not import preload"
    assert third_party() == preloaded, f"{module} imports {third_party() - preloaded}: add it to preload"
    print(module)
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert {"topic", "index_template", "saved_object", "health_gate"} <= set(run.stdout.split())
