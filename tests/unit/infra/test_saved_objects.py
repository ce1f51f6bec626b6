"""Kibana's saved objects: client, Pulumi resource with drift detection, and export to files, on a fake Kibana."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.clients.kibana import (
    KibanaUnavailableError,
    SavedObjectClient,
    SavedObjectError,
    canonical,
    decode_json_attributes,
    encode_json_attributes,
)
from infra.provisioning import saved_object
from infra.provisioning.saved_object import OBJECTS
from tests.support.fake_kibana import FakeKibana, running
from tests.support.pulumi_program import declare, dynamic_provider, settings
from tools import kibana_export

DASHBOARD: dict[str, Any] = json.loads((OBJECTS / "dashboard" / "lol-matches-live.json").read_text())
KEY = ("dashboard", "lol-matches-live")
PROVIDER = dynamic_provider(saved_object)


@pytest.fixture
def kibana() -> Iterator[FakeKibana]:
    with running(FakeKibana()) as fake:
        yield fake


@pytest.fixture
def client(kibana: FakeKibana) -> SavedObjectClient:
    return SavedObjectClient(kibana.url)


@pytest.fixture
def short_start_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.clients.kibana.START_SECONDS", 0.1)


@pytest.fixture(autouse=True)
def short_poll_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.clients.kibana.POLL_SECONDS", 0.01)


class TestForms:
    def test_json_attributes_are_encoded_as_kibana_keeps_them(self) -> None:
        attributes = encode_json_attributes(DASHBOARD)["attributes"]
        assert json.loads(attributes["panelsJSON"]) == DASHBOARD["attributes"]["panelsJSON"]
        assert isinstance(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"], str)
        assert isinstance(attributes["controlGroupInput"]["panelsJSON"], str)
        assert attributes["refreshInterval"] == {"pause": False, "value": 10_000}

    @pytest.mark.parametrize("path", sorted(OBJECTS.glob("*/*.json")), ids=lambda path: path.stem)
    def test_decoding_restores_the_file(self, path: Any) -> None:
        body = json.loads(path.read_text())
        assert decode_json_attributes(encode_json_attributes(body)) == body
        assert encode_json_attributes(encode_json_attributes(body)) == encode_json_attributes(body)

    def test_order_timestamps_and_versions_are_no_drift(self) -> None:
        exported = encode_json_attributes(DASHBOARD) | {
            "updated_at": "2026-01-01T00:00:00Z",
            "typeMigrationVersion": "10.3.0",
        }
        exported["references"] = exported["references"][::-1]
        assert canonical(exported) == canonical(DASHBOARD)

    def test_use_of_a_data_view_in_discover_is_no_drift(self) -> None:
        """Kibana counts there how often each field was chosen, and writes a default."""
        view: dict[str, Any] = json.loads((OBJECTS / "index-pattern" / "lol-matches.json").read_text())
        named = view | {"attributes": view["attributes"] | {"fieldAttrs": {"win": {"customLabel": "Won"}}}}
        for declared, counted in (
            (view, {"win": {"count": 3}}),
            (named, {"win": {"customLabel": "Won", "count": 1}, "patch": {"count": 2}}),
        ):
            used = declared | {"attributes": declared["attributes"] | {"fieldAttrs": counted, "allowHidden": False}}
            assert canonical(encode_json_attributes(used)) == canonical(declared)
        hidden = view | {"attributes": view["attributes"] | {"allowHidden": True}}
        assert canonical(view) not in (canonical(hidden), canonical(named))

    def test_another_value_inside_encoded_json_is_drift(self) -> None:
        changed = json.loads(json.dumps(DASHBOARD))
        changed["attributes"]["panelsJSON"][0]["gridData"]["w"] = 9
        assert canonical(encode_json_attributes(changed)) != canonical(DASHBOARD)


class TestClient:
    def test_put_imports_the_object(self, client: SavedObjectClient, kibana: FakeKibana) -> None:
        assert client.put(DASHBOARD) == canonical(DASHBOARD)
        assert list(kibana.objects) == [KEY]
        assert client.read(*KEY) == canonical(DASHBOARD)

    def test_put_overwrites_an_existing_object(self, client: SavedObjectClient, kibana: FakeKibana) -> None:
        client.put(DASHBOARD)
        client.put(DASHBOARD | {"attributes": DASHBOARD["attributes"] | {"title": "Another"}})
        assert kibana.objects[KEY]["attributes"]["title"] == "Another"

    def test_read_of_a_missing_object_is_none(self, client: SavedObjectClient) -> None:
        assert client.read(*KEY) is None

    def test_delete_is_idempotent(self, client: SavedObjectClient, kibana: FakeKibana) -> None:
        client.put(DASHBOARD)
        client.delete(*KEY)
        client.delete(*KEY)
        assert kibana.objects == {}

    def test_import_failure_in_a_200_response_is_an_error(self, client: SavedObjectClient, kibana: FakeKibana) -> None:
        kibana.import_error = {"type": "missing_references", "references": [{"type": "index-pattern", "id": "gone"}]}
        with pytest.raises(SavedObjectError, match=r"did not import dashboard/lol-matches-live: .*missing_ref.*gone"):
            client.put(DASHBOARD)

    def test_import_that_stored_nothing_is_an_error(self, client: SavedObjectClient, kibana: FakeKibana) -> None:
        kibana.forgets = True
        with pytest.raises(SavedObjectError, match="reports that it imported dashboard/lol-matches-live, but does not"):
            client.put(DASHBOARD)

    def test_import_under_another_id_is_an_error(self, client: SavedObjectClient, kibana: FakeKibana) -> None:
        kibana.other_id = "5c5a3a4e"
        with pytest.raises(SavedObjectError, match="taken in another space, and it became 5c5a3a4e"):
            client.put(DASHBOARD)

    def test_retries_until_kibana_is_available(self, client: SavedObjectClient, kibana: FakeKibana) -> None:
        kibana.not_ready_for = 1
        kibana.levels = ["unavailable"]
        client.put(DASHBOARD)
        assert (kibana.imports, kibana.levels) == (1, [])

    @pytest.mark.usefixtures("short_start_timeout")
    @pytest.mark.parametrize("level", ["degraded", "unavailable"])
    def test_plugins_are_not_waited_for(self, client: SavedObjectClient, kibana: FakeKibana, level: str) -> None:
        """Saved objects need Kibana's core only, and a plugin such as Fleet can stay degraded."""
        kibana.plugins = level
        client.put(DASHBOARD)
        assert kibana.imports == 1

    @pytest.mark.usefixtures("short_start_timeout")
    def test_timeout_of_an_unavailable_kibana_is_an_error(self, client: SavedObjectClient, kibana: FakeKibana) -> None:
        kibana.not_ready_for = 100
        with pytest.raises(KibanaUnavailableError, match=r"not available after 0.1 s: .* is not ready yet"):
            client.put(DASHBOARD)
        kibana.not_ready_for, kibana.levels = 0, ["critical"] * 100
        with pytest.raises(KibanaUnavailableError, match=r"not available after .* is not ready: .*critical"):
            client.put(DASHBOARD)
        assert kibana.imports == 0

    def test_rejected_request_is_an_error_with_kibanas_reason(
        self, client: SavedObjectClient, kibana: FakeKibana
    ) -> None:
        kibana.rejection = "belongs to a more recent version of Kibana"
        with pytest.raises(SavedObjectError, match=r"answers 422 to POST .*_export: belongs to a more recent version"):
            client.read(*KEY)
        with pytest.raises(SavedObjectError, match=r"answers 422 to DELETE .*: belongs to a more recent version"):
            client.delete(*KEY)


