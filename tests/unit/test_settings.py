"""What the value of each setting may be, and what is refused."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_environment import NEEDED, problems, read

WHOLE = ["BFF_INFO__QUEUE", "BFF_INFO__RETRY_FLOOR", "BFF_PORT", "BFF_ADMIN_PORT"]
COUNTS = [
    "BFF_INFO__ATTEMPTS",
    "BFF_INFO__CONCURRENCY",
    "BFF_INFO__MAX_BODY_BYTES",
    "BFF_INFO__CIRCUIT__MIN_ATTEMPTS",
    "BFF_INFO__CIRCUIT__PROBES",
    "BFF_CACHE__MAX_ENTRIES",
    "BFF_CACHE__MAX_BYTES",
    "BFF_VIEW_LOG__MAX_BYTES",
]
SECONDS = [
    "BFF_DEADLINE_SECONDS",
    "BFF_STOCK__ATTEMPT_TIMEOUT_SECONDS",
    "BFF_STOCK__CONNECTION_SECONDS",
    "BFF_STOCK__IDLE_SECONDS",
    "BFF_STOCK__CIRCUIT__WINDOW_SECONDS",
    "BFF_STOCK__CIRCUIT__SLOW_SECONDS",
    "BFF_STOCK__CIRCUIT__OPEN_SECONDS",
]
AGES = [
    f"BFF_{name}__{age}_SECONDS" for name in ("INFO", "STOCK") for age in ("FRESH", "REVALIDATE", "STALE", "NOT_FOUND")
]
SHARES = ["BFF_PRICE__RETRY_RATIO", "BFF_PRICE__CIRCUIT__FAILURE_RATIO"]
NO_NUMBER = [
    "nan",
    "NaN",
    "inf",
    "-inf",
    "Infinity",
    "-1",
    "+5",
    "1_000",
    "1,5",
    " 1",
    "1 ",
    "1e3",
    "٣",
    "\uff11",
    "0x10",
]
NO_NUMBER += ["true", ".5", "5.", "1.2.3", "9" * 16, "-0", "½"]


def all_refused(names: list[str], text: str) -> bool:
    """Whether each of these is refused with this value: all in one go, for reading settings takes its time."""
    return problems(**dict.fromkeys(names, text)).keys() == set(names)


@pytest.mark.parametrize("text", NO_NUMBER)
def test_what_is_no_plain_number_is_refused(text: str) -> None:
    assert all_refused(WHOLE + COUNTS + SECONDS + AGES + SHARES, text)


def test_what_is_counted_is_whole() -> None:
    assert all_refused(WHOLE + COUNTS, "1.5")


@pytest.mark.parametrize("zero", ["0", "0.0", "000"])
def test_timeouts_sizes_and_concurrency_are_more_than_zero(zero: str) -> None:
    assert all_refused([*COUNTS, *SECONDS, "BFF_PRICE__CIRCUIT__FAILURE_RATIO"], zero)


def test_others_may_be_zero() -> None:
    assert problems(**dict.fromkeys([*WHOLE, *AGES, "BFF_GRACE_SECONDS", "BFF_PRICE__RETRY_RATIO"], "0")) == {}


SLIPS = [
    ("BFF_INFO__ATTEMPTS", "11"),
    ("BFF_PORT", "65536"),
    ("BFF_PRICE__RETRY_RATIO", "1.1"),
    ("BFF_PRICE__CIRCUIT__FAILURE_RATIO", "1.01"),
    ("BFF_INFO__REQUIRED", "True"),
    ("BFF_INFO__REQUIRED", "1"),
    ("BFF_LOG__FORMAT", "JSON"),
    ("BFF_LOG__LEVEL", "INFO"),
    ("BFF_VIEW_LOG__SINK", "kafka"),
    ("BFF_INFO__SKU_CHECK", "lax"),
    ("BFF_INFO__NOT_FOUND_STATUS", "200"),
    ("BFF_INFO__NOT_FOUND_STATUS", "404, 410"),
    ("BFF_INFO__NOT_FOUND_STATUS", "٤04"),
    ("BFF_PRICE__AMOUNTS", "cents"),
    ("BFF_PRICE__AMOUNTS", "minor:21"),
    ("BFF_PRICE__AMOUNTS", "minor:02"),
    ("BFF_INFO__ITEM", "/a~2"),
    ("BFF_INFO__MAP", "{"),
    ("BFF_INFO__MAP", "[]"),
    ("BFF_INFO__MAP", '{"name": 1}'),
    ("BFF_INFO__MAP", '{"name": "no pointer"}'),
    ("BFF_INFO__MAP", '{"price": "/p"}'),  # a field of another part
    ("BFF_CORS__ORIGINS", "https://a.test"),
    ("BFF_CORS__ORIGINS", '["*"]'),
    ("BFF_CORS__ORIGINS", '["https://a.test/"]'),
    ("BFF_INFO__HEADERS", "[" * 100_000),
    ("BFF_INFO__HEADERS", "[]"),
    ("BFF_INFO__HEADERS", '{"X": 1}'),
    ("BFF_INFO__HEADERS", '{"X": ""}'),
    ("BFF_INFO__HEADERS", '{"X Y": "v"}'),
    ("BFF_INFO__HEADERS", '{"X": "a\\r\\nInjected: yes"}'),
    ("BFF_INFO__HEADERS", '{"X-Request-Id": "mine"}'),
    ("BFF_INFO__HEADERS", '{"Transfer-Encoding": "chunked"}'),
    ("BFF_INFO__HEADERS_FILE", "/nowhere/at/all"),
    ("BFF_INFO__TLS_CA_FILE", "/nowhere/at/all"),
]


def rounds(slips: list[tuple[str, str]]) -> list[dict[str, str]]:
    """Return few sets of settings that hold them all, each name once in a set."""
    sets: list[dict[str, str]] = []
    for name, text in slips:
        free = next((some for some in sets if name not in some), None)
        if free is None:
            sets.append(free := {})
        free[name] = text
    return sets


@pytest.mark.parametrize("slips", rounds(SLIPS), ids=lambda slips: "+".join(slips))
def test_any_other_slip_is_refused(slips: dict[str, str]) -> None:
    assert problems(**slips).keys() == slips.keys()


BAD_URLS = [
    "info.test/{sku}",
    "ftp://info.test/{sku}",
    "//info.test/{sku}",
    "http:///{sku}",
    "http://info.test/",
    "http://info.test/#{sku}",
    "http://{sku}.info.test/{sku}",
    "http://{sku}/",
    "http://user:secret@info.test/{sku}",
    "http://info.test/{sku}#top",
    "http://info.test/{id}/{sku}",
    "http://info.test/{sku",
    "http://info.test:0/{sku}",
    "http://info.test:99999/{sku}",
    "http://info.test:port/{sku}",
    "http://[::1/{sku}",
    "http://info.test/a b/{sku}",
    "http://info.test/é/{sku}",
    "http://info.test/{sku}\n",
    "http://info.test/{skus}",
    "http://info.test/{{sku}}",
]


@pytest.mark.parametrize("first", range(0, len(BAD_URLS), 3))
def test_a_url_that_cannot_be_meant_is_refused(first: int) -> None:
    given = dict(zip(NEEDED, BAD_URLS[first : first + 3], strict=False))
    assert problems(**given).keys() == given.keys()


@pytest.mark.parametrize(
    "url",
    [
        "http://info.test/{sku}",
        "https://info.test:8443/a/{sku}/b",
        "http://10.0.0.1/?sku={sku}&x=1",
        "http://[::1]:80/{sku}",
    ],
)
def test_a_url_that_can_is_taken(url: str) -> None:
    assert read(BFF_INFO__URL=url).info.url == url


ANY = ["BFF_INFO__URL", "BFF_INFO__HEADERS", "BFF_PRICE__AMOUNTS", "BFF_INFO__FRESH_SECONDS", "BFF_INFO__MAP"]


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=40))
def test_whatever_is_given_is_taken_or_refused_by_name(text: str) -> None:
    assert problems(**dict.fromkeys(ANY, text)).keys() <= set(ANY)


def test_good_values_are_read_as_what_they_are() -> None:
    taken = read(
        BFF_INFO__REQUIRED="false",
        BFF_INFO__HEADERS='{"X-Key": "v", "Host": "h"}',
        BFF_INFO__MAP='{"name": "/a~1b/0"}',
        BFF_INFO__ITEM="/data",
        BFF_INFO__NOT_FOUND_STATUS="404,410",
        BFF_INFO__SKU_CHECK="loose",
        BFF_PRICE__AMOUNTS="minor:2",
        BFF_CORS__ORIGINS='["https://shop.example", "http://localhost:3000"]',
        BFF_STOCK__FRESH_SECONDS="0.25",
    )
    info = taken.info
    assert (info.required, info.headers, info.sku_check) == (False, (("X-Key", "v"), ("Host", "h")), "loose")
    assert (info.map["name"].tokens, info.item and info.item.tokens) == (("a/b", "0"), ("data",))
    assert (info.not_found_status, taken.price.amounts) == (frozenset({404, 410}), "minor:2")
    assert taken.cors.origins == ("https://shop.example", "http://localhost:3000")
    assert taken.stock.fresh_seconds == 0.25


@pytest.mark.parametrize(
    ("given_", "named"),
    [
        ({"BFF_INFO__ATTEMPT_TIMEOUT_SECONDS": "0.9"}, {"BFF_INFO__ATTEMPT_TIMEOUT_SECONDS"}),
        ({"BFF_INFO__ATTEMPT_TIMEOUT_SECONDS": "0.8"}, set()),
        ({"BFF_INFO__ATTEMPT_TIMEOUT_SECONDS": "3", "BFF_DEADLINE_SECONDS": "3"}, set()),
        ({"BFF_PORT": "9000"}, {"BFF_ADMIN_PORT"}),
        ({"BFF_PORT": "0", "BFF_ADMIN_PORT": "0"}, set()),
        ({"BFF_PORT": "9000", "BFF_HOST": "10.0.0.1"}, set()),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given_: dict[str, str], named: set[str]) -> None:
    assert problems(**given_).keys() == named


def test_a_headers_file_is_looked_into(tmp_path: Path) -> None:
    file = tmp_path / "headers.json"
    file.write_text('{"Connection": "close"}')
    assert problems(BFF_INFO__HEADERS_FILE=str(file)).keys() == {"BFF_INFO__HEADERS_FILE"}
    file.write_text('{"X-Key": "v"}')
    assert problems(BFF_INFO__HEADERS_FILE=str(file)) == {}


def make_pair(folder: Path, name: str) -> tuple[str, str]:
    key, cert = folder / f"{name}.key", folder / f"{name}.pem"
    subject = ["-subj", f"/CN={name}", "-days", "1", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command = ["openssl", "req", "-x509", *subject, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return str(cert), str(key)


def test_tls_files_have_to_fit(tmp_path: Path) -> None:
    cert, key = make_pair(tmp_path, "a")
    _, other = make_pair(tmp_path, "b")
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense")
    ca, certificate, secret = (f"BFF_INFO__TLS_{kind}_FILE" for kind in ("CA", "CERT", "KEY"))
    assert problems(**{ca: cert, certificate: cert, secret: key}) == {}
    assert problems(**{certificate: cert}).keys() == {secret}
    assert problems(**{secret: key}).keys() == {certificate}
    assert problems(**{ca: str(nonsense)}).keys() == {ca}
    assert problems(**{certificate: cert, secret: other}).keys() == {certificate}
    assert problems(**{certificate: str(nonsense), secret: key}).keys() == {certificate}
