"""Single sign-on by TLS: the certificate of the provider must be trusted."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.server.conftest import ServerHarness, error_of
from tests.support.oidc_client import SsoHarness, start_provider

from saccade.app.auth.oidc import http
from saccade.server.permissions import API


def create_certificates(folder: Path, name: str, address: str = "127.0.0.1") -> tuple[Path, Path]:
    """Create a CA certificate, and a server certificate that it signs, with the key in the same file."""
    key, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    now = datetime.datetime.now(datetime.UTC)
    begun = x509.CertificateBuilder().issuer_name(issuer).not_valid_before(now - datetime.timedelta(days=1))
    begun = begun.not_valid_after(now + datetime.timedelta(days=1))
    known = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    top = begun.subject_name(issuer).public_key(key.public_key()).serial_number(x509.random_serial_number())
    top = top.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    top = top.add_extension(known, critical=False).add_extension(
        x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        ),
        critical=True,
    )
    leaf = begun.subject_name(subject).public_key(own.public_key()).serial_number(x509.random_serial_number())
    places = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    by = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known)
    leaf = leaf.add_extension(places, critical=False).add_extension(by, critical=False)
    pem = serialization.Encoding.PEM
    trusted, served = folder / f"{name}.pem", folder / f"{name}-server.pem"
    trusted.write_bytes(top.sign(key, hashes.SHA256()).public_bytes(pem))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    served.write_bytes(leaf.sign(key, hashes.SHA256()).public_bytes(pem) + own.private_bytes(pem, *plain))
    return trusted, served


@pytest.fixture
def trust_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The trust store that the environment names; at first with an unrelated CA only."""
    file = tmp_path / "trusted.pem"
    file.write_bytes(create_certificates(tmp_path, "unrelated")[0].read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    http._ssl_context.cache_clear()
    yield file
    http._ssl_context.cache_clear()


@pytest.mark.parametrize(
    ("address", "is_trusted"),
    [("127.0.0.1", True), ("127.0.0.1", False), ("127.0.0.2", True)],
    ids=["right", "unknown CA", "wrong address"],
)
def test_only_trusted_certificates_are_accepted(
    server: ServerHarness, trust_store: Path, tmp_path: Path, address: str, is_trusted: bool
) -> None:
    trusted, served = create_certificates(tmp_path, "company", address)
    if is_trusted:
        trust_store.write_bytes(trusted.read_bytes())
    provider = start_provider(served)
    try:
        sso = SsoHarness(server, provider)
        sso.configure_server()
        sso.invite()
        client = server.client()
        if is_trusted and address == "127.0.0.1":
            provider.configure()
            assert sso.sign_in(client).headers["location"] == "/"
            assert client.get(f"{API}/session").json()["user"]["email"] == "ann@example.org"
        else:
            answer = client.post(f"{API}/session/oidc", json={"next": "/"})
            assert answer.status_code == 502
            assert error_of(answer) == "provider"
            assert client.get(f"{API}/session").status_code == 401
    finally:
        provider.stop()
