"""Settings from the environment: how names are taken, and what is said of wrong ones."""

import dataclasses

import pytest

from bff.environment import SettingsRefused, load, setting_names
from bff.settings import Settings

NEEDED = {f"BFF_{name}__URL": f"http://{name.lower()}.test/{{sku}}" for name in ("INFO", "PRICE", "STOCK")}


def read(**more: str) -> Settings:
    return load(NEEDED | more)


def problems(**more: str) -> dict[str, str]:
    """Return what is said to be wrong with these."""
    try:
        read(**more)
    except SettingsRefused as exc:
        return exc.problems
    return {}


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = read()
    assert (settings.deadline_seconds, settings.grace_seconds) == (0.8, 15)
    assert (settings.host, settings.port, settings.admin_host, settings.admin_port) == (
        "127.0.0.1",
        8000,
        "127.0.0.1",
        9000,
    )
    ages = [
        (own.fresh_seconds, own.revalidate_seconds, own.stale_seconds, own.not_found_seconds, own.required)
        for own in (settings.info, settings.price, settings.stock)
    ]
    assert ages == [(60, 300, 86400, 5, True), (5, 5, 120, 5, False), (2, 0, 5, 1, False)]
    info, circuit = settings.info, settings.info.circuit
    assert (info.attempts, info.concurrency, info.queue, info.retry_ratio, info.retry_floor) == (2, 64, 256, 0.2, 10)
    assert (info.connection_seconds, info.idle_seconds, info.max_body_bytes) == (60, 4, 65536)
    assert (circuit.failure_ratio, circuit.min_attempts, circuit.window_seconds) == (0.5, 20, 10)
    assert (circuit.slow_seconds, circuit.open_seconds, circuit.probes) == (None, 5, 3)
    assert (settings.cache.max_entries, settings.cache.max_bytes) == (100_000, 268_435_456)
    assert (settings.view_log.sink, settings.view_log.max_bytes) == ("jsonl", 1_073_741_824)
    assert (settings.log.format, settings.log.level, settings.log.access) == (None, "info", "some")
    assert (settings.cors.origins, str(settings.data_dir), settings.price.amounts) == ((), "var", "number")


@pytest.mark.parametrize(
    ("deadline", "attempt", "seconds"), [("0.8", "", 0.6), ("0.5", "", 0.5), ("2", "", 0.6), ("2", "1.5", 1.5)]
)
def test_an_attempt_has_600_ms_or_the_deadline_where_that_is_shorter(
    deadline: str, attempt: str, seconds: float
) -> None:
    settings = read(BFF_DEADLINE_SECONDS=deadline, BFF_INFO__ATTEMPT_TIMEOUT_SECONDS=attempt)
    assert settings.attempt_seconds(settings.info) == seconds


def test_names_are_nested_by_two_underscores_to_any_depth() -> None:
    settings = read(BFF_PRICE__CIRCUIT__OPEN_SECONDS="7.5", BFF_PRICE__CIRCUIT__PROBES="9", BFF_LOG__LEVEL="debug")
    assert (settings.price.circuit.open_seconds, settings.price.circuit.probes) == (7.5, 9)
    assert (settings.info.circuit.open_seconds, settings.log.level) == (5, "debug")


STRANGE = [
    "BFF_PROT",
    "BFF_",
    "BFF_INFO",
    "BFF_INFO__CIRCUIT",
    "BFF_LOG",
    "BFF_info__url",
    "BFF_INFO__url",
    "BFF_INFO_URL",
    "BFF_INFO__CIRCUIT__PROBES__X",
    "BFF_SERVICE_HOST",
    "BFF_PORT_8000_TCP",
    "BFF_STOCK__AMOUNTS",
]


@pytest.mark.parametrize("value", ["1", ""])
def test_any_other_name_with_our_prefix_is_refused(value: str) -> None:
    assert problems(**dict.fromkeys(STRANGE, value)) == dict.fromkeys(STRANGE, "is not a setting")


