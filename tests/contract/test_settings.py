"""The contract: every setting's name and default, and what is refused."""

from typing import Any

import pytest

from bff.environment import SettingsRefused, load

URLS: dict[str, Any] = {
    f"BFF_{name}__URL": f"http://{name.lower()}.example/{{sku}}" for name in ("INFO", "PRICE", "STOCK")
}

EACH_SOURCE: dict[str, Any] = {
    "ATTEMPTS": 2,
    "CONCURRENCY": 64,
    "QUEUE": 256,
    "CONNECTION_SECONDS": 60,
    "IDLE_SECONDS": 4,
    "RETRY_RATIO": 0.2,
    "RETRY_FLOOR": 10,
    "CIRCUIT__FAILURE_RATIO": 0.5,
    "CIRCUIT__MIN_ATTEMPTS": 20,
    "CIRCUIT__WINDOW_SECONDS": 10,
    "CIRCUIT__OPEN_SECONDS": 5,
    "CIRCUIT__PROBES": 3,
    "MAX_BODY_BYTES": 65536,
    "SKU_CHECK": "strict",
}
BY_SOURCE: dict[str, tuple[Any, Any, Any]] = {
    "REQUIRED": (True, False, False),
    "FRESH_SECONDS": (60, 5, 2),
    "REVALIDATE_SECONDS": (300, 5, 0),
    "STALE_SECONDS": (86400, 120, 5),
    "NOT_FOUND_SECONDS": (5, 5, 1),
}
OVERALL: dict[str, Any] = {
    "BFF_DEADLINE_SECONDS": 0.8,
    "BFF_GRACE_SECONDS": 15,
    "BFF_HOST": "127.0.0.1",
    "BFF_PORT": 8000,
    "BFF_ADMIN_HOST": "127.0.0.1",
    "BFF_ADMIN_PORT": 9000,
    "BFF_CACHE__MAX_ENTRIES": 100000,
    "BFF_CACHE__MAX_BYTES": 268435456,
    "BFF_VIEW_LOG__SINK": "jsonl",
    "BFF_VIEW_LOG__MAX_BYTES": 1073741824,
    "BFF_LOG__LEVEL": "info",
    "BFF_LOG__ACCESS": "some",
    "BFF_PRICE__AMOUNTS": "number",
}


def value(settings: Any, name: str) -> Any:
    for step in name.removeprefix("BFF_").lower().split("__"):
        settings = getattr(settings, step)
    return settings


def refused(**settings: str) -> dict[str, str]:
    """Return what is refused, by name; nothing where all is well."""
    try:
        load(URLS | settings)
    except SettingsRefused as exc:
        return exc.problems
    return {}


def test_every_setting_has_its_default() -> None:
    settings = load(URLS)
    assert {name: value(settings, name) for name in OVERALL} == OVERALL
    for at, source in enumerate(("INFO", "PRICE", "STOCK")):
        expected = EACH_SOURCE | {name: values[at] for name, values in BY_SOURCE.items()}
        assert {name: value(settings, f"BFF_{source}__{name}") for name in expected} == expected


def test_the_attempt_timeout_is_600_ms_or_the_deadline_where_that_is_shorter() -> None:
    settings = load(URLS)
    assert settings.attempt_seconds(settings.info) == 0.6
    settings = load(URLS | {"BFF_DEADLINE_SECONDS": "0.3"})
    assert settings.attempt_seconds(settings.info) == 0.3


def test_an_attempt_timeout_that_is_set_must_not_be_longer_than_the_deadline() -> None:
    assert set(refused(BFF_PRICE__ATTEMPT_TIMEOUT_SECONDS="0.9")) == {"BFF_PRICE__ATTEMPT_TIMEOUT_SECONDS"}
    assert refused(BFF_PRICE__ATTEMPT_TIMEOUT_SECONDS="0.9", BFF_DEADLINE_SECONDS="0.9") == {}


def test_a_url_is_needed_for_each_source() -> None:
    with pytest.raises(SettingsRefused) as caught:
        load({})
    assert set(caught.value.problems) == set(URLS)


def test_any_other_name_with_the_prefix_is_refused() -> None:
    names = {"BFF_NO_SUCH", "BFF_INFO", "BFF_INFO__NO_SUCH", "BFF_PRICE__CIRCUIT", "BFF_INFO__AMOUNTS", "BFF_Port"}
    names |= {"BFF_", "BFF_SERVICE_HOST", "BFF_PORT_8000_TCP", "BFF_INFO__URL__X", "BFF_CACHE", "BFF_INFO_URL"}
    assert set(refused(**dict.fromkeys(names, "1"))) == names


def test_names_without_the_prefix_are_nobodys_business() -> None:
    assert refused(BFFX="1", PORT="x", MY_BFF_PORT="x") == {}


def test_an_empty_value_is_unset() -> None:
    settings = load(URLS | {"BFF_PORT": "", "BFF_INFO__HEADERS": "", "BFF_LOG__FORMAT": ""})
    assert value(settings, "BFF_PORT") == 8000
    assert set(refused(BFF_INFO__URL="")) == {"BFF_INFO__URL"}


