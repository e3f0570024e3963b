"""One port for stations and screens: `/ocpp/<ChargePointID>` becomes a WebSocket, the rest is the WSGI app's.

What the floor above injects: `admit` decides who may come in (before the 101, so that a refusal is plain
HTTP a technician can read), `on_connect` then owns the socket until it returns. Both run in the connection's
own greenlet and may wait for a database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog
from gevent import GreenletExit, Timeout
from gevent import socket as gsocket
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer
from geventwebsocket.handler import WebSocketHandler

from app.core.proxies import SECURE_SCHEMES, TrustedProxies, last_scheme
from ocpp_ws import handshake, presented
from ocpp_ws.framing import INTERNAL_ERROR, PROTOCOL_ERROR
from ocpp_ws.handshake import Admission, BadHandshake, Refusal, UpgradeRequest
from ocpp_ws.head import LimitedHead, StationHead
from ocpp_ws.plain import plain_response, tune
from ocpp_ws.presented import ClientCertificate, UnreadableCertificate
from ocpp_ws.tls import Tls
from ocpp_ws.unwanted import LEAVE_BODY, NoBody, RestOfBody
from ocpp_ws.websocket import DEFAULT_LIMITS, READ_BYTES, SocketLimits, StationSocket

Admit = Callable[[UpgradeRequest], Admission | Refusal]
OnConnect = Callable[[StationSocket, Admission], None]

DEFAULT_PROTOCOLS: Final = ("ocpp2.0.1", "ocpp1.6")
"""Best first: a station that speaks several gets the first of these."""

_KEEP_ALIVE_IDLE_S: Final = 75.0
_STATION_SOCKET_BUFFER_BYTES: Final = 64 * 1024
_log = structlog.get_logger("ocpp_ws.server")


class StationServer(WSGIServer):  # type: ignore[misc]  # gevent has no types here
    """The gevent server; made by `build_server`."""

    def __init__(
        self,
        bind: Any,
        wsgi_app: Callable[..., Iterable[bytes]],
        *,
        admit: Admit,
        on_connect: OnConnect,
        protocols: tuple[str, ...],
        limits: SocketLimits,
        head_timeout_s: float,
        pool_size: int,
        backlog: int,
        tls: Tls | None,
        proxies: TrustedProxies,
        client_cert_header: str | None,
    ) -> None:
        # WSGIServer would ask the name service for its own name at start, which hangs without a network.
        environ: dict[str, str] = {} if hasattr(bind, "accept") else {"SERVER_NAME": str(bind[0]) or "localhost"}
        if tls is not None:
            environ["wsgi.url_scheme"] = "https"
        super().__init__(
            bind,
            wsgi_app,
            backlog=None if hasattr(bind, "accept") else backlog,
            spawn=Pool(pool_size),
            log=None,
            environ=environ,
            handler_class=StationHandler,
        )
        self.admit = admit
        self.on_connect = on_connect
        self.protocols = protocols
        self.limits = limits
        self.head_timeout_s = head_timeout_s
        self.tls = tls
        self.proxies = proxies
        self.client_cert_header = client_cert_header

    def handle(self, sock: Any, address: Any) -> None:
        """One connection, in its own greenlet: with TLS its handshake comes first."""
        if self.tls is None:
            super().handle(sock, address)
            return
        secured = self.tls.accept(sock, address)
        if secured is None:
            return
        try:
            super().handle(secured, address)
        finally:
            secured.close()


def build_server(
    bind: Any,
    wsgi_app: Callable[..., Iterable[bytes]],
    *,
    admit: Admit,
    on_connect: OnConnect,
    protocols: tuple[str, ...] = DEFAULT_PROTOCOLS,
    limits: SocketLimits = DEFAULT_LIMITS,
    head_timeout_s: float = 10.0,
    pool_size: int = 20_000,
    backlog: int = 4096,
    tls: Tls | None = None,
    proxies: TrustedProxies | None = None,
    client_cert_header: str | None = None,
) -> StationServer:
    """A server for `bind`, a (host, port) pair or a listening socket; run it by `start` or `serve_forever`.

    `admit` answers every well-formed station request; whatever it raises becomes a 503. `on_connect` gets the
    upgraded socket, and when it returns or raises, the connection is closed. `pool_size` bounds the open
    connections, screens included: beyond it the kernel's `backlog` (capped by net.core.somaxconn) queues
    them. With `tls` nothing else is spoken on this port. What `proxies` say of a connection is believed:
    scheme, address, and in `client_cert_header` the certificate of their client.
    """
    return StationServer(
        bind,
        wsgi_app,
        admit=admit,
        on_connect=on_connect,
        protocols=protocols,
        limits=limits,
        head_timeout_s=head_timeout_s,
        pool_size=pool_size,
        backlog=backlog,
        tls=tls,
        proxies=proxies or TrustedProxies(),
        client_cert_header=client_cert_header,
    )


class StationHandler(WebSocketHandler):  # type: ignore[misc]  # geventwebsocket has no types
    """One TCP connection: HTTP requests until one of them becomes a station's WebSocket."""

    server: StationServer
    wsgi_input: Any

    def __init__(self, sock: Any, address: Any, server: StationServer) -> None:
        tune(sock)
        super().__init__(sock, address, server, rfile=sock.makefile("rb", READ_BYTES))
        self._head_timer: Timeout | None = None
        self._requests = 0

    # ------------------------------------------------------------------ reading a request

    def handle_one_request(self) -> Any:
        """One request as WSGIHandler does it, but its head must arrive within `head_timeout_s`."""
        try:
            return super().handle_one_request()
        except Timeout as timeout:
            if timeout is not self._head_timer:
                raise
            return None  # too slow, or an idle kept-alive connection: closed without a word
        finally:
            self._stop_head_timer()

    def read_requestline(self) -> str:
        """Start the clock, then read the first line; a kept-alive connection may idle before it."""
        self._requests += 1
        if self._requests > 1:
            self._head_timer = Timeout.start_new(_KEEP_ALIVE_IDLE_S)
            self.rfile.peek(1)
            self._stop_head_timer()
        self._head_timer = Timeout.start_new(self.server.head_timeout_s)
        line: str = super().read_requestline()
        return line

    def read_request(self, raw_requestline: str) -> bool:
        """Read the head and stop the clock: the answer may take its time."""
        complete: bool = super().read_request(raw_requestline)
        self._stop_head_timer()
        return complete

    def MessageClass(self, rfile: Any, *args: Any) -> Any:  # the name is WSGIHandler's
        """Header parser over a bounded reader."""
        head = LimitedHead(rfile)
        return StationHead(head) if handshake.is_station_path(self.path) else super().MessageClass(head, *args)

    def get_environ(self) -> dict[str, Any]:
        """The WSGI environment; a station's request needs none."""
        if not handshake.is_station_path(self.path):
            environ: dict[str, Any] = super().get_environ()
            environ[LEAVE_BODY] = self._leave_body
            return environ
        self.wsgi_input = NoBody()
        return {}

    def _leave_body(self) -> None:
        """For the application: what is left of the request's body is not wanted; the connection ends."""
        self.close_connection = True
        self.wsgi_input = RestOfBody(self.wsgi_input)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.close()

    def _handle_client_error(self, ex: Exception) -> tuple[str, bytes]:
        """A malformed request is the client's business: answer 400, print nothing."""
        return "400", plain_response(400, "Bad request")

    def log_request(self) -> None:
        """No access log: stations reconnect by the thousand, and the communication log has its own place."""

    def log_error(self, msg: str, *args: Any) -> None:
        """See `log_request`."""

    # ------------------------------------------------------------------ answering it

    def run_application(self) -> None:
        """Send the request where it belongs: station, refusal, or the WSGI application untouched."""
        if handshake.is_station_path(self.path):
            self._serve_station()
        elif self.command == "GET" and self._asks_for_websocket():
            self._refuse(Refusal(404, "Charge points connect to /ocpp/<ChargePointID>"))
        else:
            WSGIHandler.run_application(self)

    def upgrade_connection(self) -> tuple[StationSocket, Admission] | None:
        """Judge the request, ask `admit`, answer the 101; None when a refusal was answered instead."""
        try:
            request = self._read_upgrade()
        except BadHandshake as bad:
            request = Refusal(bad.status, bad.text)
        verdict = request if isinstance(request, Refusal) else self._ask_admit(request)
        try:
            if isinstance(request, UpgradeRequest) and isinstance(verdict, Admission):
                return self._switch_protocols(request, verdict), verdict
            if isinstance(verdict, Refusal):
                self._refuse(verdict)
        except OSError:
            pass  # the station did not wait for the answer
        return None

    def _read_upgrade(self) -> UpgradeRequest | Refusal:
        """Check the request by RFC 6455, 4.2.1 and gather what `admit` wants to know."""
        if self.command != "GET":
            return Refusal(405, "Only GET, as a WebSocket, is understood here")
        if not self._asks_for_websocket():
            return Refusal(
                426,
                "This address is for charge points. Connect by WebSocket to ws://<host>/ocpp/<ChargePointID> "
                f"with subprotocol {' or '.join(self.server.protocols)}",
            )
        if self.request_version != "HTTP/1.1":
            return Refusal(400, "A WebSocket needs HTTP/1.1")
        if (self.headers.get("Sec-WebSocket-Version") or "").strip() != "13":
            return Refusal(426, "Only WebSocket version 13 is understood")
        if not handshake.is_valid_key(",".join(self.headers.get_all("Sec-WebSocket-Key", []))):
            return Refusal(400, "Sec-WebSocket-Key must be the base64 of 16 bytes")
        if self.content_length or self.headers.get("Transfer-Encoding"):
            return Refusal(400, "A WebSocket request has no body")
        station_id = handshake.station_id_from_path(self.path)
        offered = handshake.parse_subprotocols(self.headers.get_all("Sec-WebSocket-Protocol", []))
        host, port = self.client_address[:2] if isinstance(self.client_address, tuple) else ("", 0)
        address, secure, certificate = self._who_asks(str(host))
        return UpgradeRequest(
            station_id=station_id,
            path=self.path,
            offered=offered,
            protocol=handshake.choose_subprotocol(offered, self.server.protocols),
            credentials=handshake.parse_basic(self.headers.get("Authorization"), station_id),
            remote_addr=address,
            remote_port=int(port),
            forwarded_for=self.headers.get("X-Forwarded-For"),
            user_agent=self.headers.get("User-Agent", ""),
            secure=secure,
            certificate=certificate,
        )

    def _who_asks(self, peer: str) -> tuple[str, bool, ClientCertificate | None]:
        """Address, whether by TLS, and certificate: as seen here, or as a proxy of ours says."""
        server = self.server
        if not server.proxies.trusts(peer):
            return peer, server.tls is not None, self._own_certificate()
        address = server.proxies.client(peer, self.headers.get_all("X-Forwarded-For", []))
        scheme = last_scheme(self.headers.get_all("X-Forwarded-Proto", []))
        secure = server.tls is not None if scheme is None else scheme in SECURE_SCHEMES
        if server.client_cert_header is None:
            return address, secure, None
        try:
            certificate = presented.of_header(self.headers.get_all(server.client_cert_header, []))
        except UnreadableCertificate as fault:
            _log.warning("proxy's certificate header", header=server.client_cert_header, fault=str(fault))
            raise BadHandshake(400, f"The client certificate in {server.client_cert_header} cannot be read") from None
        return address, secure, certificate

    def _own_certificate(self) -> ClientCertificate | None:
        return self.socket.client_certificate() if self.server.tls is not None else None

    def _ask_admit(self, request: UpgradeRequest) -> Admission | Refusal:
        try:
            return self.server.admit(request)
        except Exception:  # a database that is away must not show at the door: the station tries again
            _log.exception("admit failed", station_id=request.station_id)
            return Refusal(503, "Try again later", retry_after_s=30)

    def _switch_protocols(self, request: UpgradeRequest, admission: Admission) -> StationSocket:
        """Answer the 101 and hand over the socket.

        Without a common subprotocol the handshake is completed without one and the connection closed at once,
        as OCPP-J 1.6, 3.1.2 and OCPP 2.0.1 part 4, 3.1.2 demand.
        """
        wanted = admission.protocol
        answered = handshake.choose_subprotocol(request.offered, (wanted,)) if wanted else request.protocol
        agreed = answered or (wanted if not request.offered else None)
        deflate = handshake.negotiate_deflate(self.headers.get_all("Sec-WebSocket-Extensions", []))
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {handshake.accept_token(self.headers['Sec-WebSocket-Key'])}",
        ]
        if answered:
            lines.append(f"Sec-WebSocket-Protocol: {answered}")
        if deflate:
            lines.append(f"Sec-WebSocket-Extensions: {deflate.response}")
        self.socket.sendall("\r\n".join((*lines, "", "")).encode("latin-1"))
        for option in (gsocket.SO_SNDBUF, gsocket.SO_RCVBUF):
            self.socket.setsockopt(gsocket.SOL_SOCKET, option, _STATION_SOCKET_BUFFER_BYTES)
        self.socket.settimeout(0.0)
        station = StationSocket(
            self.socket,
            station_id=request.station_id,
            protocol=agreed.lower() if agreed else None,
            remote_addr=request.remote_addr,
            deflate_window_bits=deflate.server_window_bits if deflate else None,
            limits=self.server.limits,
            received=bytes(self.rfile.peek()),
        )
        if station.protocol is None:
            station.close(PROTOCOL_ERROR, "no common subprotocol")
        return station

    def _serve_station(self) -> None:
        """From the upgrade to the end of the connection."""
        self.close_connection = True
        self.wsgi_input = NoBody()
        upgraded = self.upgrade_connection()
        if upgraded is None:
            return
        station, admission = upgraded
        self._forget_request()
        try:
            if not station.closed:
                self.server.on_connect(station, admission)
        except GreenletExit:  # the server is being stopped
            station.abort()
            raise
        except Exception:  # the station must not hang on a mistake of ours: it reconnects
            _log.exception("connection failed", station_id=station.station_id)
            station.close(INTERNAL_ERROR, "internal error")
        finally:
            station.finish()

    def _forget_request(self) -> None:
        """Drop what only the handshake needed: some 10 KB for each of thousands of idle connections."""
        self.environ = dict[str, Any]()
        self.rfile.close()
        for name in ("headers", "requestline", "path", "_head_timer"):
            self.__dict__.pop(name, None)
        self._head_timer = None

    def _asks_for_websocket(self) -> bool:
        return handshake.has_token(self.headers.get_all("Upgrade", []), "websocket") and handshake.has_token(
            self.headers.get_all("Connection", []), "upgrade"
        )

    def _refuse(self, refusal: Refusal) -> None:
        self.close_connection = True
        self.wsgi_input = NoBody()
        self.status = str(refusal.status)
        self.socket.sendall(plain_response(refusal.status, refusal.text, refusal.retry_after_s))
