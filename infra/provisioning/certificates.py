"""TLS certificates, issued and renewed: the stack's certificate authority, and the certificates that it signs for the
servers, as one Pulumi resource."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pulumi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

import infra.provisioning.preload  # noqa: F401
from infra.logins import CERTIFICATE_RENEWAL

AUTHORITY_LIFETIME = timedelta(days=3650)
LIFETIME = timedelta(days=824)
"""Lifetime of a server's certificate: with the clock skew below 825 days, the longest that all TLS clients accept."""
MAX_COMMON_NAME = 64
"""The longest that X.509 allows; a stack's name can be longer."""
CLOCK_SKEW = timedelta(minutes=5)
MAX_AHEAD = LIFETIME / 2
"""How far the clock may have been ahead when a certificate was issued, for example by a year, or in local time that is
taken for UTC. If it is the present clock that is behind, new certificates are still valid once it is corrected. Beyond
this limit they could have expired by then."""


class _Provider(ResourceProvider):
    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult("generated", _issue(props, authority=None))

    def diff(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> DiffResult:
        changed = any(old[key] != new[key] for key in ("stack", "servers", "generation"))
        issued = (*old["certificates"].values(), old["authority"])
        return DiffResult(changes=changed or _is_due(old["expires_at"]) or any(map(_is_ahead, issued)))

    def update(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> UpdateResult:
        # Clients that already trust the authority need no new file when only a server's certificate is renewed.
        due = _is_due(old["authority_expires_at"]) or _is_ahead(old["authority"])
        same = old["generation"] == new["generation"] and not due
        return UpdateResult(_issue(new, authority=old if same else None))


class Certificates(Resource, module="secret", name="Certificates"):
    """A private, self-signed certificate authority of the stack, and a certificate with key for each of `servers`.

    All are PEM (no keystore). A server's certificate is for its name, for localhost and for 127.0.0.1. `pulumi up`
    renews it before it expires, and if it was issued while the clock was ahead; another `generation` replaces the
    authority too.
    """

    authority: pulumi.Output[str]
    """The authority's certificate, for clients. Not a secret."""
    certificates: pulumi.Output[dict[str, str]]
    keys: pulumi.Output[dict[str, str]]
    expires_at: pulumi.Output[str]
    """When the first server's certificate expires, ISO 8601."""

    def __init__(self, stack: str, servers: Sequence[str], generation: int) -> None:
        outputs = ("authority", "authority_key", "authority_expires_at", "certificates", "keys", "expires_at")
        props: dict[str, Any] = {"stack": stack, "servers": sorted(servers), "generation": generation}
        secret = pulumi.ResourceOptions(additional_secret_outputs=["authority_key", "keys"])
        super().__init__(
            _Provider(),
            "certificates",
            props | dict.fromkeys(outputs),
            secret,
        )

    def certificate(self, server: str) -> pulumi.Output[str]:
        """The server's certificate, followed by the authority's."""
        return pulumi.Output.all(self.certificates, self.authority).apply(lambda both: both[0][server] + both[1])

    def key(self, server: str) -> pulumi.Output[str]:
        """The server's private key, a secret."""
        return pulumi.Output.secret(self.keys.apply(lambda keys: str(keys[server])))


def _is_due(expires_at: str) -> bool:
    return datetime.fromisoformat(expires_at) - CERTIFICATE_RENEWAL < datetime.now(UTC)


def _is_ahead(pem: str) -> bool:
    """Whether the certificate was issued while the clock was ahead: it is not valid yet, but soon."""
    ahead = x509.load_pem_x509_certificate(pem.encode()).not_valid_before_utc - datetime.now(UTC)
    return timedelta() < ahead <= MAX_AHEAD


def _issue(props: dict[str, Any], authority: dict[str, Any] | None) -> dict[str, Any]:
    """The properties with certificates for all servers, signed by `authority` (earlier properties) or a new one."""
    now = datetime.now(UTC)
    if authority is None:
        authority_key = ec.generate_private_key(ec.SECP256R1())
        name = f"{props['stack']} certificate authority"[:MAX_COMMON_NAME]
        certificate = _sign_authority(name, authority_key, now)
    else:
        loaded = serialization.load_pem_private_key(authority["authority_key"].encode(), password=None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        authority_key = loaded
        certificate = x509.load_pem_x509_certificate(authority["authority"].encode())
    certificates, keys = {}, {}
    for server in props["servers"]:
        key = ec.generate_private_key(ec.SECP256R1())
        certificates[server] = _pem(_sign_server(server, key, certificate, authority_key, now))
        keys[server] = _key_pem(key)
    return props | {
        "authority": _pem(certificate),
        "authority_key": _key_pem(authority_key),
        "authority_expires_at": certificate.not_valid_after_utc.isoformat(),
        "certificates": certificates,
        "keys": keys,
        "expires_at": min(now + LIFETIME, certificate.not_valid_after_utc).isoformat(),
    }


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _sign_authority(name: str, key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _sign_server(
    server: str,
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    names = [x509.DNSName(server), x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(_name(server))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(min(now + LIFETIME, authority.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
