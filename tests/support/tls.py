"""Certificates for tests: authorities of others, the server's own, and what stations make themselves."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)


def name(common_name: str, organisation: str | None = None) -> x509.Name:
    """A distinguished name."""
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organisation:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(parts)


def pem(certificate: x509.Certificate) -> str:
    """A certificate as PEM text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """A key as PEM text without password."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def request(common_name: str, key: ec.EllipticCurvePrivateKey, organisation: str | None = None) -> str:
    """A certificate signing request (PEM) of a station."""
    csr = (
        x509.CertificateSigningRequestBuilder().subject_name(name(common_name, organisation)).sign(key, hashes.SHA256())
    )
    return csr.public_bytes(serialization.Encoding.PEM).decode()


@dataclass
class Identity:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def write(self, folder: Path, stem: str) -> tuple[Path, Path]:
        """As two PEM files."""
        cert_path, key_path = folder / f"{stem}.pem", folder / f"{stem}.key"
        cert_path.write_text(pem(self.certificate))
        key_path.write_text(key_pem(self.key))
        return cert_path, key_path


class Authority:
    """A certificate authority of somebody else."""

    def __init__(self, common_name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = name(common_name)

    @cached_property
    def certificate(self) -> x509.Certificate:
        """Its own, signed by itself."""
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(self.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + 365 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def issue(
        self,
        common_name: str,
        *,
        since: timedelta = -DAY,
        until: timedelta = DAY,
        server: bool = False,
        usage: x509.ObjectIdentifier | None = None,
        alternative: str | None = None,
    ) -> Identity:
        """A certificate with a new key, valid from and until so long from now."""
        now = datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives: list[x509.GeneralName] = [x509.IPAddress(ip_address("127.0.0.1"))] if server else []
        if alternative is not None:
            alternatives.append(x509.DNSName(alternative))
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(common_name))
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + since)
            .not_valid_after(now + until)
            .add_extension(
                x509.ExtendedKeyUsage(
                    [usage or (ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH)]
                ),
                critical=False,
            )
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return Identity(builder.sign(self.key, hashes.SHA256()), key)


@dataclass
class TlsFiles:
    """What the tests' server is given, and who made it."""

    folder: Path
    #: whose client certificates it accepts beside its own authority's
    manufacturer: Authority
    #: who has issued the server's own certificate
    web: Authority
    port: int

    def client(self, identity: Identity | None = None) -> ssl.SSLContext:
        """A station's side: it verifies the server, and presents a certificate if it has one."""
        context = ssl.create_default_context(cadata=pem(self.web.certificate))
        if identity is not None:
            cert, key = identity.write(self.folder, f"client-{identity.certificate.serial_number:x}")
            context.load_cert_chain(cert, key)
        return context


def make_files(folder: Path, port: int) -> tuple[TlsFiles, dict[str, str]]:
    """Files of a server with TLS on ``port``, and the variables that name them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = TlsFiles(folder, Authority("Manufacturer CA"), Authority("Web CA"), port)
    cert, key = files.web.issue("localhost", server=True).write(folder, "server")
    others = folder / "others.pem"
    others.write_text(pem(files.manufacturer.certificate))
    return files, {
        "SYNC_TLS_CERT": str(cert),
        "SYNC_TLS_KEY": str(key),
        "SYNC_TLS_PORT": str(port),
        "SYNC_TLS_CLIENT_CA": str(others),
        "SYNC_TRUSTED_PROXIES": "127.0.0.9",
        "SYNC_CLIENT_CERT_HEADER": "X-SSL-Client-Cert",
    }
