"""How the text of a setting is read: strictly, so that a slip of the pen is refused and never guessed at."""

import json
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from bff import strictjson
from bff.auth.caller import SCOPES, Principal
from bff.auth.tokens import Token
from bff.cache.redis.address import Address
from clients.http import InvalidURL, Target
from clients.shape import Pointer
from clients.source import MAX_URL_BYTES, SKU, SKUS

LONGEST_SKU = 64
_WHOLE = re.compile(r"[0-9]{1,15}", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)
_MINOR = re.compile(r"minor:(0|[1-9]|1[0-9]|20)", re.ASCII)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?")
_URL = re.compile(r"[\x21-\x7e]+")
_CALLER = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BEARER = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+")
_MANAGED_HEADERS = frozenset(
    {"x-request-id", "x-request-timeout-ms", "traceparent", "tracestate", "accept-encoding", "content-length"}
    | {"transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"}
)


def _whole(text: Any) -> Any:
    if isinstance(text, str) and not _WHOLE.fullmatch(text):
        raise ValueError("must be a whole number, written in digits")
    return text


def _decimal(text: Any) -> Any:
    if isinstance(text, str) and not _DECIMAL.fullmatch(text):
        raise ValueError("must be a number, 0 or more, written in digits")
    return text


def _flag(text: Any) -> Any:
    if isinstance(text, str) and text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true" if isinstance(text, str) else text