WRONG: dict[str, tuple[str, ...]] = {
    "BFF_INFO__URL": (
        "ftp://h/{sku}", "h/{sku}", "/{sku}", "http://h/", "http:///{sku}", "file:///{sku}", "http://h:x/{sku}",
        "{sku}", "http://h/{SKU}",
    ),
    "BFF_DEADLINE_SECONDS": ("0", "-1", "nan", "NaN", "inf", "-inf", "Infinity", "x", "0.0", "1_0", "\u0661"),
    "BFF_PRICE__ATTEMPT_TIMEOUT_SECONDS": ("0", "-0.1", "nan", "inf"),
    "BFF_GRACE_SECONDS": ("-1", "nan", "inf"),
    "BFF_INFO__CONCURRENCY": ("0", "-1", "1.5", "x", "nan"),
    "BFF_INFO__QUEUE": ("-1", "nan"),
    "BFF_INFO__ATTEMPTS": ("0", "11", "-1", "2.0"),
    "BFF_INFO__MAX_BODY_BYTES": ("0", "-1"),
    "BFF_INFO__FRESH_SECONDS": ("-1", "nan", "inf"),
    "BFF_INFO__REVALIDATE_SECONDS": ("-1", "nan", "inf"),
    "BFF_INFO__STALE_SECONDS": ("-1", "nan", "inf"),
    "BFF_INFO__NOT_FOUND_SECONDS": ("-1", "nan", "inf"),
    "BFF_INFO__RETRY_RATIO": ("-0.1", "nan", "inf"),
    "BFF_INFO__RETRY_FLOOR": ("-1", "nan"),
    "BFF_INFO__CIRCUIT__FAILURE_RATIO": ("-1", "nan", "inf"),
    "BFF_INFO__CIRCUIT__WINDOW_SECONDS": ("0", "-1", "nan"),
    "BFF_INFO__CIRCUIT__SLOW_SECONDS": ("0", "-1", "inf"),
    "BFF_INFO__CIRCUIT__OPEN_SECONDS": ("-1", "nan", "inf"),
    "BFF_INFO__REQUIRED": ("yes", "1", "True", "FALSE", "on"),
    "BFF_PORT": ("-1", "65536", "http", "8000.0"),
    "BFF_ADMIN_PORT": ("-1", "65536"),
    "BFF_CACHE__MAX_ENTRIES": ("0", "-1"),
    "BFF_CACHE__MAX_BYTES": ("0", "-1"),
    "BFF_VIEW_LOG__SINK": ("file", "JSONL"),
    "BFF_VIEW_LOG__MAX_BYTES": ("0", "-1"),
    "BFF_LOG__FORMAT": ("xml",),
    "BFF_LOG__LEVEL": ("loud",),
    "BFF_LOG__ACCESS": ("none", "true"),
    "BFF_INFO__HEADERS": ("x", "[]", '{"a": 1}', '{"a b": "c"}', '{"a": "b\\r\\nc: d"}', '{"a": null}'),
    "BFF_INFO__HEADERS_FILE": ("/no/such/file",),
    "BFF_INFO__TLS_CA_FILE": ("/no/such/file",),
    "BFF_INFO__ITEM": ("data", "/a~2"),
    "BFF_INFO__MAP": ("x", "[]", '{"name": 1}', '{"name": "title"}', '{"no_such_field": "/a"}'),
    "BFF_INFO__SKU_CHECK": ("lax",),
    "BFF_INFO__NOT_FOUND_STATUS": ("x", "404;410", "99", "404,"),
    "BFF_PRICE__AMOUNTS": ("cents", "minor", "minor:x", "minor:-2"),
    "BFF_CORS__ORIGINS": ("x", "{}", "[1]", "https://a.example"),
}  # fmt: skip


@pytest.mark.parametrize("round_", range(max(map(len, WRONG.values()))))
def test_what_a_setting_cannot_be_is_refused_by_its_name(round_: int) -> None:
    given = {name: texts[round_] for name, texts in WRONG.items() if round_ < len(texts)}
    passed = given.keys() - refused(**given).keys()
    assert {name: given[name] for name in passed} == {}
    assert set(refused(**given)) == set(given)


def test_what_may_be_zero_may_be_zero() -> None:
    zeros = ("FRESH_SECONDS", "REVALIDATE_SECONDS", "STALE_SECONDS", "NOT_FOUND_SECONDS", "RETRY_RATIO", "RETRY_FLOOR")
    assert refused(**{f"BFF_STOCK__{name}": "0" for name in zeros}, BFF_PORT="0", BFF_ADMIN_PORT="0") == {}


def test_a_url_may_hold_its_placeholder_in_the_query() -> None:
    assert refused(BFF_INFO__URL="https://h.example:8443/find?id={sku}&full=1") == {}


def test_every_wrong_one_is_named_a_line_each_and_never_its_value() -> None:
    secret = "s3cr3t-value"
    wrong = {
        "BFF_INFO__URL": f"ftp://{secret}/x",
        "BFF_PRICE__HEADERS": f'{{"Authorization": "{secret}"',
        "BFF_STOCK__REQUIRED": secret,
        "BFF_PORT": secret,
        "BFF_CORS__ORIGINS": f'["{secret}"]',
        "BFF_UNKNOWN": secret,
        "BFF_STOCK__HEADERS_FILE": f"/{secret}",
        "BFF_PRICE__MAP": f'{{"{secret}": "/a"}}',
        "BFF_INFO__ATTEMPT_TIMEOUT_SECONDS": "5",
    }
    with pytest.raises(SettingsRefused) as caught:
        load(URLS | wrong)
    lines = str(caught.value).splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == sorted(wrong)
    assert secret not in str(caught.value)


def test_no_secret_is_in_what_settings_print() -> None:
    settings = load(URLS | {"BFF_INFO__HEADERS": '{"Authorization": "Bearer s3cr3t"}'})
    assert "s3cr3t" not in repr(settings)
    assert "s3cr3t" not in str(settings)
