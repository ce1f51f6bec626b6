"""A certificate authority and a TLS server's context, issued as the stack does it."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from infra.provisioning import certificates
from tests.support.pulumi_program import dynamic_provider


def tls_server(folder: Path, validity: str = "valid") -> tuple[str, ssl.SSLContext]:
    """The authority's certificate (PEM), and the context of a server on 127.0.0.1 whose certificate it has signed."""
    authority, certificate, key = issued_certificate(validity)
    files = folder / "server.crt", folder / "server.key"
    files[0].write_text(certificate)
    files[1].write_text(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return authority, context


def issued_certificate(validity: str = "valid") -> tuple[str, str, str]:
    """The authority's certificate, the certificate of a server on 127.0.0.1 that it has signed, and its key, as PEM.

    `validity` of the certificates: valid, expired, or not yet valid.
    """
    with pytest.MonkeyPatch.context() as monkeypatch:
        if validity == "expired":
            monkeypatch.setattr(certificates, "LIFETIME", timedelta(seconds=-60))
        elif validity == "not yet valid":
            monkeypatch.setattr(certificates, "CLOCK_SKEW", timedelta(hours=-1))
        inputs = {"stack": "sample", "servers": ["elasticsearch"], "generation": 1}
        issued = dynamic_provider(certificates).create(inputs).outs or {}
    return issued["authority"], issued["certificates"]["elasticsearch"], issued["keys"]["elasticsearch"]
