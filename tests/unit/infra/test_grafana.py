"""Grafana's dashboards and provisioning: layout, valid PromQL, deterministic JSON. Without Grafana or Prometheus."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path, PurePath
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from infra.grafana import dashboards
from infra.names import ROOT, SCRAPE_SECONDS
from infra.services import FILES
from infra.services.grafana import DASHBOARDS, PROVISIONING
from tests.support.promql import interpolated, panels, parse, rule_test_cases, selectors, targets
from tests.support.pulumi_program import declare

BUILT = {uid: json.loads(text) for uid, text in dashboards(generator=True).items()}
PANELS = {f"{uid}: {panel['title']}": panel for uid, dashboard in BUILT.items() for panel in panels(dashboard)}
TARGETS = {
    f"{uid}: {panel['title']}, {target['refId']}": target
    for uid, dashboard in BUILT.items()
    for panel, target in targets(dashboard)
}


class TestDashboards:
    def test_dashboard_uids_are_fixed(self) -> None:
        assert {uid: dashboard["title"] for uid, dashboard in BUILT.items()} == {
            "lolstack-pipeline": "Pipeline",
            "lolstack-services": "Services",
        }
        assert all(dashboard["uid"] == uid for uid, dashboard in BUILT.items())

    @pytest.mark.parametrize("uid", BUILT)
    def test_dashboard_json_round_trips_through_grafanas_model(self, uid: str) -> None:
        register_default_plugins()
        model = Dashboard.from_json(BUILT[uid])
        for link in model.links or []:
            link.placement = None  # type: ignore[assignment]  # the SDK gives it a value where there is none
        known = JSONEncoder(sort_keys=True, indent=1).encode(model)
        assert json.loads(known) == BUILT[uid]

    def test_dashboard_json_is_deterministic(self) -> None:
        """With any hash seed of Python: a difference would replace Grafana's container at an `up`."""
        show = "import json; from infra.grafana import dashboards; print(json.dumps(dashboards(generator=True)))"
        texts = {
            subprocess.run(
                [sys.executable, "-c", show],
                cwd=ROOT,
                env=os.environ | {"PYTHONHASHSEED": seed},
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            for seed in ("1", "2")
        }
        assert [json.loads(text) for text in texts] == [dashboards(generator=True)]

    @pytest.mark.parametrize("uid", BUILT)
    def test_dashboard_is_read_only(self, uid: str) -> None:
        assert BUILT[uid]["editable"] is False

    @pytest.mark.parametrize("uid", BUILT)
    def test_dashboard_links_to_the_others(self, uid: str) -> None:
        assert {link["url"] for link in BUILT[uid]["links"]} == {f"/d/{other}" for other in BUILT if other != uid}
        assert all(link["keepTime"] for link in BUILT[uid]["links"])
        assert not any("placement" in link for link in BUILT[uid]["links"]), "it would be hidden in a menu"

    @pytest.mark.parametrize("uid", BUILT)
    def test_panel_ids_are_unique(self, uid: str) -> None:
        ids = [panel["id"] for panel in BUILT[uid]["panels"]]
        assert all(ids)
        assert len(set(ids)) == len(ids)

    @pytest.mark.parametrize("uid", BUILT)
    def test_panels_fill_the_grid_without_overlap(self, uid: str) -> None:
        taken = [
            (x, y)
            for panel in BUILT[uid]["panels"]
            for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
            for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
        ]
        assert len(set(taken)) == len(taken)
        width, height = (max(cells) + 1 for cells in zip(*taken, strict=True))
        assert width == 24
        assert len(taken) == width * height, "there is a gap"

    def test_generator_has_a_row_only_if_it_is_deployed(self) -> None:
        def rows(generator: bool) -> list[str]:
            built = json.loads(dashboards(generator=generator)["lolstack-services"])
            return [panel["title"] for panel in built["panels"] if panel["type"] == "row"]

        assert rows(True) == [*rows(False), "Generator"]


class TestPanels:
    def test_panel_titles_are_unique_in_a_row(self) -> None:
        for dashboard in BUILT.values():
            titles: set[str] = set()
            for panel in dashboard["panels"]:
                if panel["type"] == "row":
                    titles = set()
                assert panel["title"] not in titles
                titles.add(panel["title"])

    @pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
    def test_panel_has_a_description_a_unit_and_a_text_for_no_data(self, panel: dict[str, Any]) -> None:
        assert panel["title"]
        assert panel["description"].endswith(".")
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["noValue"]
        assert defaults["unit"] in vars(units).values() or defaults["unit"].startswith("count:")

    @pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
    def test_every_query_of_a_panel_has_its_own_legend(self, panel: dict[str, Any]) -> None:
        legends = [target["legendFormat"] for target in panel["targets"]]
        assert all(legends)
        assert len(set(legends)) == len(legends)
        assert len({target["refId"] for target in panel["targets"]}) == len(legends)

    @pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
    def test_thresholds_are_ascending(self, panel: dict[str, Any]) -> None:
        base, *steps = (step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"])
        assert base is None
        assert steps == sorted(set(steps))


class TestExpressions:
    @pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
    def test_expression_is_promql_with_grafanas_range_variables(self, target: dict[str, Any]) -> None:
        """A fixed range is too short for some zoom level or scrape interval; Grafana's variables fit both."""
        assert parse(target["expr"])
        assert "[" not in target["expr"].replace("[$__rate_interval]", "").replace("[$__range]", "")

    def test_dead_letters_are_counted_as_promtool_verifies_it(self) -> None:
        """In tests/stack. `increase` alone would extrapolate to another number."""
        evaluated = {case["expr"] for case in rule_test_cases()}
        (target,) = PANELS["lolstack-pipeline: Dead letters in the time shown"]["targets"]
        assert interpolated(target["expr"]) in evaluated

    @pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
    def test_expression_does_not_depend_on_names_of_the_jobs_queries(self, target: dict[str, Any]) -> None:
        used = {matcher.name for selector in selectors(target["expr"]) for matcher in selector.matchers.matchers}
        assert "query" not in used

    def test_every_data_source_in_use_is_provisioned(self, files: dict[str, dict[str, Any]]) -> None:
        sources = files[f"{PROVISIONING}/datasources/lolstack.yaml"]["datasources"]
        known = [{"uid": source["uid"], "type": source["type"]} for source in sources]
        assert [name for name, each in (PANELS | TARGETS).items() if each["datasource"] not in known] == []


class TestProvisioning:
    def test_data_sources_have_fixed_uids_and_are_read_only(self, files: dict[str, dict[str, Any]]) -> None:
        file = files[f"{PROVISIONING}/datasources/lolstack.yaml"]
        assert file["prune"] is True
        assert {source["uid"]: source["type"] for source in file["datasources"]} == {
            "prometheus": "prometheus",
            "elasticsearch": "elasticsearch",
        }
        assert [source["editable"] for source in file["datasources"]] == [False, False]

    def test_elasticsearch_is_read_with_grafanas_login(self, files: dict[str, dict[str, Any]]) -> None:
        (_, source) = files[f"{PROVISIONING}/datasources/lolstack.yaml"]["datasources"]
        assert (source["basicAuth"], source["basicAuthUser"]) == (True, "grafana")
        assert source["secureJsonData"] == {
            "basicAuthPassword": "password of elasticsearch.grafana",
            "tlsCACert": "",
        }

    def test_metrics_that_nobody_scrapes_and_that_need_no_login_are_off(self) -> None:
        recorder = declare("registry", generatorEnabled=True)
        assert "GF_METRICS_ENABLED=false" in recorder.containers["grafana"]["envs"]
        assert "grafana:3000" not in str(recorder.containers["prometheus"]["uploads"])

    def test_shortest_step_is_the_scrape_interval(self, files: dict[str, dict[str, Any]]) -> None:
        (source, _) = files[f"{PROVISIONING}/datasources/lolstack.yaml"]["datasources"]
        assert source["jsonData"]["timeInterval"] == f"{SCRAPE_SECONDS}s"

    def test_dashboards_are_in_the_providers_directory_and_read_only(self, files: dict[str, dict[str, Any]]) -> None:
        (provider,) = files[f"{PROVISIONING}/dashboards/lolstack.yaml"]["providers"]
        assert provider["allowUiUpdates"] is False
        found = {PurePath(path).stem: content for path, content in files.items() if path.startswith(DASHBOARDS)}
        assert provider["options"]["path"] == DASHBOARDS
        assert found == BUILT

    def test_no_provisioning_value_has_an_environment_variable(self, files: dict[str, dict[str, Any]]) -> None:
        """Grafana expands $NAME in provisioning files (not in dashboards)."""
        assert not [path for path, content in files.items() if path.startswith(PROVISIONING) and "$" in str(content)]


class TestStart:
    """The entrypoint, with scripts in place of Grafana's programs."""

    @staticmethod
    def start(tmp_path: Path, reset: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "bin").mkdir()
        programs = {"bin/grafana": f'echo "$*" >$0.arguments; cat >$0.password; {reset}', "run.sh": "echo started"}
        for name, script in programs.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
        (tmp_path / "password").write_text("rotated")
        shell, _, *arguments = declare("registry", generatorEnabled=True).containers["grafana"]["entrypoints"]
        own = {"/var/lib/grafana/grafana.db": "grafana.db", "/etc/lolstack/grafana-admin-password": "password"}
        own["/run.sh"] = "run.sh"
        return subprocess.run(
            [shell, FILES / "start_grafana.sh", *(tmp_path / own[argument] for argument in arguments)],
            env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )

    def test_password_of_an_existing_database_follows_a_rotation(self, tmp_path: Path) -> None:
        """Otherwise the former one would stay valid: Grafana's own setting counts for a new database only."""
        (tmp_path / "grafana.db").touch()
        success = "Admin password changed successfully ✔"
        assert self.start(tmp_path, f"echo {success}").stdout == f"{success}\nstarted\n"
        assert (tmp_path / "bin" / "grafana.password").read_text() == "rotated"
        arguments = (tmp_path / "bin" / "grafana.arguments").read_text().split()
        assert arguments[-3:] == ["admin", "reset-admin-password", "--password-from-stdin"]

    @pytest.mark.parametrize("code", [0, 3])
    def test_grafana_does_not_start_with_the_former_password(self, tmp_path: Path, code: int) -> None:
        """Its command has the exit code 0 also where it could not find the administrator."""
        (tmp_path / "grafana.db").touch()
        run = self.start(tmp_path, f"echo Admin user cannot be found; exit {code}")
        assert (run.returncode, run.stdout) == (code or 1, "Admin user cannot be found\n")

    def test_new_database_gets_its_password_from_the_setting(self, tmp_path: Path) -> None:
        assert self.start(tmp_path, "exit 3").stdout == "started\n"


@pytest.fixture(scope="module")
def files() -> dict[str, dict[str, Any]]:
    """The JSON and YAML files that the program uploads to Grafana's container, by path."""
    container = declare("registry", generatorEnabled=True).containers["grafana"]
    return {
        upload["file"]: yaml.safe_load(upload["content"])
        for upload in container["uploads"]["value"]
        if upload["file"].endswith((".json", ".yaml"))
    }
