"""Settings that keep others out: secrets are read from files and never shown, keys and proxies that make no sense are
refused. How files and the environment are read is in tests/cli/test_start.py."""

from pathlib import Path

import pytest

from pipeline.settings import SECRETS, SettingsError, load


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_can_stand_in_a_file_of_its_own(name: str, tmp_path: Path) -> None:
    values = {"store": "redis://:password@redis:6379", "webhook_secret": "whsec_" + "YWFh" * 12}
    secret = values.get(name, f"the {name}")
    (tmp_path / "secret").write_text(secret + "\n")
    environment = {f"RAPPORT_{name.upper()}_FILE": str(tmp_path / "secret")}
    if name == "store":
        environment["RAPPORT_LOG"] = "kafka://kafka:9092"
    assert getattr(load(environment, _empty(tmp_path)), name) == secret


def _empty(folder: Path) -> Path:
    file = folder / "rapport.toml"
    file.touch()
    return file


@pytest.mark.parametrize("name", SECRETS)
def test_no_error_shows_a_secret(name: str, tmp_path: Path) -> None:
    file = tmp_path / "rapport.toml"
    file.write_text(f"{name} = 271828182845")
    with pytest.raises(SettingsError) as told:
        load({}, file)
    assert f"{name} = (secret): expected" in str(told.value)
    assert "271828182845" not in str(told.value)


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"RAPPORT_TRUSTED_PROXIES": "10.0.0.0/8,proxy.internal"}, "trusted_proxies: 'proxy.internal' is neither an"),
        ({"RAPPORT_PROXY_HEADER": "X-Real-IP"}, "RAPPORT_PROXY_HEADER='X-Real-IP'"),
        ({"RAPPORT_LIMIT_KEY_EVENTS_PER_SECOND": "-1"}, "RAPPORT_LIMIT_KEY_EVENTS_PER_SECOND='-1'"),
        ({"RAPPORT_WRITE_KEY": "k", "RAPPORT_SERVER_KEY": "k"}, "the server key must be another one"),
        ({"RAPPORT_WRITE_KEY": "k", "RAPPORT_PREVIOUS_SERVER_KEY": "k"}, "the server key must be another one"),
    ],
)
def test_what_makes_no_sense_is_refused(environment: dict[str, str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as told:
        load(environment, _empty(tmp_path))
    assert sentence in str(told.value)


def test_lists_in_the_environment(tmp_path: Path) -> None:
    environment = {"RAPPORT_TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8", "RAPPORT_ALLOWED_ORIGINS": ""}
    settings = load(environment, _empty(tmp_path))
    assert (settings.trusted_proxies, settings.allowed_origins) == (("10.0.0.0/8", "fd00::/8"), ())


def test_previous_keys_are_valid_beside_the_current_ones(tmp_path: Path) -> None:
    environment = {f"RAPPORT_{name}": name for name in ("WRITE_KEY", "SERVER_KEY", "PREVIOUS_SERVER_KEY")}
    settings = load(environment, _empty(tmp_path))
    assert settings.keys() == (("WRITE_KEY",), ("SERVER_KEY", "PREVIOUS_SERVER_KEY"))
