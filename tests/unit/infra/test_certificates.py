"""The certificate authority: servers that its clients trust, renewal before a certificate expires, rotation."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from infra.provisioning import certificates
from tests.support.clock import stopped_at
from tests.support.pulumi_program import dynamic_provider

PROVIDER = dynamic_provider(certificates)
WANTED = {"stack": "lolstack-unit", "servers": ["elasticsearch"], "generation": 1}


@pytest.fixture(scope="module")
def issued() -> dict[str, Any]:
    return PROVIDER.create(WANTED).outs or {}


def renewed(issued: dict[str, Any], **wanted: Any) -> dict[str, Any]:
    return PROVIDER.update("generated", issued, WANTED | wanted).outs or {}


def handshake(folder: Path, issued: dict[str, Any], authority: str, name: str) -> None:
    """A TLS connection to a server with the issued certificate, by a client that trusts `authority` only."""
    (folder / "chain.pem").write_text(issued["certificates"]["elasticsearch"] + issued["authority"])
    (folder / "key.pem").write_text(issued["keys"]["elasticsearch"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with theirs, suppress(ssl.SSLError):  # the client refuses the certificate
            context.wrap_socket(theirs, server_side=True).close()

    thread = threading.Thread(target=serve)
    thread.start()
    client = ssl.create_default_context(cadata=authority)
    # As Python 3.13 does by default: the certificates must have everything that the standard requires.
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        with ours:
            client.wrap_socket(ours, server_hostname=name).close()
    finally:
        thread.join()


@pytest.mark.parametrize("name", ["elasticsearch", "localhost", "127.0.0.1"])
def test_client_with_the_authority_trusts_the_server_by_each_of_its_names(
    tmp_path: Path, issued: dict[str, Any], name: str
) -> None:
    handshake(tmp_path, issued, issued["authority"], name)


def test_client_refuses_another_name_and_another_authority(tmp_path: Path, issued: dict[str, Any]) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(tmp_path, issued, issued["authority"], "kafka")
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        handshake(tmp_path, issued, (PROVIDER.create(WANTED).outs or {})["authority"], "localhost")


def test_stack_name_may_be_longer_than_a_common_name() -> None:
    stack = "lolstack-" + "long" * 25  # Pulumi's limit is 100 characters
    issued = PROVIDER.create(WANTED | {"stack": stack}).outs or {}
    (name,) = x509.load_pem_x509_certificate(issued["authority"].encode()).subject
    assert str(name.value).startswith("lolstack-longlong")


def test_certificate_is_valid_for_no_longer_than_tls_clients_accept(issued: dict[str, Any]) -> None:
    server = x509.load_pem_x509_certificate(issued["certificates"]["elasticsearch"].encode())
    assert server.not_valid_after_utc - server.not_valid_before_utc <= timedelta(days=825)


def test_certificates_do_not_change_at_the_next_up(issued: dict[str, Any]) -> None:
    assert not PROVIDER.diff("generated", issued, WANTED).changes


def test_certificate_is_renewed_before_it_expires_by_the_same_authority(tmp_path: Path, issued: dict[str, Any]) -> None:
    soon = issued | {"expires_at": (datetime.now(UTC) + timedelta(days=59)).isoformat()}
    assert PROVIDER.diff("generated", soon, WANTED).changes
    after = renewed(soon)
    assert after["certificates"] != issued["certificates"]
    assert not PROVIDER.diff("generated", after, WANTED).changes
    handshake(tmp_path, after, issued["authority"], "localhost")


def clock_ahead(by: timedelta = timedelta(hours=5, minutes=30)) -> type[datetime]:
    """A clock as one in local time that is read as UTC."""
    return stopped_at(datetime.now(UTC) + by)


@pytest.mark.parametrize("days", [0.2, 2, 366])
def test_certificates_that_were_issued_while_the_clock_was_ahead_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: float
) -> None:
    with monkeypatch.context() as ahead:
        ahead.setattr(certificates, "datetime", clock_ahead(timedelta(days=days)))
        issued = PROVIDER.create(WANTED).outs or {}
        assert not PROVIDER.diff("generated", issued, WANTED).changes
    assert PROVIDER.diff("generated", issued, WANTED).changes
    after = renewed(issued)
    assert not PROVIDER.diff("generated", after, WANTED).changes
    handshake(tmp_path, after, after["authority"], "localhost")


def test_certificates_are_kept_while_the_clock_is_far_behind(
    monkeypatch: pytest.MonkeyPatch, issued: dict[str, Any]
) -> None:
    """New ones would have expired once it is corrected. Those of a clock that was as far ahead need a rotation."""
    monkeypatch.setattr(certificates, "datetime", stopped_at(datetime(2020, 1, 1, tzinfo=UTC)))
    assert not PROVIDER.diff("generated", issued, WANTED).changes
    assert PROVIDER.diff("generated", issued, WANTED | {"generation": 2}).changes
    after = renewed(issued, generation=2)
    assert after["authority"] != issued["authority"]
    assert not PROVIDER.diff("generated", after, WANTED | {"generation": 2}).changes


def test_certificates_that_were_issued_while_the_clock_was_behind_outlast_its_correction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, issued: dict[str, Any]
) -> None:
    with monkeypatch.context() as behind:
        behind.setattr(certificates, "datetime", stopped_at(datetime.now(UTC) - certificates.MAX_AHEAD))
        assert PROVIDER.diff("generated", issued, WANTED).changes
        after = renewed(issued)
    assert not PROVIDER.diff("generated", after, WANTED).changes
    handshake(tmp_path, after, after["authority"], "localhost")


def test_certificate_that_was_renewed_while_the_clock_was_ahead_keeps_its_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, issued: dict[str, Any]
) -> None:
    with monkeypatch.context() as ahead:
        ahead.setattr(certificates, "datetime", clock_ahead())
        ahead_of_time = renewed(issued)
    assert PROVIDER.diff("generated", ahead_of_time, WANTED).changes
    after = renewed(ahead_of_time)
    assert not PROVIDER.diff("generated", after, WANTED).changes
    handshake(tmp_path, after, issued["authority"], "localhost")


def test_certificate_expires_no_later_than_its_authority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "AUTHORITY_LIFETIME", timedelta(days=100))
    issued = PROVIDER.create(WANTED).outs or {}
    server = x509.load_pem_x509_certificate(issued["certificates"]["elasticsearch"].encode())
    assert server.not_valid_after_utc.isoformat() == issued["authority_expires_at"] == issued["expires_at"]


def test_another_generation_replaces_the_authority_too(issued: dict[str, Any]) -> None:
    assert PROVIDER.diff("generated", issued, WANTED | {"generation": 2}).changes
    after = renewed(issued, generation=2)
    assert after["authority"] != issued["authority"]
    assert after["keys"] != issued["keys"]


def test_authority_that_expires_soon_is_replaced(issued: dict[str, Any]) -> None:
    soon = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    after = renewed(issued | {"expires_at": soon, "authority_expires_at": soon})
    assert after["authority"] != issued["authority"]
    assert not PROVIDER.diff("generated", after, WANTED).changes
