"""Settings: invalid configuration is rejected by name, and Pulumi.yaml's schema matches the typed settings."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from typing import Any

import pytest
import yaml
from pydantic.alias_generators import to_camel

from infra import versions
from infra.names import INDEX_ALIASES, ROOT
from infra.settings import PORT_OFFSET_STEP, STACK_OWNED_JOB_KEYS, HostPort, Settings, SettingsError
from tests.support.pulumi_program import SCHEMA, raw_config, settings


def test_schema_of_pulumi_yaml_and_typed_settings_have_the_same_keys() -> None:
    assert set(SCHEMA) == {to_camel(name) for name in Settings.model_fields}


def test_every_key_of_the_schema_has_a_type_a_default_and_a_description() -> None:
    for key, entry in SCHEMA.items():
        assert {"type", "default", "description"} <= set(entry), key


def test_stack_settings_files_are_not_tracked_by_git() -> None:
    """Pulumi writes a salt for this machine's passphrase into them: another machine could not deploy with it."""
    git = ["git", "-c", "safe.directory=*"]
    for stack in ("dev", "other"):
        subprocess.run([*git, "check-ignore", "--quiet", f"Pulumi.{stack}.yaml"], cwd=ROOT, check=True)
    tracked = subprocess.run([*git, "ls-files", "Pulumi.*.yaml"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert tracked.stdout == ""


def test_defaults_are_accepted() -> None:
    assert settings().kafka_port == 29092


@pytest.mark.parametrize(
    ("value", "stack", "expected"),
    [
        ("auto", "dev", True),
        ("auto", "other", False),
        (True, "other", True),
        ("true", "other", True),
        (False, "dev", False),
        ("false", "dev", False),
    ],
)
def test_generator_is_enabled_by_default_in_dev_only(value: Any, stack: str, expected: bool) -> None:
    assert SCHEMA["generatorEnabled"]["default"] == "auto"
    assert settings(stack, generatorEnabled=value).generator_runs(stack) is expected


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"kafkaprot": 1}, "lolstack:kafkaprot: unknown setting"),
        ({"kafkaMemory": -1}, "lolstack:kafkaMemory"),
        ({"kafkaMemory": "much"}, "lolstack:kafkaMemory"),
        ({"kafkaMemory": 191}, "lolstack:kafkaMemory: Input should be greater than or equal to 192"),
        ({"cassandraMemory": 255}, "lolstack:cassandraMemory: Input should be greater than or equal to 256"),
        ({"elasticsearchMemory": 383}, "lolstack:elasticsearchMemory: must be at least 384, or -1"),
        ({"kafkaPort": 70000}, "lolstack:kafkaPort"),
        ({"kafkaPort": 9200}, "kafkaPort are both 9200"),
        ({"sparkMasterPort": 7077}, "lolstack:sparkMasterPort: unknown setting"),
        ({"imageSource": "dockerhub"}, "lolstack:imageSource"),
        ({"registryMirror": "https://mirror/x"}, "lolstack:registryMirror"),
        ({"topicPartitions": 100000}, "lolstack:topicPartitions"),
        ({"topicPartitions": 0}, "lolstack:topicPartitions"),
        ({"alertWebhookUrl": "example.com/hook"}, "lolstack:alertWebhookUrl"),
        *(
            ({"elasticsearchRefreshInterval": interval}, "lolstack:elasticsearchRefreshInterval: must be above 0")
            for interval in ("0s", "000ms")
        ),
        *(
            ({"elasticsearchRefreshInterval": interval}, "lolstack:elasticsearchRefreshInterval: String should match")
            for interval in ("soon", "-1", "1", "1h", "9999999ms")
        ),
        (
            {"generatorEnabled": "yes"},
            "lolstack:generatorEnabled: Input should be 'auto', 'true' or 'false' (is 'yes')",
        ),
        ({"generatorPoisonPercent": 101}, "lolstack:generatorPoisonPercent"),
        ({"generatorModes": "ranked_solo=1,urf=1"}, "lolstack:generatorModes: 'urf' is no mode"),
        ({"generatorModes": "arena_16=1"}, "generatorRemakesPercent must be 0"),
        ({"sparkWorkerMemory": 2048}, "sparkWorkerMemory: 2048 MiB is too little for job.executor.memory 2g"),
        ({"job": {"driver": {"memory": "4g"}}}, "sparkJobMemory"),
        (
            {
                "topicPartitions": 98,
                "job": {"window": {"size_seconds": 86400, "watermark_seconds": 86400}},
            },
            "topicPartitions: a match has 21,600 rows of the statistics with job.window.size_seconds 86400 and "
            "job.window.slide_seconds 60, and 98 of them can exceed job.executor.memory 2g: ",
        ),
        ({"sparkWorkerCores": 1}, "sparkWorkerCores"),
        ({"generatorDuplicatesPercent": 95}, "generatorDuplicatesPercent"),
        ({"generatorPoisonPercent": 60, "generatorRemakesPercent": 60}, "together at most 100"),
        ({"registryMirror": "harbor"}, "lolstack:registryMirror: no registry"),
        ({"registryMirror": "harbor/x"}, "lolstack:registryMirror: no registry"),
        ({"registryMirror": "mirror.example.com//x"}, "lolstack:registryMirror: no registry"),
        ({"registryMirror": "mirror.example.com/X"}, "lolstack:registryMirror: no registry"),
        ({"registryMirror": "mirror.example.com\n"}, "lolstack:registryMirror: no registry"),
        ({"images": {"kafka": 3}}, "lolstack:images.kafka"),
        (
            {"images": {"kafak": "example.com/kafka:1"}},
            "lolstack:images: no image of that name: kafak; there are kafka",
        ),
        ({"job": {"no_such_key": 1}}, "job.no_such_key"),
        (
            {"job": {"http": {"port": 8001, "username": "u", "password": "p"}, "kafka": {"topic": "t"}}},
            "lolstack:job: http.port, http.username, http.password, kafka.topic: set by the stack",
        ),
        (
            {"job": {"kafka": {"bootstrap_servers": "b:9092"}, "elasticsearch": {"hosts": ["http://e:9200"]}}},
            "lolstack:job: kafka.bootstrap_servers, elasticsearch.hosts: set by the stack",
        ),
        ({"job": {"archive": {"hosts": ["c"], "port": 9042}}}, "lolstack:job: archive.hosts, archive.port: set by"),
        ({"job": {"kafka": "lol"}}, "job.kafka"),
        ({"portOffset": 35000, "kafkaPort": 31000}, "kafkaPort (66000)"),
    ],
)
def test_invalid_setting_is_rejected_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        Settings.load(raw_config(**changes), "dev")
    assert named in str(refusal.value).replace("elasticsearchPort and ", "")


