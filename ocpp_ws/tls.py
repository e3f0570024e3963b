"""TLS of our own: one port more, on which stations and browsers find the same as on the plain one.

OCPP 1.6 security whitepaper, edition 2, 2.5 and 2.6: TLS 1.2 or newer, its cipher suites, and the station's certificate
asked for but not demanded, because profile 2 has none; the door decides (``ocpp_ws.door``). OpenSSL verifies the chain
but not its dates, which the door looks at: so an expired certificate is refused with a reason somebody can read.
"""

from __future__ import annotations

import contextlib
import errno
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog
from cryptography import x509
from gevent import Timeout
from gevent.ssl import SSLContext, SSLSocket

from app.charging.security.authority import InvalidCertificate, pem_of, read_certificates
from app.core.config import ConfigurationError, TlsConfig
from ocpp_ws import presented

log = structlog.get_logger("ocpp_ws.tls")

#: the whitepaper's four, and those of the second and fourth with forward secrecy
CIPHERS = ":".join(
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
    )
)
#: X509_V_FLAG_NO_CHECK_TIME, which the ssl module has no name for
_NO_CHECK_TIME = 0x200000
HANDSHAKE_S = 10.0
_WOULD_BLOCK = (ssl.SSLWantReadError, ssl.SSLWantWriteError)

#: told the address and what was wrong when a client's certificate leads to nobody we trust
OnRefused = Callable[[str, str], None]


class TlsSocket(SSLSocket):  # type: ignore[misc]  # gevent has no types here
    """A TLS socket that, when it must not block, says so as a plain one does; the WebSocket is written for that."""

    #: what OpenSSL began to send and wants to be given again before anything else
    _owed: bytes | None = None

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """As a socket's. Raises BlockingIOError when there is nothing to read yet."""
        try:
            data: bytes = super().recv(buflen, flags)
        except _WOULD_BLOCK:
            raise _nothing_yet() from None
        return data

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        """As a socket's, for the file the request is read from. Raises BlockingIOError."""
        try:
            count: int = super().recv_into(buffer, nbytes, flags)
        except _WOULD_BLOCK:
            raise _nothing_yet() from None
        return count

    def send(self, data: Any, *args: Any, **kwargs: Any) -> int:
        """As a socket's; not blocking, it sends all, or raises BlockingIOError and wants the same again."""
        if self.timeout != 0.0 or self._sslobj is None:
            sent: int = super().send(data, *args, **kwargs)
            return sent
        owed, again = self._owed, self._owed is not None and self._owed == data
        if owed is not None and not again:
            self._write(owed)
        return self._write(data)

    def _write(self, data: bytes) -> int:
        self._owed = data
        try:
            written: int = self._sslobj.write(data)
        except _WOULD_BLOCK:
            raise _nothing_yet() from None
        self._owed = None
        return written

    def shutdown(self, how: int) -> None:
        """Tell the other side that nothing more comes, in TLS too, and shut down."""
        if self._sslobj is not None and self.timeout == 0.0 and self._owed is None:
            with contextlib.suppress(OSError, ValueError):  # its answer is not waited for
                self._sslobj.shutdown()
        super().shutdown(how)

    def client_certificate(self) -> presented.ClientCertificate | None:
        """What the other side has identified itself with."""
        return presented.of_tls(self.getpeercert(True), presented.chain_of(self._sslobj))


def _nothing_yet() -> BlockingIOError:
    return BlockingIOError(errno.EAGAIN, "would block")


