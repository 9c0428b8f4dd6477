"""Amounts as text: what is an amount, and how the three ways of sending one are read without losing a digit."""

import re
from collections.abc import Callable
from decimal import Decimal

import msgspec

from clients.errors import Garbled

Reader = Callable[[bytes], msgspec.Raw]

_PLAIN = re.compile(rb"(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{1,20})?")  # nearly every amount, within all bounds
_NUMBER = re.compile(rb"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")
_INTEGER = re.compile(rb"0|[1-9][0-9]*")
_LONGEST = 64  # more than 40 digits and their signs: not worth looking at
_MAX_DIGITS = 40
_LAST_DIGIT = range(-20, 21)  # its power of ten


def number(text: bytes) -> msgspec.Raw:
    """Read a JSON number: digit for digit, or without its exponent where it has one.

    Raises Garbled where it is not 0 or more, of at most 40 digits, its last one between 10^-20 and 10^20.
    """
    if _PLAIN.fullmatch(text):
        return msgspec.Raw(text)
    match = _NUMBER.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise Garbled("not an amount")
    sign, whole, fraction, exponent = match[1], match[2], match[3] or b"", match[4]
    digits = whole + fraction
    last = int(exponent or 0) - len(fraction)
    if len(digits) > _MAX_DIGITS or last not in _LAST_DIGIT or (sign and digits.strip(b"0")):
        raise Garbled("not an amount")
    if exponent is None and not sign:
        return msgspec.Raw(text)
    return msgspec.Raw(format(Decimal(text.decode("ascii")).copy_abs(), "f").encode("ascii"))


def string(text: bytes) -> msgspec.Raw:
    """Read an amount sent as a JSON string."""
    return number(msgspec.json.decode(text, type=str).encode())


def minor(places: int) -> Reader:
    """Return a reader of integers that count units of 10^-places, cents for 2."""

    def read(text: bytes) -> msgspec.Raw:
        if len(text) > _LONGEST or not _INTEGER.fullmatch(text):
            raise Garbled("not a count of minor units")
        if places == 0:
            return number(text)
        digits = text.rjust(places + 1, b"0")
        return number(digits[:-places] + b"." + digits[-places:])

    return read


Back = Callable[[bytes], bytes | None]
"""From an amount's text to the JSON that its owner takes, None where the owner's way cannot hold it."""


def to_string(text: bytes) -> bytes:
    """Write an amount as a JSON string of its own digits."""
    return b'"%b"' % text


def to_minor(places: int) -> Back:
    """Return a writer of integers that count units of 10^-places; it cannot hold what is finer, or what is too long."""
    read = minor(places)

    def write(text: bytes) -> bytes | None:
        whole, _, fraction = text.partition(b".")
        if fraction[places:].strip(b"0"):
            return None
        units = (whole + fraction[:places].ljust(places, b"0")).lstrip(b"0") or b"0"
        try:
            read(units)
        except Garbled:
            return None
        return units

    return write
