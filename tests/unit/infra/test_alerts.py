"""Each alert says what people need, and has its cases. The cases themselves are run by promtool, in tests/stack."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from pulumi.runtime import rpc

from infra.services.prometheus import RULES
from tests.support.pulumi_program import CONTAINER, declare

GIB = 2**30
RULES_TEST = RULES.with_name("rules_test.yml")

ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_it_is_where_to_look_and_what_to_do(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["labels"]["component"]
    assert {"summary", "description", "runbook"} == set(alert["annotations"])
    assert alert["annotations"]["runbook"].startswith("Look: ")
    assert "\nDo: " in alert["annotations"]["runbook"]


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(name: str) -> None:
    cases = [
        bool(case["exp_samples"])
        for test in yaml.safe_load(RULES_TEST.read_text())["tests"]
        for case in test["promql_expr_test"]
        if re.search(rf'alertname=~?"[^"]*\b{name}\b', case["expr"])
    ]
    assert True in cases, "it never fires in rules_test.yml"
    assert False in cases, "it never keeps silent in rules_test.yml"


def test_the_disks_alert_is_at_elasticsearchs_own_watermark(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = declare("build", monkeypatch).resources[CONTAINER]["elasticsearch"]["envs"]
    (watermark,) = [
        value for value in environment if value.startswith("cluster.routing.allocation.disk.watermark.low=")
    ]
    limit = int(ALERTS["ElasticsearchDiskAboveWatermark"]["expr"].split("<")[1])
    assert watermark.endswith(f"={limit // GIB}gb")
    assert limit % GIB == 0


def test_the_webhook_is_optional_and_kept_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    def receiver(**config: str) -> dict[str, Any]:
        uploads = declare("build", monkeypatch, **config).resources[CONTAINER]["alertmanager"]["uploads"]
        assert uploads[rpc._special_sig_key] == rpc._special_secret_sig
        (config_file,) = uploads["value"]
        return dict(yaml.safe_load(config_file["content"])["receivers"][0])

    assert receiver()["webhook_configs"] == []
    assert receiver(alertWebhookUrl="http://people/x")["webhook_configs"][0]["url"] == "http://people/x"