def test_names_without_our_prefix_are_not_ours() -> None:
    assert read(**dict.fromkeys(["bff_port", "Bff_PORT", "PORT", "XBFF_PORT", "INFO__URL"], "1")).port == 8000


def test_an_empty_value_is_unset() -> None:
    assert read(BFF_PORT="", BFF_INFO__HEADERS="", BFF_INFO__TLS_CA_FILE="", BFF_LOG__FORMAT="").port == 8000
    assert problems(BFF_INFO__URL="") == {"BFF_INFO__URL": "is needed"}


def test_without_any_setting_all_that_are_needed_are_named() -> None:
    with pytest.raises(SettingsRefused) as refused:
        load({})
    assert str(refused.value).splitlines() == [f"BFF_{name}__URL: is needed" for name in ("INFO", "PRICE", "STOCK")]


def test_all_problems_are_reported_at_once_and_never_a_value() -> None:
    secret = "hunter2"
    environ = {
        "BFF_INFO__URL": f"ftp://{secret}/{{sku}}",
        "BFF_PRICE__URL": f"http://{secret}@price/{{sku}}",
        "BFF_PRICE__HEADERS": f'{{"X-Key": "{secret}"',
        "BFF_PRICE__MAP": '{"colour": "/' + secret + '"}',
        "BFF_PRICE__ATTEMPT_TIMEOUT_SECONDS": "3.25",
        "BFF_STOCK__CIRCUIT__FAILURE_RATIO": "1.75",
        "BFF_STOCK__SKU_CHECK": secret,
        "BFF_PORT": "9000",
        "BFF_LOG__LEVEL": secret,
        "BFF_HUNTER": secret,
        "BFF_CORS__ORIGINS": f'["{secret}"]',
        "BFF_INFO__HEADERS_FILE": f"/{secret}",
        "BFF_INFO__NOT_FOUND_STATUS": f"404,{secret}",
        "BFF_INFO__ITEM": secret,
        "BFF_PRICE__AMOUNTS": secret,
        "BFF_STOCK__HEADERS": f'{{"X Key": "{secret}"}}',
    }
    with pytest.raises(SettingsRefused) as refused:
        load(environ)
    text = str(refused.value)
    named = [line.partition(":")[0] for line in text.splitlines()]
    assert named == sorted([*(environ.keys() - {"BFF_PORT"}), "BFF_ADMIN_PORT", "BFF_STOCK__URL"])
    assert secret not in text
    assert "3.25" not in text
    assert "1.75" not in text
    assert refused.value.__cause__ is None
    assert secret not in str(refused.value.__context__)


def test_secrets_are_in_no_repr() -> None:
    settings = read(BFF_INFO__HEADERS='{"Authorization": "Bearer hunter2"}')
    assert settings.info.headers == (("Authorization", "Bearer hunter2"),)
    assert "hunter2" not in repr(settings) + str(settings) + repr(settings.info)


def test_settings_do_not_change_once_read() -> None:
    settings = read()
    for section, name in ((settings, "port"), (settings.info, "url"), (settings.info.circuit, "probes")):
        with pytest.raises((ValueError, dataclasses.FrozenInstanceError)):
            setattr(section, name, 1)


def test_nothing_is_read_but_what_was_given(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(SettingsRefused):
        load({"PATH": "/bin"})
    with pytest.raises(ValueError):
        Settings()  # type: ignore[call-arg] # not from the process's own environment either


def test_names_are_upper_case_and_sections_are_none() -> None:
    names = setting_names()
    assert all(name == name.upper() and name.startswith("BFF_") for name in names)
    assert {"BFF_INFO__CIRCUIT__PROBES", "BFF_CACHE__MAX_ENTRIES", "BFF_PRICE__AMOUNTS"} <= names
    assert not {"BFF_INFO", "BFF_INFO__CIRCUIT", "BFF_LOG"} & names
