"""The contract: the commands, their exit codes, and the life of the service as a process."""

import asyncio
import re
import signal
import socket
from typing import Any

from tests.contract.process import UNUSED, run, serving
from tests.harness import Answer, request, until
from tests.upstreams import after, always, parts, upstream

URL = r"http://127\.0\.0\.1:[1-9][0-9]*"


async def get(url: str, target: str) -> Answer | None:
    """Ask, and return None where nobody listens."""
    try:
        return await request(url, "GET", target)
    except (OSError, IndexError):
        return None


async def ready(url: str) -> int | None:
    answer = await get(url, "/readyz")
    return answer.status if answer else None


async def test_serve_prints_where_it_listens_and_a_signal_ends_it_with_0() -> None:
    async with serving() as service:
        assert re.fullmatch(URL, service.public)
        assert re.fullmatch(URL, service.admin)
        assert service.public != service.admin
        assert await ready(service.admin) == 200
        service.process.send_signal(signal.SIGTERM)
        ended = await service.end()
    assert (ended.code, ended.out) == (0, "")


async def test_a_stop_turns_readiness_closes_the_public_listener_and_lets_requests_finish() -> None:
    async with upstream(after(2.0, parts("info"))) as info:
        urls: dict[str, Any] = {
            "BFF_INFO__URL": info.template,
            "BFF_DEADLINE_SECONDS": "5",
            "BFF_INFO__ATTEMPT_TIMEOUT_SECONDS": "5",
        }
        async with serving(settings=urls) as service:
            page = asyncio.ensure_future(get(service.public, "/api/v1/products/1001"))
            await until(lambda: _true(bool(info.seen)))
            service.process.send_signal(signal.SIGTERM)
            await until(lambda: _holds(ready(service.admin), 503))
            await until(lambda: _holds(get(service.public, "/openapi.json"), None))
            assert not page.done()
            answer = await page
            ended = await service.end()
    assert answer is not None
    assert answer.status == 200
    assert ended.code == 0


async def test_a_second_signal_ends_it_at_once() -> None:
    async with upstream(after(60, parts("info"))) as info:
        urls: dict[str, Any] = {"BFF_INFO__URL": info.template, "BFF_DEADLINE_SECONDS": "60", "BFF_GRACE_SECONDS": "60"}
        urls["BFF_INFO__ATTEMPT_TIMEOUT_SECONDS"] = "60"
        async with serving(settings=urls) as service:
            page = asyncio.ensure_future(get(service.public, "/api/v1/products/1001"))
            await until(lambda: _true(bool(info.seen)))
            service.process.send_signal(signal.SIGTERM)
            await until(lambda: _holds(ready(service.admin), 503))
            service.process.send_signal(signal.SIGTERM)
            ended = await service.end()
            await asyncio.gather(page, return_exceptions=True)
    assert ended.code != 0


async def test_grace_ends_requests_that_do_not() -> None:
    async with upstream(after(60, parts("info"))) as info:
        urls: dict[str, Any] = {
            "BFF_INFO__URL": info.template,
            "BFF_DEADLINE_SECONDS": "60",
            "BFF_GRACE_SECONDS": "0.3",
        }
        urls["BFF_INFO__ATTEMPT_TIMEOUT_SECONDS"] = "60"
        async with serving(settings=urls) as service:
            page = asyncio.ensure_future(get(service.public, "/api/v1/products/1001"))
            await until(lambda: _true(bool(info.seen)))
            service.process.send_signal(signal.SIGTERM)
            ended = await service.end()
            await asyncio.gather(page, return_exceptions=True)
    assert ended.code == 0


async def test_options_override_the_environment() -> None:
    taken = {"BFF_HOST": "192.0.2.1", "BFF_ADMIN_HOST": "192.0.2.1", "BFF_PORT": "1", "BFF_ADMIN_PORT": "1"}
    options = ("--host", "127.0.0.1", "--port", "0", "--admin-host", "127.0.0.1", "--admin-port", "0")
    async with serving(*options, settings=taken) as service:
        assert await ready(service.admin) == 200


async def test_refused_settings_exit_with_2_a_line_each_on_standard_error_without_values() -> None:
    wrong = {"BFF_PORT": "s3cret", "BFF_NO_SUCH": "s3cret", "BFF_INFO__URL": "s3cret"}
    for ended in await asyncio.gather(*(run(command, settings={**UNUSED, **wrong}) for command in ("serve", "check"))):
        assert (ended.code, ended.out) == (2, "")
        assert sorted(line.partition(":")[0] for line in ended.err.splitlines()) == sorted(wrong)
        assert "s3cret" not in ended.err


async def test_refused_options_exit_with_2_and_are_named() -> None:
    ended = await run("serve", "--port", "s3cret", "--admin-port", "70000")
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 2
    assert re.search(r"--port|BFF_PORT", ended.err)
    assert re.search(r"--admin-port|BFF_ADMIN_PORT", ended.err)
    assert "s3cret" not in ended.err
    assert "70000" not in ended.err
    assert (await run("serve", "--no-such")).code == 2


async def test_a_port_that_is_taken_exits_with_1_and_names_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for name, other in (("BFF_PORT", "BFF_ADMIN_PORT"), ("BFF_ADMIN_PORT", "BFF_PORT")):
            ended = await run("serve", settings={**UNUSED, name: port, other: "0"})
            assert (ended.code, ended.out) == (1, "")
            assert re.search(rf"\b{name}\b", ended.err)


async def test_check_reaches_every_upstream_with_its_own_sku() -> None:
    async with (
        upstream(parts("info")) as well,
        upstream(always("no", 404)) as unknown,
        upstream(parts("stock")) as third,
    ):
        urls: dict[str, Any] = {
            "BFF_INFO__URL": well.template,
            "BFF_PRICE__URL": unknown.template,
            "BFF_STOCK__URL": third.template,
        }
        ended = await run("check", settings=urls)
        assert [seen.sku for up in (well, unknown, third) for seen in up.seen] == ["bff-check"] * 3
    assert (ended.code, ended.err) == (0, "")
    assert all(any(line.startswith(name) for line in ended.out.splitlines()) for name in ("info", "price", "stock"))


async def test_check_fails_where_one_upstream_does() -> None:
    async with upstream(parts("info")) as well, upstream(always("no", 500)) as broken:
        urls: dict[str, Any] = {"BFF_INFO__URL": well.template, "BFF_PRICE__URL": broken.template}
        ended = await run("check", settings={**UNUSED, **urls})
    assert ended.code == 1
    assert len(ended.out.splitlines()) >= 3


async def test_check_of_settings_alone_reaches_nothing() -> None:
    async with upstream(parts("info")) as info:
        ended = await run("check", "--settings", settings={**UNUSED, "BFF_INFO__URL": info.template})
        assert info.seen == []
    assert ended.code == 0


async def test_views_go_to_standard_output_where_that_is_the_sink() -> None:
    async with upstream(parts("info")) as info:
        settings: dict[str, Any] = {"BFF_INFO__URL": info.template, "BFF_VIEW_LOG__SINK": "stdout"}
        async with serving(settings=settings) as service:
            await get(service.public, "/api/v1/products/agg/1001")
            service.process.send_signal(signal.SIGTERM)
            ended = await service.end()
    assert re.fullmatch(r'\{"at":"[^"]*","sku_id":"1001","request_id":"[^"]*","client":"other",.*\}\n', ended.out)


async def _true(found: bool) -> bool:  # noqa: FBT001 - what `until` looks at
    return found


async def _holds(asked: object, expected: object) -> bool:
    assert asyncio.iscoroutine(asked)
    return bool(await asked == expected)