class Tls:
    """The server's certificate and those of the authorities, read again when they change.

    ``trusted`` gives the authorities whose client certificates are accepted; None: none are asked for. Raises
    ConfigurationError with a sentence about what is wrong with the files.
    """

    def __init__(
        self,
        files: TlsConfig,
        *,
        trusted: Callable[[], Sequence[x509.Certificate]] | None = None,
        on_refused: OnRefused | None = None,
    ) -> None:
        self._files = files
        self._trusted = trusted
        self._on_refused = on_refused
        self._made_of = self._stamp()
        self._context = self._make()

    def reload(self) -> None:
        """Read the files again; when they are not good, what was good goes on."""
        self._made_of = self._stamp()
        try:
            self._context = self._make()
        except ConfigurationError as error:
            log.error("tls.not_reloaded", error=str(error))
        else:
            log.info("tls.reloaded")

    def refresh(self) -> bool:
        """Reload if a file or an authority has changed."""
        if self._stamp() == self._made_of:
            return False
        self.reload()
        return True

    def accept(self, sock: Any, address: Any) -> TlsSocket | None:
        """The server's half of the handshake, in the connection's own greenlet; None when there is no TLS to be had."""
        try:
            with Timeout(HANDSHAKE_S):
                secured: TlsSocket = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                try:
                    secured.do_handshake()
                except BaseException:
                    secured.close()
                    raise
                return secured
        except ssl.SSLCertVerificationError as error:
            if self._on_refused is not None:
                self._on_refused(str(address[0]), error.verify_message)
        except (Timeout, OSError):
            pass  # a scanner, plain HTTP, an old version: there is nobody to answer
        return None

    def _stamp(self) -> tuple[object, ...]:
        """What the context is made of, without reading it."""
        times: list[object] = []
        for path in (self._files.cert, self._files.key):
            try:
                found = path.stat()
                times.append((found.st_mtime_ns, found.st_size, found.st_ino))
            except OSError:
                times.append(None)
        authorities = self._trusted() if self._trusted is not None else ()
        return (*times, *(certificate.serial_number for certificate in authorities))

    def _make(self) -> SSLContext:
        context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sslsocket_class = TlsSocket
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        _load(context, self._files)
        authorities = list(self._trusted()) if self._trusted is not None else []
        if authorities:
            context.load_verify_locations(cadata="".join(pem_of(certificate) for certificate in authorities))
            context.verify_mode = ssl.CERT_OPTIONAL
            context.verify_flags |= _NO_CHECK_TIME
        return context


def _load(context: SSLContext, files: TlsConfig) -> None:
    for variable, path in (("SYNC_TLS_CERT", files.cert), ("SYNC_TLS_KEY", files.key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{variable}: cannot read {path} ({error.strerror})") from None
    try:
        context.load_cert_chain(files.cert, files.key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        what = error.reason if isinstance(error, ssl.SSLError) else str(error)
        words = _WORDS.get(str(what), "they are not a PEM certificate and its PEM key without password")
        raise ConfigurationError(f"SYNC_TLS_CERT ({files.cert}) and SYNC_TLS_KEY ({files.key}): {words}") from None


_WORDS = {
    "KEY_VALUES_MISMATCH": "the key is not the certificate's",
    "EE_KEY_TOO_SMALL": "the certificate's key is too short",
    "CA_MD_TOO_WEAK": "the certificate's signature is too weak",
}


def _no_password() -> str:
    """Instead of a question at a terminal that nobody sits at."""
    raise ValueError("the key has a password")


class Trust:
    """The authorities whose client certificates count: our own, and those of SYNC_TLS_CLIENT_CA.

    Raises ConfigurationError when that file holds none.
    """

    def __init__(self, extra: Path | None) -> None:
        self._extra = extra
        self._read_of: object = None
        self._others: list[x509.Certificate] = []
        self._own: list[x509.Certificate] = []
        self._own_pems: list[str] = []
        if extra is not None:
            self._others = read_authorities(extra)
            self._read_of = extra.stat().st_mtime_ns

    @property
    def certificates(self) -> Sequence[x509.Certificate]:
        """All of them, our own first."""
        return [*self._own, *self._others]

    def update(self, own_pems: list[str]) -> None:
        """Take up our own as the database has them now, and the file if it was changed."""
        if own_pems != self._own_pems:
            self._own = [certificate for pem in own_pems for certificate in read_certificates(pem)]
            self._own_pems = own_pems
        if self._extra is None:
            return
        try:
            changed = self._extra.stat().st_mtime_ns
            if changed != self._read_of:
                self._read_of = changed
                self._others = read_authorities(self._extra)
        except (OSError, ConfigurationError) as error:  # what was good goes on
            log.error("tls.authorities_not_reloaded", error=str(error))


def read_authorities(path: Path) -> list[x509.Certificate]:
    """The certificates of SYNC_TLS_CLIENT_CA. Raises ConfigurationError."""
    try:
        found = read_certificates(path.read_text())
    except OSError as error:
        raise ConfigurationError(f"SYNC_TLS_CLIENT_CA: cannot read {path} ({error.strerror})") from None
    except (InvalidCertificate, UnicodeDecodeError):
        found = []
    if not found:
        raise ConfigurationError(f"SYNC_TLS_CLIENT_CA: {path} holds no PEM certificate")
    return found