def test_misspelt_namespace_is_rejected_and_settings_of_other_programs_are_not() -> None:
    config = raw_config() | {"lolstak:security": "strict", "docker:registryAuth": "[]", "aws:region": "eu-west-1"}
    with pytest.raises(SettingsError, match=r"^lolstak:security: unknown setting, did you mean lolstack:security\? "):
        Settings.load(config, "dev")
    del config["lolstak:security"]
    Settings.load(config, "dev")


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({}, None),
        ({"sparkWorkerCores": 4, "job": {"executor": {"cores": 4}}}, None),
        ({"sparkWorkerCores": 4, "sparkWorkerMemory": 4864}, None),
        ({"sparkWorkerCores": 4}, "the job uses 2 of 4: a worker runs 1 executor(s) with job.executor.cores 2 and "),
        ({"sparkWorkerCores": 4}, "raise job.executor.cores to 4, or lolstack:sparkWorkerMemory to 4864"),
        ({"sparkWorkerCores": 3, "sparkWorkerMemory": 8192}, "the job uses 2 of 3: a worker runs 1 executor(s)"),
        ({"job": {"executor": {"cores": 1}}}, "the job uses 1 of 2: a worker runs 1 executor(s)"),
    ],
)
def test_cores_of_a_worker_that_no_executor_uses_are_a_warning(changes: dict[str, Any], warning: str | None) -> None:
    found = settings(**changes).unused_cores()
    assert (warning in found) if warning and found else found is warning