@pytest.mark.usefixtures("published_ports")
class TestResource:
    """The dynamic provider's operations in the order in which Pulumi calls them."""

    @pytest.fixture
    def inputs(self, kibana: FakeKibana) -> dict[str, Any]:
        login = {"username": "admin", "password": "secret"}
        return {
            "url": kibana.url,
            "container": "kibana",
            **login,
            "name": "/".join(KEY),
            "body": json.dumps(DASHBOARD),
            "stored": None,
        }

    @pytest.fixture
    def state(self, inputs: dict[str, Any]) -> dict[str, Any]:
        created = PROVIDER.create(inputs)
        assert created.outs is not None
        return dict(created.outs)

    @staticmethod
    def refreshed(state: dict[str, Any]) -> dict[str, Any]:
        return dict(PROVIDER.read("id", state).outs or {})

    def test_refresh_without_edits_reports_no_drift(self, state: dict[str, Any], inputs: dict[str, Any]) -> None:
        """Even though Kibana migrates objects and adds keys."""
        assert not PROVIDER.diff("id", self.refreshed(state), inputs).changes

    def test_edit_by_hand_is_drift_and_update_reverts_it(
        self, kibana: FakeKibana, state: dict[str, Any], inputs: dict[str, Any]
    ) -> None:
        kibana.objects[KEY]["attributes"]["timeFrom"] = "now-7d"
        drifted = self.refreshed(state)
        assert "now-7d" in drifted["body"]
        assert json.loads(drifted["body"])["typeMigrationVersion"] == DASHBOARD["typeMigrationVersion"]
        change = PROVIDER.diff("id", drifted, inputs)
        assert change.changes
        assert not change.replaces
        updated = dict(PROVIDER.update("id", drifted, inputs).outs or {})
        assert kibana.objects[KEY]["attributes"]["timeFrom"] == "now-1h"
        assert not PROVIDER.diff("id", self.refreshed(updated), inputs).changes

    def test_object_deleted_by_hand_is_recreated(self, kibana: FakeKibana, state: dict[str, Any]) -> None:
        kibana.objects.clear()
        assert PROVIDER.read("id", state).id is None

    def test_objects_of_an_unavailable_kibana_are_recreated(self, kibana: FakeKibana, state: dict[str, Any]) -> None:
        kibana.not_ready_for = 1
        assert PROVIDER.read("id", state).id is None
        assert PROVIDER.read("id", state | {"url": "http://127.0.0.1:1"}).id is None

    def test_changed_file_is_an_update_and_changed_name_a_replacement(
        self, state: dict[str, Any], inputs: dict[str, Any]
    ) -> None:
        assert PROVIDER.diff("id", state, inputs | {"body": "{}"}).changes
        assert PROVIDER.diff("id", state, inputs | {"url": "http://localhost:1"}).changes
        assert PROVIDER.diff("id", state, inputs | {"name": "dashboard/other"}).replaces == ["name"]

    def test_changed_login_is_an_update(self, state: dict[str, Any], inputs: dict[str, Any]) -> None:
        """Otherwise the state would keep the old one, and the next refresh would be refused."""
        for key in ("password", "container"):
            change = PROVIDER.diff("id", state, inputs | {key: "other"})
            assert (change.changes, change.replaces) == (True, [])

    def test_objects_behind_a_refused_login_are_recreated(self, kibana: FakeKibana, state: dict[str, Any]) -> None:
        """Its login changed in an `up` that was interrupted: the refresh of the next one must not fail."""
        kibana.password = "other"
        assert PROVIDER.read("id", state).id is None

    def test_refused_login_is_an_error_without_the_password(self, kibana: FakeKibana) -> None:
        kibana.password = "other"
        with pytest.raises(SavedObjectError, match=r"^Kibana at http\S+ refuses the login") as error:
            SavedObjectClient(kibana.url, "admin", "secret").put(DASHBOARD)
        assert "secret" not in str(error.value)

    def test_delete_removes_the_object(self, kibana: FakeKibana, state: dict[str, Any]) -> None:
        PROVIDER.delete("id", state)
        assert kibana.objects == {}


