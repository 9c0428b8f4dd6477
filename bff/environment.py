"""Settings from the environment: exactly named, every wrong one reported at once, never with its value."""

import ssl
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_settings import EnvSettingsSource

from bff.settings import NESTING, PREFIX, AuthSettings, Settings, SourceSettings
from bff.values import headers_in
from clients import info, price, stock
from clients.source import SKUS

_FIELDS = {"info": info.FIELDS, "price": price.FIELDS, "stock": stock.FIELDS}
_PLACEHOLDER_URL = "http://unset/{sku}"


class SettingsRefused(Exception):
    """Settings that the service does not start with.

    problems: what is wrong with each, by the setting's name.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("\n".join(f"{name}: {problem}" for name, problem in sorted(problems.items())))
        self.problems = dict(problems)


def setting_names() -> frozenset[str]:
    """Return the name of every setting."""
    return frozenset(_names(Settings, PREFIX))


def load(environ: Mapping[str, str]) -> Settings:
    """Read the settings; raise SettingsRefused where any is unknown, malformed or impossible."""
    known = setting_names()
    problems = {name: "is not a setting" for name in environ if name.startswith(PREFIX) and name not in known}
    given = {name: value for name, value in environ.items() if name in known and value != ""}
    try:
        settings = _read(given)
    except ValidationError as exc:
        wrong = {_name_of(error["loc"]): _message(error["type"], error["msg"]) for error in exc.errors()}
        problems |= wrong
        # What is left is read once more, so that impossible combinations are reported in the same breath.
        unset = {name: _PLACEHOLDER_URL for name in wrong if name.endswith("__URL")}
        settings = _read({name: value for name, value in given.items() if name not in wrong} | unset)
    problems = dict(_impossible(settings)) | problems
    if problems:
        raise SettingsRefused(problems)
    return settings


def tls_context(source: SourceSettings) -> ssl.SSLContext:
    """Return the TLS context of a source; OSError or ssl.SSLError where its files are unfit."""
    context = ssl.create_default_context(cafile=source.tls_ca_file)
    if source.tls_cert_file is not None:
        context.load_cert_chain(source.tls_cert_file, source.tls_key_file)
    return context


def _names(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _names(inner, prefix + name.upper() + NESTING)
        else:
            yield prefix + name.upper()


def _read(given: Mapping[str, str]) -> Settings:
    source = EnvSettingsSource(Settings, case_sensitive=False, env_prefix=PREFIX, env_nested_delimiter=NESTING)
    source.env_vars = {name.lower(): value for name, value in given.items()}
    values: dict[str, Any] = {"info": {}, "price": {}, "stock": {}} | source()
    return Settings(**values)


def _name_of(location: tuple[int | str, ...]) -> str:
    known = setting_names()
    name = PREFIX + NESTING.join(str(step) for step in location).upper()
    while name not in known and NESTING in name:  # inside a value: its setting is meant
        name = name.rpartition(NESTING)[0]
    return name


def _message(kind: str, message: str) -> str:
    if kind == "missing":
        return "is needed"
    return message.removeprefix("Value error, ").replace("Input should", "must")


def _impossible(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.port == settings.admin_port != 0 and settings.host == settings.admin_host:
        yield "BFF_ADMIN_PORT", "must differ from BFF_PORT"
    yield from _impossible_auth(settings.auth)
    yield from _impossible_work(settings)
    for name in ("info", "price", "stock"):
        for field, problem in _impossible_source(name, getattr(settings, name), settings.deadline_seconds):
            yield f"{PREFIX}{name.upper()}{NESTING}{field}", problem


def _impossible_auth(auth: AuthSettings) -> Iterator[tuple[str, str]]:
    jwts = {"JWKS_URL": auth.jwks_url, "ISSUER": auth.issuer, "AUDIENCE": auth.audience}
    missing = [field for field, value in jwts.items() if value is None]
    if len(missing) < len(jwts):
        for field in missing:
            yield f"{PREFIX}AUTH{NESTING}{field}", "is needed for JWTs: JWKS_URL, ISSUER and AUDIENCE belong together"


def _impossible_work(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.database_url is not None and settings.executor_id is None:
        yield "BFF_EXECUTOR_ID", "is needed with Postgres: a name that no other process has at the same time"
    if settings.database_url is None and settings.worker.embedded is False:
        yield "BFF_WORKER__EMBEDDED", "must not be false with SQLite, whose file is one process' own"
    urls = {"DEDUCT_URL": settings.stock.deduct_url, "RELEASE_URL": settings.stock.release_url}
    unset = [field for field, url in urls.items() if url is None]
    if len(unset) == 1:
        yield f"{PREFIX}STOCK{NESTING}{unset[0]}", "is needed: DEDUCT_URL and RELEASE_URL belong together"


def _impossible_source(name: str, source: SourceSettings, deadline: float) -> Iterator[tuple[str, str]]:
    if (source.attempt_timeout_seconds or 0) > deadline:
        yield "ATTEMPT_TIMEOUT_SECONDS", "must not be longer than BFF_DEADLINE_SECONDS"
    yield from _impossible_bulk(source)
    if not source.map.keys() <= _FIELDS[name]:
        yield "MAP", f"must name only fields of the part: {', '.join(sorted(_FIELDS[name]))}"
    if source.headers_file is not None:
        try:
            headers_in(source.headers_file)
        except ValueError as exc:
            yield "HEADERS_FILE", str(exc)
    yield from _impossible_tls(source)


def _impossible_bulk(source: SourceSettings) -> Iterator[tuple[str, str]]:
    if source.bulk_body is not None and source.bulk_method != "POST":
        yield "BULK_BODY", "is only sent where BULK_METHOD is POST"
    if source.bulk_method == "POST" and source.bulk_body is None:
        yield "BULK_BODY", "is needed where BULK_METHOD is POST"
    if SKUS not in (source.bulk_url or SKUS) and f'"{SKUS}"'.encode() not in (source.bulk_body or b""):
        yield "BULK_URL", f"must hold {SKUS} in its path or query, or BULK_BODY must as a string"


def _impossible_tls(source: SourceSettings) -> Iterator[tuple[str, str]]:
    if source.tls_ca_file is None and source.tls_cert_file is None and source.tls_key_file is None:
        return
    if (source.tls_key_file is None) != (source.tls_cert_file is None):
        yield "TLS_KEY_FILE" if source.tls_key_file is None else "TLS_CERT_FILE", "is needed beside the other one"
        return
    try:
        ssl.create_default_context(cafile=source.tls_ca_file)
    except (OSError, ssl.SSLError):
        yield "TLS_CA_FILE", "must hold PEM certificates"
        return
    try:
        tls_context(source)
    except (OSError, ssl.SSLError):
        yield "TLS_CERT_FILE", "must hold a PEM certificate that fits BFF_…__TLS_KEY_FILE"
