"""The dashboard's settings: an error names the file and what it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard import settings

FILE = """
stack: unit
elasticsearch: {url: http://127.0.0.1:9}
prometheus: {url: http://127.0.0.1:9}
kafka: {sasl.username: me}
window_slide_seconds: 60
"""


def test_settings_without_the_addresses_of_kafka_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "dashboard.yaml"
    file.write_text(FILE)
    monkeypatch.setenv(settings.VARIABLE, str(file))
    settings.read_settings.cache_clear()
    with pytest.raises(settings.SettingsError) as error:
        settings.read_settings()
    assert str(error.value) == f"{file}: kafka: bootstrap.servers is missing: correct this file"
