"""The contract: the settings of bulk reads: defaults, refusals, and that no value is ever shown."""

from typing import Any

import pytest

from bff.environment import SettingsRefused, load
from tests.contract.process import UNUSED, run

URL = "http://h.example/find?skus={skus}"
POST = {"BFF_INFO__BULK_URL": "http://h.example/find", "BFF_INFO__BULK_METHOD": "POST"}


def refused(**settings: str) -> dict[str, str]:
    """Return what is refused, by name; nothing where all is well."""
    try:
        load(UNUSED | settings)
    except SettingsRefused as exc:
        return exc.problems
    return {}


def test_every_setting_has_its_default() -> None:
    settings = load(UNUSED)
    for source in (settings.info, settings.price, settings.stock):
        assert (source.bulk_url, source.bulk_method, source.bulk_size, source.max_bulk_bytes) == (
            None, "GET", 100, 4194304,
        )  # fmt: skip


def test_each_source_has_each_of_them() -> None:
    for name in ("INFO", "PRICE", "STOCK"):
        own = {"BULK_URL": URL, "BULK_METHOD": "POST", "BULK_BODY": '{"skus": "{skus}"}', "BULK_SIZE": "1",
               "MAX_BULK_BYTES": "1", "BULK_ITEMS": "/data"}  # fmt: skip
        assert refused(**{f"BFF_{name}__{setting}": value for setting, value in own.items()}) == {}


WRONG: dict[str, tuple[str, ...]] = {
    "BFF_INFO__BULK_URL": (
        "http://h.example/find", "http://h.example/{sku}", "ftp://h/{skus}", "h/{skus}", "http:///{skus}",
        "http://h:x/{skus}", "{skus}", "http://{skus}/", "http://h/{SKUS}", f"http://h/{{skus}}{'x' * 4096}",
    ),
    "BFF_INFO__BULK_METHOD": ("PUT", "get", "post", "HEAD", "GETPOST"),
    "BFF_INFO__BULK_SIZE": ("0", "-1", "1.5", "x", "nan", "1e2"),
    "BFF_INFO__MAX_BULK_BYTES": ("0", "-1", "x", "inf"),
    "BFF_INFO__BULK_ITEMS": ("data", "/a~2", "data/", "~"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_a_setting_cannot_be_is_refused_by_its_name(name: str) -> None:
    for value in WRONG[name]:
        found = refused(**{"BFF_INFO__BULK_URL": URL} | {name: value})
        assert name in found, value


def test_a_body_is_json_and_goes_with_post_and_the_other_way_round() -> None:
    body = {"BFF_INFO__BULK_BODY": '{"ids": "{skus}"}'}
    assert refused(**POST, **body) == {}
    assert set(refused(**POST, BFF_INFO__BULK_BODY='{"ids": {skus}}')) >= {"BFF_INFO__BULK_BODY"}
    assert set(refused(BFF_INFO__BULK_URL=URL, **body)) == {"BFF_INFO__BULK_BODY"}
    assert set(refused(BFF_INFO__BULK_URL=URL, BFF_INFO__BULK_METHOD="GET", **body)) == {"BFF_INFO__BULK_BODY"}
    assert set(refused(BFF_INFO__BULK_URL=URL, BFF_INFO__BULK_METHOD="POST")) == {"BFF_INFO__BULK_BODY"}
    for text in ("x", "{", '{"a": NaN}', '{"a": "{skus}"} x', "'{skus}'"):
        assert "BFF_INFO__BULK_BODY" in refused(**POST, BFF_INFO__BULK_BODY=text), text


def test_the_skus_have_to_be_somewhere() -> None:
    for text in ('{"ids": []}', '{"ids": "{sku}"}', '{"ids": "x{skus}"}', "[]", '"skus"'):
        assert set(refused(**POST, BFF_INFO__BULK_BODY=text)) == {"BFF_INFO__BULK_URL"}, text
    for text in ('"{skus}"', '["{skus}"]', '{"a": {"b": ["{skus}"]}}'):
        assert refused(**POST, BFF_INFO__BULK_BODY=text) == {}, text
    assert refused(**{**POST, "BFF_INFO__BULK_URL": URL}, BFF_INFO__BULK_BODY='{"all": true}') == {}


def test_every_wrong_one_is_named_a_line_each_and_never_its_value() -> None:
    secret = "s3cr3t-value"
    wrong = {
        "BFF_INFO__BULK_URL": f"http://h.example/{secret}",
        "BFF_PRICE__BULK_METHOD": secret,
        "BFF_PRICE__BULK_SIZE": secret,
        "BFF_PRICE__MAX_BULK_BYTES": secret,
        "BFF_PRICE__BULK_ITEMS": secret,
        "BFF_STOCK__BULK_BODY": f'{{"{secret}": "{{skus}}"',
    }
    with pytest.raises(SettingsRefused) as caught:
        load(UNUSED | wrong | {"BFF_STOCK__BULK_URL": URL, "BFF_STOCK__BULK_METHOD": "POST"})
    lines = str(caught.value).splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == sorted(wrong)
    assert secret not in str(caught.value)


def test_a_bulk_url_is_never_in_what_settings_say_of_a_refusal_elsewhere() -> None:
    problems = refused(BFF_INFO__BULK_URL="http://s3cr3t.example/{skus}", BFF_INFO__BULK_SIZE="0")
    assert set(problems) == {"BFF_INFO__BULK_SIZE"}
    assert "s3cr3t" not in str(problems)


async def test_the_command_exits_with_2_and_names_the_setting() -> None:
    wrong: dict[str, Any] = {"BFF_PRICE__BULK_URL": "http://s3cr3t.example/find", "BFF_PRICE__BULK_SIZE": "0",
                             "BFF_PRICE__BULK_METHOD": "PUT"}  # fmt: skip
    for command in (("serve",), ("check", "--settings")):
        ended = await run(*command, settings=UNUSED | wrong)
        assert ended.code == 2
        assert all(name in ended.err for name in wrong)
        assert "s3cr3t" not in ended.err + ended.out
