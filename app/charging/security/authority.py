"""Certificates as such: our authority, a station's request and what it is answered, hashes by which stations name them.

OCPP 1.6 security whitepaper, edition 2, chapter 2 (profiles) and 4 (messages). Pure: no database, no clock.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE = timedelta(days=20 * 365)
#: clocks of stations that run behind must not find a certificate of the future
CLOCK_SLACK = timedelta(hours=1)
MINIMUM_RSA_BITS = 2048
MINIMUM_CURVE_BITS = 224
#: RFC 5280, upper bounds of a common name and an organisation
MAX_NAME = 64

_REQUEST_LABEL = "CERTIFICATE REQUEST"
_HASHES = {"SHA256": hashlib.sha256, "SHA384": hashlib.sha384, "SHA512": hashlib.sha512}
_ARMOUR = re.compile(r"-----BEGIN ([A-Z ]+)-----(.+?)-----END \1-----", re.DOTALL)

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class InvalidRequest(ValueError):
    """A certificate signing request that is not signed; the message says why."""


class InvalidCertificate(ValueError):
    """The text is no certificate; the message says what is expected."""


@dataclass(frozen=True)
class Request:
    """A checked request: signed by the key it is for, strong enough, and of this charge point."""

    csr: x509.CertificateSigningRequest
    common_name: str
    organisation: str | None


def der_of(text: str, label: str) -> bytes:
    """The bytes of a PEM text with that label, whatever became of its line breaks on the way. Raises ValueError."""
    text = text.replace("\\r", "").replace("\\n", "\n").strip()
    found = next((match for match in _ARMOUR.finditer(text) if match[1].removeprefix("NEW ") == label), None)
    if found is None and "-----" in text:
        raise ValueError(f"no {label.lower()} between BEGIN and END")
    try:
        return base64.b64decode("".join((found[2] if found else text).split()), validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None


def read_certificate(text: str) -> x509.Certificate:
    """The (first) certificate of a PEM text. Raises InvalidCertificate."""
    try:
        return x509.load_der_x509_certificate(der_of(text, "CERTIFICATE"))
    except ValueError:
        raise InvalidCertificate(
            "This is no certificate: paste the PEM text from BEGIN CERTIFICATE to END CERTIFICATE."
        ) from None


def read_certificates(text: str) -> list[x509.Certificate]:
    """Each certificate of a PEM text. Raises InvalidCertificate."""
    return [read_certificate(match[0]) for match in _ARMOUR.finditer(text) if match[1] == "CERTIFICATE"]


def pem_of(certificate: x509.Certificate) -> str:
    """A certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def names_of(subject: x509.Name, oid: x509.ObjectIdentifier) -> list[str]:
    """The values of one attribute of a name."""
    return [str(attribute.value) for attribute in subject.get_attributes_for_oid(oid)]


