"""`make credentials`: files that only their owner can read, and what to do with them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from infra.kafka_acls import ACLS_BY_USER
from tools import credentials

OUTPUTS: dict[str, Any] = {
    "security": "guarded",
    "elasticsearchUrl": "http://127.0.0.1:9200",
    "elasticsearchCurl": 'user = "admin:secret-a"\n',
    "bootstrapServers": "127.0.0.1:29092",
    "credentials": {"kafka.producer": "secret-p"},
    "operatorPassword": "secret-o",
    "certificateAuthority": "-----BEGIN CERTIFICATE-----\n",
    "kafkaProducer": "bootstrap.servers=127.0.0.1:29092\nsecurity.protocol=SASL_PLAINTEXT\n"
    "sasl.mechanism=SCRAM-SHA-512\nsasl.username=producer\nsasl.password=secret-p\n",
    "kafkaOperator": "bootstrap.servers=127.0.0.1:29092\nsasl.username=operator\nsasl.password=secret-o\n",
}


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(credentials, "ROOT", tmp_path)
    monkeypatch.setattr(credentials, "read_stack_outputs", lambda _stack: OUTPUTS)
    monkeypatch.setattr("sys.argv", ["credentials", "--stack", "unit"])
    return tmp_path / "credentials" / "unit"


def test_files_are_readable_by_their_owner_only_also_with_a_lenient_umask(folder: Path) -> None:
    former = os.umask(0)
    try:
        assert credentials.main() == 0
    finally:
        os.umask(former)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict.fromkeys(
        credentials.credential_files(folder, OUTPUTS), 0o600
    )


def test_a_file_and_a_folder_that_others_could_read_are_closed_to_them(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    existing = folder / "operator-password"
    existing.write_text("old")
    existing.chmod(0o644)
    assert credentials.main() == 0
    assert existing.read_text() == "secret-o\n"
    assert existing.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_folder_that_cannot_be_written_is_one_line_with_folder_and_reason(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.parent.write_text("a file")
    assert credentials.main() == 1
    error = capsys.readouterr().err
    assert error.startswith(f"the logins cannot be written to {folder}: ")
    assert error.count("\n") == 1


def test_no_password_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert credentials.main() == 0
    printed = capsys.readouterr().out
    assert "secret" not in printed
    for name in credentials.credential_files(folder, OUTPUTS):
        assert name in printed


@pytest.mark.parametrize("missing", ["kafkaProducer", "elasticsearchUrl"])
def test_stack_of_an_earlier_version_is_one_line_that_names_make_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    monkeypatch.delitem(OUTPUTS, missing)
    assert credentials.main() == 1
    assert capsys.readouterr().err == (
        f"the stack unit has no output '{missing}': an earlier version deployed it: run `make up STACK=unit` first\n"
    )
    assert not folder.exists()


def test_printed_command_of_a_producer_survives_a_restart_of_kafka(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without -E, kcat ends while no broker answers, and drops what it has queued."""
    assert credentials.main() == 0
    assert "kcat -E -F credentials/unit/kafka-producer.properties -P " in capsys.readouterr().out


def test_printed_consumer_groups_are_those_that_kafka_permits(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert credentials.main() == 0
    assert "in the consumer group operator, or operator-1 to operator-9:" in capsys.readouterr().out
    permitted = [f"READ GROUP LITERAL {name}" for name in ("operator", *(f"operator-{n}" for n in range(1, 10)))]
    assert [acl for acl in ACLS_BY_USER["operator"] if acl.startswith("READ GROUP ")] == permitted


@pytest.mark.parametrize(("user", "password"), [("producer", "secret-p"), ("operator", "secret-o")])
def test_java_properties_have_the_login_as_jaas_configuration(folder: Path, user: str, password: str) -> None:
    lines = credentials.credential_files(folder, OUTPUTS)[f"kafka-{user}-java.properties"].splitlines()
    assert "security.protocol=SASL_PLAINTEXT" in lines
    assert (
        "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="{user}" password="{password}";'
    ) in lines
    assert not [line for line in lines if line.startswith("sasl.username")]
    producers = {
        "max.request.size=10485760",  # by default 1 MB
        "delivery.timeout.ms=2147483647",  # two minutes
        "max.block.ms=9223372036854775807",  # one minute
        "retries=2147483647",  # three in Kafka's console producer
    }
    assert producers & set(lines) == (producers if user == "producer" else set())


def test_operators_properties_are_those_of_the_output(folder: Path) -> None:
    assert credentials.credential_files(folder, OUTPUTS)["kafka-operator.properties"] == OUTPUTS["kafkaOperator"]


@pytest.mark.parametrize(("security", "trusts"), [("guarded", False), ("strict", True)])
def test_curl_configurations_have_the_login_and_in_strict_the_authority(
    folder: Path, monkeypatch: pytest.MonkeyPatch, security: str, trusts: bool
) -> None:
    monkeypatch.setitem(OUTPUTS, "security", security)
    assert credentials.main() == 0
    for name, login in (("operator.curl", "operator:secret-o"), ("elasticsearch-admin.curl", "admin:secret-a")):
        content = (folder / name).read_text()
        assert f'user = "{login}"' in content
        assert (f'cacert = "{folder}/ca.crt"' in content) is trusts