def _json(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("must be JSON") from None  # the cause quotes the value


def _url(text: str) -> str:
    if not _URL.fullmatch(text):
        raise ValueError("must be a URL of printable ASCII characters")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("must be a URL with a valid host and port") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("must be an http:// or https:// URL with a host")
    if parts.username is not None or parts.fragment:
        raise ValueError("must have no user name and no fragment; credentials belong in the headers")
    return text


def _fixed_url(text: str) -> str:
    _url(text)
    if re.search(r"[{}]", text):
        raise ValueError("must hold no placeholder: it is the same for every product")
    return text


def _template(text: str, placeholder: str) -> str:
    """Check a URL with a placeholder; where it may be left out is not known here."""
    _url(text)
    if placeholder in urlsplit(text).netloc:
        raise ValueError(f"must hold {placeholder} in its path or query")
    if re.search(r"[{}]", text.replace(placeholder, "")):
        raise ValueError(f"must hold no placeholder but {placeholder}")
    try:
        target = Target(text, placeholder)
    except InvalidURL:
        raise ValueError("must be a URL with a valid host and port") from None
    if target.length + target.places * LONGEST_SKU > MAX_URL_BYTES:
        raise ValueError(f"must leave room for a SKU within {MAX_URL_BYTES} bytes")
    return text


def _sku_url(text: str) -> str:
    if SKU not in _template(text, SKU):
        raise ValueError(f"must hold {SKU} in its path or query")
    return text


def _bulk_body(text: Any) -> Any:
    """Return the JSON to post, written anew so that its placeholder can be found in it."""
    if not isinstance(text, str):
        return text
    value = _json(text)
    try:
        body = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        raise ValueError("must be JSON") from None
    if _names(value, SKUS):
        raise ValueError(f"must not hold {SKUS} as a name")
    return body


def _names(value: Any, name: str) -> bool:
    """Return whether an object anywhere in a document has such a name."""
    if isinstance(value, dict):
        return name in value or any(_names(inner, name) for inner in value.values())
    return isinstance(value, list) and any(_names(inner, name) for inner in value)


def headers(value: Any) -> tuple[tuple[str, str], ...]:
    """Check the headers that are sent to a source: a JSON object of names and values."""
    if not isinstance(value, dict):
        raise ValueError("must be a JSON object of header names and values")
    for name, text in value.items():
        if not _TOKEN.fullmatch(name) or not isinstance(text, str) or not _FIELD_VALUE.fullmatch(text):
            raise ValueError("must hold header names and printable ASCII values")
        if name.lower() in _MANAGED_HEADERS:
            raise ValueError(f"must not hold {name}, which the service sets by itself")
    return tuple(value.items())


def headers_in(path: Path) -> tuple[tuple[str, str], ...]:
    """Read such headers from a file; ValueError where it holds none."""
    try:
        return headers(_json(path.read_text("utf-8")))
    except (OSError, UnicodeError):
        raise ValueError("must name a readable file") from None


def _pointer(text: Any) -> Any:
    return Pointer.parse(text) if isinstance(text, str) else text  # the default, which is none


def _pointers(value: Any) -> dict[str, Pointer]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError("must be a JSON object of field names and JSON pointers")
    return {name: Pointer.parse(text) for name, text in value.items()}


def _statuses(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    numbers = text.split(",")
    if not all(re.fullmatch(r"[45][0-9]{2}", number, re.ASCII) for number in numbers):
        raise ValueError("must be a comma list of statuses from 400 to 599")
    return frozenset(int(number) for number in numbers)


def _amounts(text: str) -> str:
    if text not in ("number", "string") and not _MINOR.fullmatch(text):
        raise ValueError("must be number, string or minor:N, N from 0 to 20")
    return text


def _origins(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and _ORIGIN.fullmatch(item) for item in value):
        raise ValueError("must be a JSON list of origins such as https://shop.example")
    return tuple(value)


def _tokens(text: Any) -> Any:
    if not isinstance(text, str):
        return text  # the default, which is none
    try:
        value = strictjson.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("must be JSON, each name in an object once") from None
    if not isinstance(value, dict) or not all(_CALLER.fullmatch(name) for name in value):
        raise ValueError("must be a JSON object; its names are callers: 1 to 64 letters, digits, dots, _ or -")
    tokens = tuple(_token(name, entry) for name, entry in value.items())
    if len({token.secret for token in tokens}) < len(tokens):
        raise ValueError("must hold no token twice")
    return tokens


def _token(name: str, entry: Any) -> Token:
    """Read one caller's token; its fields are not named in errors, for the text of a name may be a secret's."""
    if not isinstance(entry, dict) or entry.keys() != {"token", "scopes"}:
        raise ValueError("must hold a token and scopes for each caller, and nothing else")
    secret, scopes = entry["token"], entry["scopes"]
    if not isinstance(secret, str) or not _BEARER.fullmatch(secret):
        raise ValueError("must hold tokens of letters, digits, -, ., _, ~, + or /, with = only at the end")
    if not isinstance(scopes, list) or not all(isinstance(scope, str) and scope in SCOPES for scope in scopes):
        raise ValueError(f"must hold a list of scopes out of {', '.join(sorted(SCOPES))}")
    return Token(Principal(name, frozenset(scopes)), secret)


def _redis_url(text: str) -> str:
    if not _URL.fullmatch(text):
        raise ValueError("must be a URL of printable ASCII characters")
    Address(text)
    return text


def _database_url(text: str) -> str:
    from bff.durable.postgres import is_url  # psycopg, for those alone who have a server

    if not _URL.fullmatch(text) or not is_url(text):
        raise ValueError("must be a postgresql:// URL with a host, its special characters percent-encoded")
    return text


def _executor_id(text: str) -> str:
    if not _CALLER.fullmatch(text):
        raise ValueError("must be 1 to 64 letters, digits, dots, _ or -")
    return text


def _file(path: Path) -> Path:
    try:
        found = path.is_file()
    except OSError:  # a name too long for any file
        found = False
    if not found:
        raise ValueError("must name a readable file")
    return path


Whole = Annotated[int, BeforeValidator(_whole)]
Count = Annotated[Whole, Field(gt=0)]
Port = Annotated[Whole, Field(le=65535)]
Seconds = Annotated[float, BeforeValidator(_decimal), Field(gt=0)]
SecondsOrZero = Annotated[float, BeforeValidator(_decimal), Field(ge=0)]
Share = Annotated[float, BeforeValidator(_decimal), Field(ge=0, le=1)]
Flag = Annotated[bool, BeforeValidator(_flag)]
SkuUrl = Annotated[str, AfterValidator(_sku_url)]
SkusUrl = Annotated[str, AfterValidator(lambda text: _template(text, SKUS))]
BulkBody = Annotated[bytes | None, NoDecode, BeforeValidator(_bulk_body)]
Headers = Annotated[tuple[tuple[str, str], ...], NoDecode, BeforeValidator(lambda text: headers(_json(text)))]
ItemPointer = Annotated[Pointer | None, NoDecode, BeforeValidator(_pointer)]
FieldMap = Annotated[dict[str, Pointer], NoDecode, BeforeValidator(lambda text: _pointers(_json(text)))]
Statuses = Annotated[frozenset[int], NoDecode, BeforeValidator(_statuses)]
Amounts = Annotated[str, AfterValidator(_amounts)]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(lambda text: _origins(_json(text)))]
Tokens = Annotated[tuple[Token, ...], NoDecode, BeforeValidator(_tokens)]
Url = Annotated[str, AfterValidator(_fixed_url)]
DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
ExecutorId = Annotated[str, AfterValidator(_executor_id)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
File = Annotated[Path, AfterValidator(_file)]
