"""The certificate a station presents: in our own TLS, or passed on by a proxy of ours that ended the TLS.

OCPP 1.6 security whitepaper, edition 2, 2.6 (profile 3): the certificate says which charge point it is, and our own
authority, or another one we were told of, has issued it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.charging.security.authority import der_of, names_of

#: Envoy's X-Forwarded-Client-Cert: Hash=…;Cert="…";Subject="…"
_CERT_PART = re.compile(r'(?:^|[;,])\s*Cert="?([^";,]+)', re.IGNORECASE)


class UnreadableCertificate(ValueError):
    """The proxy's header holds no certificate."""


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What a station presented. ``chain``: what else leads to the authority, as far as it is known."""

    leaf: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()
    verified: bool = False
    """Whether our own TLS has found its way to an authority we trust; a proxy's word is checked by us."""


def of_header(values: Iterable[str]) -> ClientCertificate | None:
    """The certificate in a proxy's header: PEM, URL-encoded as nginx passes it, or Envoy's form; None when empty.

    Raises UnreadableCertificate, also for several: a proxy sets its header, and does not add to a stranger's.
    """
    found = [value.strip() for value in values if value.strip() not in ("", "-", "(null)")]
    if not found:
        return None
    if len(found) > 1:
        raise UnreadableCertificate("more than one")
    part = _CERT_PART.search(found[0])
    try:
        return ClientCertificate(
            x509.load_der_x509_certificate(der_of(unquote(part[1] if part else found[0]), "CERTIFICATE"))
        )
    except ValueError:
        raise UnreadableCertificate("not a certificate") from None


def of_tls(leaf: bytes | None, chain: Sequence[bytes]) -> ClientCertificate | None:
    """The certificate of a TLS connection of our own, whose chain OpenSSL has verified except for its dates."""
    if not leaf:
        return None
    others = [x509.load_der_x509_certificate(der) for der in chain if der != leaf]
    return ClientCertificate(x509.load_der_x509_certificate(leaf), tuple(others), verified=True)


def fault_of(
    presented: ClientCertificate | None, *, identifier: str, trusted: Sequence[x509.Certificate], now: datetime
) -> str | None:
    """Why a certificate does not show that its bearer is this charge point, in an operator's words; None if it does."""
    if presented is None:
        return "no client certificate"
    leaf = presented.leaf
    if identifier.casefold() not in _names(leaf):
        return "client certificate of another charge point"
    way = [leaf, *presented.chain]
    if not presented.verified:
        issuer = next((authority for authority in trusted if _has_issued(authority, leaf)), None)
        if issuer is None:
            return "client certificate of an unknown authority"
        way.append(issuer)
    if any(now > certificate.not_valid_after_utc for certificate in way):
        return "client certificate expired"
    if any(now < certificate.not_valid_before_utc for certificate in way):
        return "client certificate not valid yet"
    if not _is_for_clients(leaf):
        return "certificate is not for clients"
    return None


def _names(certificate: x509.Certificate) -> set[str]:
    names = names_of(certificate.subject, NameOID.COMMON_NAME)
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names += extension.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        pass
    return {name.casefold() for name in names}


def _is_for_clients(certificate: x509.Certificate) -> bool:
    """Whether its extended key usage, if it has one, allows what it is used for (RFC 5280, 4.2.1.12)."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except ValueError:
        return False
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage


def _has_issued(authority: x509.Certificate, leaf: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def chain_of(ssl_object: Any) -> list[bytes]:
    """The DER of the chain that OpenSSL built; Python 3.13 is the first to have a public name for it."""
    found = getattr(ssl_object, "get_verified_chain", None)
    return [certificate.public_bytes(_DER) for certificate in (found() if found else None) or ()]


_DER = 2  # _ssl.ENCODING_DER