def make_authority(company: str, *, now: datetime) -> tuple[x509.Certificate, str]:
    """A new authority's certificate, signed by itself, and its key as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, company[:MAX_NAME] or "Charging"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Charge Point Authority"),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate, pem.decode("ascii")


def read_key(pem: str) -> SigningKey:
    """The key of an authority."""
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, SigningKey):
        raise TypeError("an authority's key is EC or RSA")
    return key


def read_request(text: str, *, identifier: str) -> Request:
    """A charge point's request, checked: it parses, fits its key, is strong enough, and is its own.

    The common name is the Charge Point ID, compared without regard to case. Raises InvalidRequest.
    """
    try:
        csr = x509.load_der_x509_csr(der_of(text, _REQUEST_LABEL))
        names = names_of(csr.subject, NameOID.COMMON_NAME)
        organisations = names_of(csr.subject, NameOID.ORGANIZATION_NAME)
        own = csr.is_signature_valid
        key = csr.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
        raise InvalidRequest("The request cannot be read as PKCS #10.") from None
    if not own:
        raise InvalidRequest("The request is not signed with the key it is for.")
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < MINIMUM_RSA_BITS:
            raise InvalidRequest(f"The key has {key.key_size} bits; RSA needs {MINIMUM_RSA_BITS}.")
    elif not isinstance(key, ec.EllipticCurvePublicKey):
        raise InvalidRequest("The key is neither RSA nor of an elliptic curve.")
    elif key.curve.key_size < MINIMUM_CURVE_BITS:
        raise InvalidRequest(f"The curve has {key.curve.key_size} bits; {MINIMUM_CURVE_BITS} are needed.")
    if len(names) != 1 or names[0].casefold() != identifier.casefold():
        asked = " and ".join(f"“{name}”" for name in names) or "nobody"
        raise InvalidRequest(f"The request is for {asked}, not for the Charge Point ID “{identifier}”.")
    return Request(csr, names[0], organisations[0] if organisations else None)


def issue(
    request: Request,
    *,
    authority: x509.Certificate,
    key: SigningKey,
    organisation: str,
    days: int,
    now: datetime,
) -> x509.Certificate:
    """A client certificate of ``days`` days, at most as long as the authority's own.

    The organisation is the one the station asked for (its CpoName), else ``organisation``. It grants nothing: the
    door looks at the issuer and the common name.
    """
    public_key = request.csr.public_key()
    assert isinstance(public_key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
    name = [x509.NameAttribute(NameOID.COMMON_NAME, request.common_name)]
    if request.organisation or organisation:
        wanted = (request.organisation or organisation)[:MAX_NAME]
        name.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, wanted))
    of_rsa = isinstance(public_key, rsa.RSAPublicKey)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name(name))
        .issuer_name(authority.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(min(now + timedelta(days=days), authority.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True, key_encipherment=of_rsa), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),  # type: ignore[arg-type]
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )


def _key_usage(**granted: bool) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: granted.get(name, False) for name in names})


def hash_data(certificate: x509.Certificate, issuer: x509.Certificate, *, algorithm: str = "SHA256") -> dict[str, str]:
    """How OCPP names a certificate (whitepaper, CertificateHashDataType): issuer's name and key hashed, and the serial.

    As in OCSP (RFC 6960, 4.1.1) the key's hash is of its bits, without tag, length and number of unused bits.
    Raises InvalidCertificate for a kind of key that stations do not have.
    """
    digest = _HASHES[algorithm]
    return {
        "hashAlgorithm": algorithm,
        "issuerNameHash": digest(certificate.issuer.public_bytes()).hexdigest(),
        "issuerKeyHash": digest(_key_bits(issuer)).hexdigest(),
        "serialNumber": f"{certificate.serial_number:x}",
    }


def _key_bits(certificate: x509.Certificate) -> bytes:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    if isinstance(key, rsa.RSAPublicKey):
        return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key.public_bytes_raw()
    raise InvalidCertificate("The certificate's key is neither RSA nor of an elliptic curve.")


def plain_hash(found: Mapping[str, Any]) -> dict[str, str]:
    """Hash data as stations write it, in one spelling: lower case, the serial without leading zeros."""
    return {
        "hashAlgorithm": str(found.get("hashAlgorithm", "")).upper().replace("-", ""),
        "issuerNameHash": str(found.get("issuerNameHash", "")).lower(),
        "issuerKeyHash": str(found.get("issuerKeyHash", "")).lower(),
        "serialNumber": str(found.get("serialNumber", "")).lower().removeprefix("0x").lstrip("0") or "0",
    }


def is_named_by(certificate: x509.Certificate, found: Mapping[str, Any]) -> bool:
    """Whether hash data of a station mean this root, whose issuer is itself."""
    wanted = plain_hash(found)
    if wanted["hashAlgorithm"] not in _HASHES:
        return False
    return plain_hash(hash_data(certificate, certificate, algorithm=wanted["hashAlgorithm"])) == wanted


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the whole certificate, as hex digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()
