"""Imports go one way, and each rule finds a source text that breaks it."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BELOW = ("bff.auth", "bff.resilience", "bff.cache", "bff.viewlog", "clients")
MAKERS = {"bff.serve", "bff.check", "bff.cli"}

Sources = Mapping[str, str]


def first_party() -> dict[str, str]:
    """Return the source text of every module of ours."""
    files = [*ROOT.glob("bff/**/*.py"), *ROOT.glob("clients/**/*.py")]
    return {".".join(file.relative_to(ROOT).with_suffix("").parts): file.read_text() for file in files}


def imported(name: str, text: str) -> Iterator[str]:
    """Return what a module imports, wherever it does, as full names."""
    package = name.removesuffix(".__init__") if name.endswith(".__init__") else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, node.module] if node.module else above)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def ours(name: str) -> bool:
    return within(name, "bff", "clients")


def upwards(name: str, target: str) -> bool:
    """Whether it is an import against the way down from api through product to what is below."""
    if within(name, *BELOW):
        own = next(package for package in BELOW if within(name, package))
        return ours(target) and not within(target, own)
    if within(name, "bff.durable"):
        return ours(target) and not within(target, "bff.durable", "bff.product", "clients")
    if within(name, "bff.product"):
        return ours(target) and not within(target, "bff.product", "bff.resilience", "bff.cache", "clients")
    return within(target, "bff.api") and not within(name, "bff.api", "bff.wiring")


def makes(name: str, target: str) -> bool:
    return within(target, "bff.wiring") and not within(name, "bff.wiring") and name not in MAKERS


def plays(name: str, target: str) -> bool:
    return within(target, "bff.demo") and not within(name, "bff.demo", "bff.cli")


def speaks_http(name: str, target: str) -> bool:
    return within(target, "httpx") and name != "clients.http"


def asks_redis(name: str, target: str) -> bool:
    return within(target, "redis") and not within(name, "bff.cache.redis")


def drives(name: str, target: str) -> bool:
    return within(target, "dbos") and name != "bff.durable.engine"


def asks_postgres(name: str, target: str) -> bool:
    return within(target, "psycopg") and name != "bff.durable.postgres"


RULES = {rule.__name__: rule for rule in (upwards, makes, plays, speaks_http, asks_redis, drives, asks_postgres)}


def broken(rule: str, sources: Sources) -> list[str]:
    return [
        f"{name} imports {target}"
        for name, text in sorted(sources.items())
        for target in imported(name, text)
        if RULES[rule](name, target)
    ]


@pytest.mark.parametrize("rule", RULES)
def test_every_module_keeps_the_rule(rule: str) -> None:
    assert broken(rule, first_party()) == []


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    [
        ("upwards", "bff.product.view", "from bff.api.headers import VARY"),
        ("upwards", "bff.product.view", "from bff import metrics"),
        ("upwards", "bff.resilience.retry", "import bff.cache.entry"),
        ("upwards", "bff.resilience.retry", "from clients.errors import Unavailable"),
        ("upwards", "bff.cache.tiers", "from bff.product import parts"),
        ("upwards", "bff.cache.tiers", "from ..product import parts"),
        ("upwards", "bff.cache.tiers", "def late():\n    from bff.settings import Settings"),
        ("upwards", "bff.viewlog.sinks", "from bff.settings import Settings"),
        ("upwards", "bff.auth.tokens", "from bff.settings import Settings"),
        ("upwards", "bff.auth.keys", "from bff.resilience.stack import Clock"),
        ("upwards", "clients.http", "from bff.resilience.stack import Clock"),
        ("upwards", "bff.metrics", "from bff.api.problems import problem"),
        ("makes", "bff.api.products", "from bff.wiring import build"),
        ("makes", "bff.api.products", "from bff import wiring"),
        ("plays", "bff.serve", "from bff.demo.catalog import Catalog"),
        ("speaks_http", "clients.source", "import httpx"),
        ("asks_redis", "bff.product.podsfence", "from redis.asyncio import Redis"),
        ("speaks_http", "bff.product.upstream", "from httpx import URL"),
        ("upwards", "bff.durable.desk", "from bff.api.changes import view"),
        ("upwards", "bff.durable.desk", "from bff.metrics import Metrics"),
        ("upwards", "bff.product.writing", "from bff.durable.desk import Desk"),
        ("drives", "bff.durable.worker", "def late():\n    from dbos import DBOS"),
        ("asks_postgres", "bff.durable.database", "import psycopg"),
    ],
)
def test_control_a_module_that_breaks_the_rule_is_found(rule: str, name: str, text: str) -> None:
    assert len(broken(rule, {name: text})) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bff.resilience.retry", "from bff.resilience.budget import RetryBudget\nfrom . import errors"),
        ("bff.auth.jwts", "from bff.auth.caller import Principal\nimport jwt"),
        ("bff.values", "from bff.auth.tokens import Token"),
        ("bff.product.upstream", "from bff.cache.entry import Entry\nfrom clients.source import Caller"),
        ("bff.cli", "from bff.demo import screen\nimport bff.wiring"),
        ("clients.http", "import httpx"),
        ("bff.cache.redis.lane", "from redis.exceptions import RedisError"),
        ("bff.product.shared", "from bff.cache.redis.tier import RedisTier"),
        ("bff.durable.doing", "from bff.product.writing import Writing\nfrom clients.errors import UpstreamError"),
        ("bff.durable.engine", "def late():\n    from dbos import DBOS"),
        ("bff.durable.postgres", "import psycopg"),
        ("bff.api.products", "import httpx_like, bffx.wiring"),
    ],
)
def test_control_a_module_that_keeps_them_is_not(name: str, text: str) -> None:
    assert [found for rule in RULES for found in broken(rule, {name: text})] == []


def test_the_modules_are_all_seen() -> None:
    some = {"bff.wiring.service", "bff.api.products", "bff.resilience.retry", "clients.http", "bff.demo.source"}
    assert some <= first_party().keys()