@pytest.mark.parametrize("interval", ["50ms", "1s", "5m"])
def test_refresh_interval_is_a_time(interval: str) -> None:
    assert settings(elasticsearchRefreshInterval=interval).elasticsearch_refresh_interval == interval


@pytest.mark.parametrize("stack", ["dev", "other"])
@pytest.mark.parametrize(
    ("changes", "commands"),
    [
        ({"kafkaPort": 0}, ["config set kafkaPort VALUE"]),
        ({"unknown": 1}, ["config rm unknown"]),
        ({"job": {"master": "local"}}, ["config set --path job.KEY VALUE", "config rm --path job.KEY"]),
    ],
)
def test_command_that_corrects_a_setting_names_the_stack(
    changes: dict[str, Any], commands: list[str], stack: str
) -> None:
    """Pulumi would change the selected stack."""
    with pytest.raises(SettingsError) as refusal:
        Settings.load(raw_config(**changes), stack)
    for command in commands:
        assert f"`pulumi {command} --stack {stack}`" in str(refusal.value)


@pytest.mark.parametrize(
    "reference",
    [
        *("registry.example.com/Team/grafana:1", "Team/grafana", "a b", " ", "", "x/y:@", "x/y:", "x//y", "x/y/", "-x"),
        *("x__.y", "x/y:1\n", "https://example.com/x", "x@sha256:12", "x:-1", "a:b:c"),
    ],
)
def test_invalid_image_reference_is_rejected_with_its_service(reference: str) -> None:
    """Docker's API answers each with `invalid reference format`."""
    with pytest.raises(SettingsError) as refusal:
        settings(images={"grafana": reference})
    assert "lolstack:images.grafana: no image reference like registry.example.com/team/name:1" in str(refusal.value)
    assert str(refusal.value).endswith("change it with `pulumi config set --path images.grafana VALUE --stack dev`")


@pytest.mark.parametrize(
    "reference",
    [
        *versions.OFFICIAL_IMAGES.values(),
        *("kafka", "localhost/x", "localhost:5000/a/b__c.d--e:V_1.2-x", "Registry.example.com/x", "harbor:80/x"),
        *(f"x@sha256:{'0a' * 32}", f"example.com/x:1@sha256:{'0a' * 32}"),
    ],
)
def test_valid_image_reference_is_accepted(reference: str) -> None:
    assert settings(images={"grafana": reference}).images == {"grafana": reference}


@pytest.mark.parametrize("mirror", ["localhost", "harbor:5000", "mirror.example.com", "10.0.0.1:80/a/b-c", ""])
def test_registry_mirror_has_no_slash_at_its_end(mirror: str) -> None:
    for setting in {mirror, f"{mirror}/" if mirror else ""}:
        assert settings(registryMirror=setting).registry_mirror == mirror


@pytest.mark.parametrize("job", [{"kafka": {"password": "hush"}}, '{"kafka": {"password": "hush"'])
def test_password_in_a_refused_setting_is_not_shown(job: Any) -> None:
    with pytest.raises(SettingsError, match="lolstack:job: ") as refusal:
        Settings.load(raw_config(job=job), "dev")
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"alertWebhookUrl": "hooks.example.com/services/hush"},
        {"registryMirror": "me:hush@mirror.example.com"},
        {"images": {"kafka": "me:hush@mirror.example.com/kafka:1"}},
        {"images": '{"kafka": "me:hush@mirror.example.com/kafka:1"'},
    ],
)
def test_token_or_password_in_a_refused_value_is_not_shown(changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=f"lolstack:{next(iter(changes))}") as refusal:
        Settings.load(raw_config(**changes), "dev")
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        *("https://", "https://@/x", "http://:8000/x", "http://host:0/x", "http://host:65536/x", "http://host:port/x"),
        *("http://host/%zz", "http://host/100%", "http://me:%@host/x", "http://[::1/x", "http://host/a b"),
        *("http://host/a\x00b", "ftp://host/x", "http://host/x\n"),
    ],
)
def test_webhook_url_without_a_host_or_with_invalid_parts_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="lolstack:alertWebhookUrl"):
        settings(alertWebhookUrl=url)


