"""The environment is read once, and what is wrong with it is said in one sentence."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.core.config import ConfigurationError, load, stored_secret


def env(tmp_path: Path, **variables: str) -> dict[str, str]:
    return {"SYNC_DATA_DIR": str(tmp_path), **variables}


@pytest.mark.parametrize("port", ["abc", "0", "70000", "-1", "80.5"])
def test_a_port_that_is_none_is_named(tmp_path: Path, port: str) -> None:
    with pytest.raises(ConfigurationError, match=r"PORT=.*between 1 and 65535"):
        load(env(tmp_path, PORT=port))


def test_an_unknown_role_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"ROLE='server'.*worker"):
        load(env(tmp_path, ROLE="server"))


def test_defaults(tmp_path: Path) -> None:
    config = load(env(tmp_path))
    assert (config.port, config.role, config.demo, config.embedded) == (8000, None, False, True)
    assert config.secure_cookies is False


def test_https_makes_cookies_secure(tmp_path: Path) -> None:
    assert load(env(tmp_path, SYNC_PUBLIC_URL="https://ev.example.com/")).secure_cookies is True


def test_the_secret_is_made_once_and_only_we_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "secret_key"
    with ThreadPoolExecutor(8) as pool:
        values = set(pool.map(lambda _: stored_secret(path), range(32)))
    assert len(values) == 1 and len(values.pop()) >= 40
    assert path.stat().st_mode & 0o077 == 0
    assert [p.name for p in tmp_path.iterdir()] == ["secret_key"]


def test_a_data_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="SYNC_DATA_DIR"):
        load({"SYNC_DATA_DIR": str(tmp_path / "file" / "below")})
