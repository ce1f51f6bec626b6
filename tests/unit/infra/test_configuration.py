"""A deployment without the settings of the last one is refused: the defaults would apply."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import configuration
from infra.configuration import describe, lost_settings
from tests.support.pulumi_program import raw_config

SETTINGS = {"lolstack:topicRetentionHours": "720", "lolstack:alertWebhookUrl": {"secure": "v1:abc"}}
IN_USE = raw_config(topicRetentionHours=720, alertWebhookUrl="https://hooks.example.com/hush")
"""The configuration that Pulumi passes to the program for a file with SETTINGS."""


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The stack's configuration file, which does not exist yet."""
    monkeypatch.setattr(configuration, "ROOT", tmp_path)
    return tmp_path / "Pulumi.unit.yaml"


def write(file: Path, config: dict[str, Any], salt: str | None = "v1:one") -> None:
    """The file as Pulumi writes it."""
    encryption = {"encryptionsalt": salt} if salt else {}
    file.write_text(yaml.safe_dump(encryption | ({"config": config} if config else {})))


def state(**outputs: Any) -> dict[str, Any]:
    return {"resources": [{"type": "pulumi:pulumi:Stack", "outputs": outputs}]}


@pytest.fixture
def deployed(file: Path) -> dict[str, Any]:
    """The state of a stack that was deployed with SETTINGS. The file is as it was then."""
    write(file, SETTINGS)
    return state(configuration=describe("unit"))


def test_output_has_the_names_of_the_settings_and_no_value(deployed: dict[str, Any]) -> None:
    output = deployed["resources"][0]["outputs"]["configuration"]
    assert output["settings"] == ["alertWebhookUrl", "topicRetentionHours"]
    assert not [value for value in ("720", "abc", "v1:one") if value in str(output)]


def test_new_clone_is_refused_with_the_names_of_the_settings_and_how_to_restore_them(
    deployed: dict[str, Any], file: Path
) -> None:
    """Without the file, as for `make up`, and with the one that Pulumi creates before it runs the program."""
    file.unlink()
    problem = lost_settings(deployed, "unit")
    assert problem is not None
    assert "Pulumi.unit.yaml" in problem
    assert "does not set alertWebhookUrl, topicRetentionHours: the defaults would apply" in problem
    assert "`pulumi config refresh --stack unit`" in problem
    write(file, {}, salt="v1:two")
    assert lost_settings(deployed, "unit") == problem
    file.write_text("")
    assert lost_settings(deployed, "unit") == problem


def test_new_clone_is_accepted_once_each_setting_is_set(deployed: dict[str, Any], file: Path) -> None:
    """Also to its default."""
    write(file, {"lolstack:topicRetentionHours": "168"}, salt="v1:two")
    assert "does not set alertWebhookUrl:" in str(lost_settings(deployed, "unit"))
    write(file, {"lolstack:topicRetentionHours": "168", "alertWebhookUrl": ""}, salt="v1:two")
    assert lost_settings(deployed, "unit") is None


def test_setting_that_was_removed_from_the_same_file_is_accepted(deployed: dict[str, Any], file: Path) -> None:
    """`pulumi config rm`: somebody wants its default."""
    write(file, {})
    assert lost_settings(deployed, "unit") is None


def test_file_without_a_salt_may_be_another_one(file: Path) -> None:
    """Pulumi's own service encrypts without one. A setting is then removed by setting it to its default."""
    write(file, SETTINGS, salt=None)
    deployed = state(configuration=describe("unit"))
    write(file, {"lolstack:topicRetentionHours": "720"}, salt=None)
    assert "does not set alertWebhookUrl:" in str(lost_settings(deployed, "unit"))
    write(file, {"lolstack:topicRetentionHours": "720", "lolstack:alertWebhookUrl": ""}, salt=None)
    assert lost_settings(deployed, "unit") is None
    file.unlink()
    assert lost_settings(deployed, "unit") is not None


def test_setting_at_its_default_is_not_one_that_can_be_lost(file: Path) -> None:
    write(file, {"lolstack:topicRetentionHours": 168, "lolstack:dashboardEnabled": "true", "lolstack:job": {}})
    assert describe("unit")["settings"] == []


def test_configuration_in_use_is_the_files_whatever_the_form_of_its_values(file: Path) -> None:
    write(file, {"lolstack:kafkaPort": 29093, "generatorEnabled": True, "lolstack:images": {"kafka": "kafka:1"}})
    config = raw_config(kafkaPort=29093, generatorEnabled="true", images={"kafka": "kafka:1"})
    assert describe("unit", config) == describe("unit")
    assert describe("unit")["id"]


def test_settings_of_a_config_file_are_not_lost_to_a_later_deployment_without_it(file: Path) -> None:
    """`pulumi up --config-file`: the program sees its settings only. The stack's own file is there, or not."""
    for salt in ("v1:one", None):
        write(file, {}, salt)
        deployed = state(configuration=describe("unit", IN_USE))
        assert deployed["resources"][0]["outputs"]["configuration"]["settings"] == [
            "alertWebhookUrl",
            "topicRetentionHours",
        ]
        for config in (raw_config(), None):
            problem = str(lost_settings(deployed, "unit", config))
            assert "does not set alertWebhookUrl, topicRetentionHours: the defaults would apply" in problem
        assert lost_settings(deployed, "unit", IN_USE) is None


def test_config_file_without_the_settings_of_the_stacks_file_is_refused(file: Path) -> None:
    write(file, SETTINGS)
    deployed = state(configuration=describe("unit", IN_USE))
    problem = lost_settings(deployed, "unit", raw_config(alertWebhookUrl="https://hooks.example.com/other"))
    assert "does not set topicRetentionHours:" in str(problem)
    assert lost_settings(deployed, "unit", IN_USE) is None
    write(file, {})
    assert lost_settings(deployed, "unit", raw_config()) is None, "`pulumi config rm`"


def test_config_file_with_the_settings_is_accepted_in_a_new_clone(deployed: dict[str, Any], file: Path) -> None:
    file.unlink()
    assert lost_settings(deployed, "unit", IN_USE) is None
    write(file, {}, salt="v1:two")
    assert lost_settings(deployed, "unit", IN_USE) is None


def test_stack_of_an_earlier_version_or_without_settings_is_accepted_without_a_file(file: Path) -> None:
    for deployed in ({}, state(dockerEngine="this"), state(configuration=describe("unit"))):
        assert lost_settings(deployed, "unit") is None


def test_invalid_file_is_left_to_pulumi(deployed: dict[str, Any], file: Path) -> None:
    """Which names the line."""
    file.write_text("config: [")
    assert lost_settings(deployed, "unit") is None
