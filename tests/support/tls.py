"""A certificate authority and a TLS server's context, issued as the stack does it."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from infra.provisioning import certificates
from tests.support.pulumi_program import dynamic_provider


def tls_server(folder: Path, validity: str = "valid") -> tuple[str, ssl.SSLContext]:
    """The authority's certificate (PEM), and the context of a server on 127.0.0.1 whose certificate it has signed.

    `validity` of the certificates: valid, expired, or not yet valid.
    """
    with pytest.MonkeyPatch.context() as monkeypatch:
        if validity == "expired":
            monkeypatch.setattr(certificates, "LIFETIME", timedelta(seconds=-60))
        elif validity == "not yet valid":
            monkeypatch.setattr(certificates, "CLOCK_SKEW", timedelta(hours=-1))
        inputs = {"stack": "sample", "servers": ["elasticsearch"], "generation": 1}
        issued = dynamic_provider(certificates).create(inputs).outs or {}
    certificate, key = folder / "server.crt", folder / "server.key"
    certificate.write_text(issued["certificates"]["elasticsearch"])
    key.write_text(issued["keys"]["elasticsearch"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return issued["authority"], context