class TestExport:
    """Export: edits in Kibana are written to the files."""

    @pytest.fixture
    def folder(self, tmp_path: Path, client: SavedObjectClient) -> Path:
        """A copy of the files, all of them imported."""
        folder = Path(shutil.copytree(OBJECTS, tmp_path / "kibana"))
        for path in folder.glob("*/*.json"):
            client.put(json.loads(path.read_text()))
        return folder

    def test_only_edited_objects_are_exported(
        self, kibana: FakeKibana, client: SavedObjectClient, folder: Path
    ) -> None:
        # The fake Kibana migrates objects: export once to have that in the files.
        kibana_export.export_dashboards(client, folder)
        assert kibana_export.export_dashboards(client, folder) == []
        kibana.objects["lens", "lol-sides"]["attributes"]["title"] = "Sides"
        assert kibana_export.export_dashboards(client, folder) == ["lens/lol-sides.json"]
        before = (OBJECTS / "lens" / "lol-sides.json").read_text().splitlines()
        after = (folder / "lens" / "lol-sides.json").read_text().splitlines()
        assert {line.strip() for line in after} - {line.strip() for line in before} == {
            '"title": "Sides",',
            '"typeMigrationVersion": "10.9.0"',
        }

    def test_what_an_editor_of_kibana_leaves_empty_is_not_exported(
        self, kibana: FakeKibana, client: SavedObjectClient, folder: Path
    ) -> None:
        kibana_export.export_dashboards(client, folder)
        state = kibana.objects["lens", "lol-sides"]["attributes"]["state"]
        state["datasourceStates"] |= {"indexpattern": {"layers": {}}, "textBased": {"layers": {}}}
        kibana.objects["index-pattern", "lol-matches"]["attributes"]["fieldAttrs"] = '{"win": {"count": 3}}'
        assert kibana_export.export_dashboards(client, folder) == []

    def test_file_of_a_removed_panel_is_deleted_and_a_new_panel_has_one(
        self, kibana: FakeKibana, client: SavedObjectClient, folder: Path
    ) -> None:
        kibana_export.export_dashboards(client, folder)
        sides = kibana.objects["lens", "lol-sides"]
        kibana.objects["lens", "new"] = sides | {"id": "new"}
        reference = next(each for each in kibana.objects[KEY]["references"] if each["id"] == "lol-sides")
        reference["id"] = "new"
        changed = kibana_export.export_dashboards(client, folder)
        assert changed == ["dashboard/lol-matches-live.json", "lens/lol-sides.json", "lens/new.json"]
        assert not (folder / "lens" / "lol-sides.json").exists()

    def test_missing_dashboard_changes_no_file(
        self, kibana: FakeKibana, client: SavedObjectClient, folder: Path
    ) -> None:
        kibana.objects.clear()
        with pytest.raises(SavedObjectError, match="Kibana has no dashboard lol-matches-live"):
            kibana_export.export_dashboards(client, folder)
        assert len(list(folder.glob("*/*.json"))) == len(list(OBJECTS.glob("*/*.json")))

    @pytest.mark.parametrize("reason", ["missing", "excluded"])
    def test_panel_that_is_not_exported_changes_no_file(
        self, kibana: FakeKibana, client: SavedObjectClient, folder: Path, reason: str
    ) -> None:
        """The dashboard still uses it. Without its file, the next deployment would fail."""
        kibana.objects[KEY]["attributes"]["title"] = "Another"
        if reason == "missing":
            del kibana.objects["lens", "lol-sides"]
        else:
            kibana.excluded = {("lens", "lol-sides")}
        before = {path: path.read_text() for path in folder.glob("*/*.json")}
        with pytest.raises(
            SavedObjectError, match=r"does not export all of dashboard/lol-matches-live: lens/lol-sides$"
        ):
            kibana_export.export_dashboards(client, folder)
        assert {path: path.read_text() for path in folder.glob("*/*.json")} == before


def test_export_without_kibana_is_an_error_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = {"services": {"kafka": {}}, "leftOut": {"kibana": "its image cannot be pulled"}}
    monkeypatch.setattr(kibana_export, "read_stack_outputs", lambda _: outputs)
    monkeypatch.setattr("sys.argv", ["kibana_export", "--stack", "unit"])
    assert kibana_export.main() == 1
    assert capsys.readouterr().err.startswith("the stack unit has no Kibana: its image cannot be pulled; --kibana ")


def test_program_declares_every_saved_object_in_kibana() -> None:
    declared = declare("registry").resources["pulumi-python:dynamic/kibana:SavedObject"]
    assert {f"{name}.json" for name in declared} == {
        str(path.relative_to(OBJECTS)) for path in OBJECTS.glob("*/*.json")
    }
    (port,) = [port.number for port in settings().host_ports("unit") if port.service == "kibana"]
    assert {each["url"] for each in declared.values()} == {f"http://127.0.0.1:{port}"}