@pytest.mark.parametrize(
    "url",
    [
        *("https://hooks.slack.com/services/hush", "https://HOOKS.slack.com:443/hush", "https://discord.com/api/hush"),
        *("https://ptb.discord.com/api/hush", "https://discordapp.com/api/hush", "https://a.webhook.office.com/hush"),
        "https://chat.googleapis.com/v1/spaces/hush",
    ],
)
def test_webhook_of_a_chat_service_is_refused_without_its_token(url: str) -> None:
    """It answers Alertmanager's JSON with 400."""
    with pytest.raises(SettingsError, match=r"lolstack:alertWebhookUrl: .* translat") as refusal:
        settings(alertWebhookUrl=url)
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        *("", "http://webhook:8000/token", "https://hooks.example.com", "https://hooks.example.com/a%20b?x=%41#y"),
        *("http://me:pass%40word@10.0.0.1:80/", "http://[2001:db8::1]:8000/x", "https://hooks.example.com?token=x"),
        *("https://chat.example.com/v1?text=100%", "https://hooks.müller.example/x", "https://h.example.com:/x#y"),
        "https://hooks.slack.com.example.com/translated",
    ],
)
def test_webhook_url_is_a_host_with_a_path(url: str) -> None:
    assert settings(alertWebhookUrl=url).alert_webhook_url == url


def test_index_aliases_cannot_be_overridden() -> None:
    """The index templates have their names: with another alias the job would wait forever."""
    job = yaml.safe_load((ROOT / "job" / "config.yaml").read_text())
    keys = {key for key, value in job["elasticsearch"].items() if value in INDEX_ALIASES}
    assert len(keys) == len(INDEX_ALIASES)
    assert {f"elasticsearch.{key}" for key in keys} <= set(STACK_OWNED_JOB_KEYS)


def test_all_invalid_settings_are_reported_at_once() -> None:
    with pytest.raises(SettingsError) as refusal:
        settings(kafkaMemory=-1, cassandraMemory=-1)
    assert "lolstack:kafkaMemory" in str(refusal.value)
    assert "lolstack:cassandraMemory" in str(refusal.value)


def test_a_missing_default_is_reported_by_name() -> None:
    config = raw_config()
    del config["lolstack:kafkaPort"]
    with pytest.raises(SettingsError, match="lolstack:kafkaPort: not set and without a default"):
        Settings.load(config, "dev")


def numbers(ports: Iterable[HostPort]) -> set[int]:
    return {port.number for port in ports}


def test_dev_has_the_documented_ports_and_other_stacks_a_port_offset() -> None:
    dev, other = settings().host_ports("dev"), settings("other")
    assert HostPort("elasticsearchPort", "elasticsearch", 9200) in dev
    for stack in (f"stack-{number}" for number in range(200)):
        assert not numbers(dev) & numbers(other.host_ports(stack)), stack


def test_explicit_port_offset_is_added_to_every_host_port() -> None:
    base, shifted = settings(portOffset=0), settings(portOffset=300)
    expected = [(key, service, port + 300) for key, service, port in base.host_ports("other")]
    assert shifted.host_ports("other") == expected


def test_no_port_conflict_between_stacks_with_any_offsets() -> None:
    ports = settings().host_ports("dev")
    assert len({port % PORT_OFFSET_STEP for port in numbers(ports)}) == len(ports)


def test_host_ports_are_below_those_of_outgoing_connections() -> None:
    """Linux uses ports from 32768 for outgoing connections: a connection could have the port before the stack."""
    derived = settings("other")
    assert max(max(numbers(derived.host_ports(f"stack-{number}"))) for number in range(200)) < 32768


def test_each_worker_has_its_own_port() -> None:
    several = settings(sparkWorkers=3, sparkWorkerUiPort=18081)
    assert {18081, 18082, 18083} <= numbers(several.host_ports("dev"))


def test_port_of_the_dashboard_is_free_for_others_if_it_is_not_deployed() -> None:
    with pytest.raises(SettingsError, match="dashboardPort and kafkaPort are both 8501"):
        settings(kafkaPort=8501)
    ports = settings(kafkaPort=8501, dashboardEnabled=False).host_ports("dev")
    assert [port.service for port in ports if port.number == 8501] == ["kafka"]
