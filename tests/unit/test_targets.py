"""A URL template taken apart once: what is put in stands where the placeholder was, and nowhere else."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clients.http import Target
from clients.source import SKU, SKUS

ORIGIN = "http://source.test"
# As odd as a template can be: what begins, ends, or is a mark that might stand in for the placeholder.
ODD = ["sku0x", "sku1x", "sku2x", "sku", "0x", "x", "s", "ku0xsku0xsk", "SKU0X", "%73ku0x", "%7Bsku%7D", "%7B", "~"]
literals = st.lists(st.sampled_from(ODD) | st.text("sku01x-._~", max_size=6), max_size=4).map("".join)
templates = st.lists(literals, min_size=1, max_size=4)
values = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._,-]{0,63}", fullmatch=True) | st.text("sku0x19._-", min_size=1)


@given(
    literals=templates,
    before=st.sampled_from(["/at", "/at?q="]),
    value=values,
    placeholder=st.sampled_from([SKU, SKUS]),
)
@example(["sku0", "0x"], "/at", "7", SKU)
@example(["sku0x", "sku1x", ""], "/at", "sku0x", SKU)
@example(["sku", "x/s", "ku0x"], "/at?q=", "sku2x", SKUS)
def test_a_value_stands_where_its_placeholder_was(
    literals: list[str], before: str, value: str, placeholder: str
) -> None:
    target = Target(ORIGIN + before + placeholder.join(literals), placeholder)
    assert target.of(value.encode()) == (before + value.join(literals)).encode()
    assert target.of(b"") == (before + "".join(literals)).encode(), "one value leaves no trace in the next"
    assert target.places == len(literals) - 1
    assert target.length + target.places * len(value) == len(ORIGIN) + len(target.of(value.encode()))


@pytest.mark.parametrize(
    ("template", "host", "asked"),
    [
        ("http://h/{sku}", b"h", b"/7"),
        ("http://h:80/a/{sku}/b?c=%20&d={sku}", b"h", b"/a/7/b?c=%20&d=7"),
        ("https://h:8443?sku={sku}", b"h:8443", b"/?sku=7"),
        ("http://sku0x.test/x{sku}.json", b"sku0x.test", b"/x7.json"),
        ("http://h/none", b"h", b"/none"),
        ("http://h", b"h", b"/"),
    ],
)
def test_what_is_asked_of_whom(template: str, host: bytes, asked: bytes) -> None:
    target = Target(template, SKU)
    assert (target.host, target.of(b"7"), target.origin.raw_path) == (host, asked, b"/")


def test_the_origin_and_the_host_are_the_templates_own() -> None:
    target = Target("https://[::1]:8443/a/{sku}", "{sku}")
    assert (str(target.origin), target.host) == ("https://[::1]:8443/", b"[::1]:8443")
    assert repr(target) == "<Target https://[::1]:8443/>"
