from __future__ import annotations

from pathlib import Path

import pytest

from commonchart.fhir.outcome import Invalid, Malformed
from commonchart.settings import Settings, client_address, default_data_dir, load


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "commonchart.toml").write_text('port = 1\nhost = "h"\nmode = "network"\n')
    env = {"COMMONCHART_DATA": str(tmp_path), "COMMONCHART_PORT": "2", "COMMONCHART_HOST": "e"}
    settings = load(env, port=3, host=None)
    assert (settings.port, settings.host, settings.mode) == (3, "e", "network")


def test_the_secret_is_made_once_and_read_by_nobody_else(tmp_path: Path) -> None:
    first = load({}, data_dir=tmp_path / "data").secret
    assert len(first) == 32
    assert load({}, data_dir=tmp_path / "data").secret == first
    assert (tmp_path / "data" / "secret").stat().st_mode & 0o777 == 0o600
    assert load({}, data_dir=tmp_path / "other").secret != first


def test_a_secret_that_was_cut_off_is_refused_and_not_used(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("abcd")
    with pytest.raises(Invalid, match="damaged"):
        load({}, data_dir=tmp_path)


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "many"), ("MODE", "hospital"), ("WORKERS", "0"), ("WORKERS", "65")]
)
def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(Invalid, match=f"(?i){name}"):
        load({f"COMMONCHART_{name}": value}, data_dir=tmp_path)


@pytest.mark.parametrize("text", ["port =", "prot = 1\n", 'secret = "x"\n'])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "commonchart.toml").write_text(text)
    with pytest.raises(Malformed, match=r"commonchart\.toml"):
        load({}, data_dir=tmp_path)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Invalid, match="data folder"):
        load({}, data_dir=tmp_path / "file" / "data")


def test_the_default_folder_follows_the_desktop_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("sys.platform", "linux")
    assert default_data_dir({"XDG_DATA_HOME": "/x"}) == Path("/x/commonchart")
    assert default_data_dir({"HOME": "/home/a"}) == Path("/home/a/.local/share/commonchart")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_data_dir({"HOME": "/root"}) == Path("/var/lib/commonchart")


def test_the_address_is_the_given_one_or_made_of_host_and_port(tmp_path: Path) -> None:
    assert load({}, data_dir=tmp_path, port=81).address == "http://127.0.0.1:81"
    assert load({}, data_dir=tmp_path, host="::1").address == "http://[::1]:8000"
    assert load({}, data_dir=tmp_path, base_url="https://chart.example/").address == "https://chart.example"


def test_the_card_keys_are_made_once_and_read_by_nobody_else(tmp_path: Path) -> None:
    first = load({}, data_dir=tmp_path).card_keys
    assert load({}, data_dir=tmp_path).card_keys == first
    assert (tmp_path / "card-keys.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{}", '{"keys": []}', '{"keys": [{"kty": "EC"}]}', "\u00e9"])
def test_damaged_card_keys_are_refused_and_not_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "card-keys.json").write_text(text)
    with pytest.raises(Invalid, match="damaged"):
        load({}, data_dir=tmp_path)
    assert (tmp_path / "card-keys.json").read_text() == text


@pytest.mark.parametrize(
    ("said", "peer", "forwarded", "found"),
    [
        ({}, "203.0.113.7", "10.9.9.9", "203.0.113.7"),  # nobody is believed unasked
        ({"base_url": "https://chart.example"}, "127.0.0.1", "203.0.113.7", ""),
        ({"base_url": "https://chart.example", "tls_cert": "c"}, "203.0.113.7", "", "203.0.113.7"),
        ({"proxies": "127.0.0.1"}, "127.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ({"proxies": "127.0.0.1 10.0.0.0/8"}, "127.0.0.1", "6.6.6.6, 203.0.113.7, 10.1.2.3", "203.0.113.7"),
        ({"proxies": "10.0.0.0/8"}, "203.0.113.7", "1.2.3.4", "203.0.113.7"),
        ({"proxies": "127.0.0.1"}, "127.0.0.1", "", "127.0.0.1"),
        ({"proxies": "127.0.0.1"}, "127.0.0.1", "nonsense", "nonsense"),
    ],
)
def test_only_proxies_that_are_named_say_where_a_request_came_from(
    said: dict[str, str], peer: str, forwarded: str, found: str
) -> None:
    given = Settings(data_dir=Path("/nowhere"), **said)
    assert client_address(given, peer, forwarded) == found


def test_proxies_are_addresses(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="proxies"):
        load({}, data_dir=tmp_path, proxies="the-proxy.example")
