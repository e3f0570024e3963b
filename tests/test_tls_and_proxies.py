"""The variables of TLS and proxies, what is wrong with them in one sentence, and whose word about a request counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from app.core.config import ConfigurationError, TlsConfig, load, stored_secret
from app.core.proxies import Forwarded, TrustedProxies, last_scheme, networks
from ocpp_ws.tls import Tls, Trust
from tests.support.factories_dashboard import Visitor
from tests.support.tls import Authority, pem

TLS = {"SYNC_TLS_CERT": "/a.pem", "SYNC_TLS_KEY": "/a.key", "SYNC_TLS_PORT": "8443"}


def test_tls_is_off_unless_it_is_set(tmp_path: Path) -> None:
    config = load({"SYNC_DATA_DIR": str(tmp_path)})
    assert (config.tls, config.client_ca, config.trusted_proxies, config.client_cert_header) == (None, None, (), None)


def test_the_three_variables_make_tls(tmp_path: Path) -> None:
    config = load({"SYNC_DATA_DIR": str(tmp_path), **TLS})
    assert config.tls == TlsConfig(Path("/a.pem"), Path("/a.key"), 8443)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"SYNC_TLS_PORT": "8443"}, "SYNC_TLS_CERT and SYNC_TLS_KEY too"),
        ({**TLS, "SYNC_TLS_PORT": ""}, "set SYNC_TLS_PORT too"),
        ({**TLS, "SYNC_TLS_PORT": "https"}, "SYNC_TLS_PORT='https'.*between 1 and 65535"),
        ({**TLS, "SYNC_TLS_PORT": "8000"}, "both 8000"),
        ({"SYNC_TRUSTED_PROXIES": "10.0.0.0/8, proxy.local"}, "'proxy.local' is neither"),
        ({"SYNC_CLIENT_CERT_HEADER": "X-Cert"}, "not SYNC_TRUSTED_PROXIES"),
        ({"SYNC_TLS_CLIENT_CA": "/ca.pem"}, "nothing brings client certificates"),
    ],
)
def test_what_does_not_fit_together_is_said(tmp_path: Path, variables: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as error:
        load({"SYNC_DATA_DIR": str(tmp_path), **variables})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["", " \n", None], ids=["empty", "blank", "directory"])
def test_a_damaged_secret_is_no_secret(tmp_path: Path, content: str | None) -> None:
    """An empty key would sign everybody's sessions with nothing."""
    path = tmp_path / "secret_key"
    path.mkdir() if content is None else path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"empty or damaged.*backup"):
        stored_secret(path)


# ---------------------------------------------------------------------- files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates that fit and that do not."""
    folder = tmp_path_factory.mktemp("tls")
    web = Authority("Web")
    web.issue("one", server=True).write(folder, "one")
    web.issue("two", server=True).write(folder, "two")
    (folder / "rubbish").write_text("hello")
    return folder


@pytest.mark.parametrize(
    ("cert", "key", "words"),
    [
        ("missing.pem", "one.key", "SYNC_TLS_CERT: cannot read"),
        ("one.pem", "missing.key", "SYNC_TLS_KEY: cannot read"),
        ("one.pem", "two.key", "the key is not the certificate's"),
        ("rubbish", "one.key", "not a PEM certificate"),
        ("one.pem", "rubbish", "not a PEM certificate and its PEM key"),
    ],
)
def test_files_that_are_not_good_are_named(files: Path, cert: str, key: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as error:
        Tls(TlsConfig(files / cert, files / key, 1))
    assert "\n" not in str(error.value)


def test_a_renewed_certificate_is_taken_up_and_a_broken_one_is_not(files: Path, tmp_path: Path) -> None:
    config = TlsConfig(tmp_path / "cert", tmp_path / "key", 1)

    def install(name: str) -> None:
        config.cert.write_bytes((files / f"{name}.pem").read_bytes())
        config.key.write_bytes((files / f"{name}.key").read_bytes())

    install("one")
    tls = Tls(config)
    first = tls._context
    assert not tls.refresh() and tls._context is first
    install("two")
    assert tls.refresh() and tls._context is not first
    second = tls._context
    config.cert.write_text("half a certif")
    assert tls.refresh() and tls._context is second


def test_authorities_are_read_again_and_a_file_without_any_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("no certificate")
    with pytest.raises(ConfigurationError, match="holds no PEM certificate"):
        Trust(path)
    path.write_text(pem(Authority("One").certificate))
    trust = Trust(path)
    assert [c.subject.rfc4514_string() for c in trust.certificates] == ["CN=One"]
    path.write_text(pem(Authority("Two").certificate) + pem(Authority("Three").certificate))
    trust.update([pem(Authority("Ours").certificate)])
    assert [c.subject.rfc4514_string() for c in trust.certificates] == ["CN=Ours", "CN=Two", "CN=Three"]
    path.unlink()
    trust.update([])
    assert len(trust.certificates) == 2, "what was good goes on"


# ---------------------------------------------------------------------- whose word counts


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.7:4711"], "198.51.100.7"),
        ("10.0.0.1", ["[2001:db8::1]:80"], "2001:db8::1"),
        ("10.0.0.1", ["198.51.100.7, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7, unknown, 10.0.0.3"], "10.0.0.3"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
    ],
)
def test_the_client_is_the_nearest_who_is_no_proxy_of_ours(peer: str, forwarded: list[str], client: str) -> None:
    proxies = TrustedProxies(networks("10.0.0.0/8"))
    assert proxies.trusts(peer)
    assert proxies.client(peer, forwarded) == client


@given(st.text(max_size=60))
def test_whatever_is_forwarded_the_client_is_an_address(text: str) -> None:
    from ipaddress import ip_address

    ip_address(TrustedProxies(networks("127.0.0.1")).client("127.0.0.1", [text]))


@pytest.mark.parametrize(
    ("values", "scheme"), [([], None), (["https"], "https"), (["http, HTTPS "], "https"), (["https", "http"], "http")]
)
def test_the_nearest_proxy_says_the_scheme(values: list[str], scheme: str | None) -> None:
    assert last_scheme(values) == scheme


def _seen(proxies: str, **environ: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def application(given: dict[str, Any], _start: Any) -> list[bytes]:
        found.update(given)
        return []

    Forwarded(application, TrustedProxies(networks(proxies)))({"wsgi.url_scheme": "http", **environ}, None)
    return found


def test_a_strangers_headers_are_taken_away() -> None:
    said = {"HTTP_X_FORWARDED_FOR": "6.6.6.6", "HTTP_X_FORWARDED_PROTO": "https"}
    seen = _seen("10.0.0.1", REMOTE_ADDR="10.0.0.2", **said)
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == ("10.0.0.2", "http")
    assert not [name for name in seen if "FORWARDED" in name]
    assert _seen("", REMOTE_ADDR="10.0.0.2", **said)["REMOTE_ADDR"] == "10.0.0.2"
    seen = _seen("10.0.0.2", REMOTE_ADDR="10.0.0.2", **said)
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == ("6.6.6.6", "https")


def test_a_stranger_cannot_dodge_the_logins_throttle(clean: Flask) -> None:
    """Each attempt says it comes from elsewhere."""
    client = Visitor(clean, clean.response_class)
    answers = [
        client.post(
            "/login",
            data={"email": f"nobody{n}@example.com", "password": "wrong"},
            headers={"X-Forwarded-For": f"203.0.113.{n}"},
            environ_base={"REMOTE_ADDR": "198.51.100.20"},
        ).status_code
        for n in range(12)
    ]
    assert answers[-1] == 429
