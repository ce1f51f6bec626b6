"""Wrong configuration is refused by name; the schema in Pulumi.yaml and the typed settings are one."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import yaml
from pydantic.alias_generators import to_camel

from infra.images import ROOT
from infra.settings import PORT_OFFSET_STEP, Settings, SettingsError
from tests.support.pulumi_program import SCHEMA, raw_config


def test_schema_and_settings_name_the_same_keys() -> None:
    assert set(SCHEMA) == {to_camel(name) for name in Settings.model_fields}


def test_every_key_of_the_schema_has_a_type_a_default_and_a_description() -> None:
    for key, entry in SCHEMA.items():
        assert {"type", "default", "description"} <= set(entry), key


def test_the_settings_of_dev_in_git_hold_nothing_of_one_machine() -> None:
    """Pulumi writes the salt of the machine's passphrase beside them; with another's salt no `up` works."""
    tracked = subprocess.run(
        ["git", "-c", "safe.directory=*", "show", ":Pulumi.dev.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert set(yaml.safe_load(tracked)) == {"config"}


def test_defaults_are_accepted() -> None:
    assert Settings.load(raw_config(), "dev").kafka_port == 29092


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"kafkaprot": 1}, "lolstack:kafkaprot: there is no such setting"),
        ({"kafkaMemory": -1}, "lolstack:kafkaMemory"),
        ({"kafkaMemory": "much"}, "lolstack:kafkaMemory"),
        ({"kafkaPort": 70000}, "lolstack:kafkaPort"),
        ({"kafkaPort": 9200}, "kafkaPort are both 9200"),
        ({"imageSource": "dockerhub"}, "lolstack:imageSource"),
        ({"registryMirror": "https://mirror/x"}, "lolstack:registryMirror"),
        ({"topicPartitions": 100000}, "lolstack:topicPartitions"),
        ({"topicPartitions": 0}, "lolstack:topicPartitions"),
        ({"alertWebhookUrl": "example.com/hook"}, "lolstack:alertWebhookUrl"),
        ({"elasticsearchRefreshInterval": "soon"}, "lolstack:elasticsearchRefreshInterval"),
        ({"generatorPoisonPercent": 101}, "lolstack:generatorPoisonPercent"),
        ({"sparkWorkerMemory": 2048}, "sparkWorkerMemory: 2048 MiB is too little for job.executor.memory 2g"),
        ({"job": {"driver": {"memory": "4g"}}}, "sparkJobMemory"),
        ({"sparkWorkerCores": 1}, "sparkWorkerCores"),
        ({"generatorDuplicatesPercent": 95}, "generatorDuplicatesPercent"),
        ({"generatorPoisonPercent": 60, "generatorRemakesPercent": 60}, "together at most 100"),
        ({"images": {"kafka": 3}}, "lolstack:images.kafka"),
        (
            {"images": {"kafak": "example.com/kafka:1"}},
            "lolstack:images: no image of that name: kafak; there are kafka",
        ),
        ({"job": {"no_such_key": 1}}, "job.no_such_key"),
        ({"job": {"http": {"port": 8001}, "kafka": {"topic": "t"}}}, "lolstack:job: http.port, kafka.topic: given by"),
        ({"job": {"kafka": "lol"}}, "job.kafka"),
        ({"portOffset": 35000, "kafkaPort": 31000}, "kafkaPort (66000)"),
    ],
)
def test_a_wrong_value_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        Settings.load(raw_config(**changes), "dev")
    assert named in str(refusal.value).replace("elasticsearchPort and ", "")


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as refusal:
        Settings.load(raw_config(kafkaMemory=-1, cassandraMemory=-1), "dev")
    assert "lolstack:kafkaMemory" in str(refusal.value)
    assert "lolstack:cassandraMemory" in str(refusal.value)


def test_dev_has_the_documented_ports_and_other_stacks_their_own() -> None:
    settings = Settings.load(raw_config(), "dev")
    dev, other = settings.host_ports("dev"), settings.host_ports("other")
    assert dev["elasticsearchPort"] == 9200
    assert not set(dev.values()) & set(other.values())


def test_no_two_stacks_can_collide_whatever_their_offsets() -> None:
    ports = Settings.load(raw_config(), "dev").host_ports("dev").values()
    assert len({port % PORT_OFFSET_STEP for port in ports}) == len(ports)


def test_each_worker_takes_a_port_of_its_own() -> None:
    settings = Settings.load(raw_config(sparkWorkers=3, sparkWorkerUiPort=18081), "dev")
    assert {18081, 18082, 18083} <= set(settings.host_ports("dev").values())
