"""The contract: "Views": one JSON line for each view, in the file."""

import asyncio
import json
import re
from typing import Any

from tests.harness import Bff, bff, until
from tests.upstreams import always

PAGE, AGG = "/api/v1/products/1001", "/api/v1/products/agg/1001"


def views(service: Bff) -> list[Any]:
    """Return what is in the files, whole lines alone."""
    text = "".join(file.read_text() for file in sorted(service.data.glob("views/*.jsonl")))
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


async def written(service: Bff, count: int) -> list[Any]:
    async def there() -> bool:
        return len(views(service)) >= count

    await until(there)
    return views(service)


async def test_a_view_is_a_line_with_these_members_and_no_others() -> None:
    async with bff() as service:
        await service.get(AGG, {"X-Request-Id": "mine", "User-Agent": "s3cret", "X-Forwarded-For": "192.0.2.7"})
        (view,) = await written(service, 1)
    assert view.keys() == {"at", "sku_id", "request_id", "client", "complete"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", view["at"])
    assert (view["sku_id"], view["request_id"], view["client"], view["complete"]) == ("1001", "mine", "other", True)


async def test_the_client_is_compared_without_case() -> None:
    sent = ["mobile", "MOBILE", "Web", "web", "tablet", "", "mobile,web", "mobile web", None]
    async with bff() as service:
        for text in sent:
            await service.get(AGG, {} if text is None else {"X-Client": text})
        found = [view["client"] for view in await written(service, len(sent))]
    assert found[:6] == ["mobile", "mobile", "web", "web", "other", "other"]
    assert found[6:] == ["other"] * 3


async def test_a_304_is_a_view_and_head_the_plain_page_and_errors_are_none() -> None:
    async with bff(info__required=True) as service:
        etag = (await service.get(PAGE)).headers["etag"]
        assert (await service.get(AGG, {"If-None-Match": etag, "X-Request-Id": "not-modified"})).status == 304
        assert (await service.get(AGG, method="HEAD")).status == 200
        assert (await service.get(AGG, {"If-None-Match": etag}, method="HEAD")).status == 304
        assert (await service.get(AGG, method="POST")).status == 405
        assert (await service.get("/api/v1/products/agg/-")).status == 422
        assert (await service.get("/api/v1/products/agg")).status == 422
        assert (await service.get("/api/v1/products/agg/agg")).status == 422
        service.info.script = always("no", 404)
        assert (await service.get("/api/v1/products/agg/1002")).status == 404
        service.info.script = always("no", 500)
        assert (await service.get("/api/v1/products/agg/1003")).status == 502
        assert (await service.get(AGG, {"X-Request-Id": "last"})).status == 200
        found = await written(service, 2)
        assert [view["request_id"] for view in found] == ["not-modified", "last"]
        await until(lambda: _counted(service, 2))


async def test_a_page_that_is_not_complete_is_a_view_that_says_so() -> None:
    async with bff(stock=always("no", 500)) as service:
        await service.get(AGG)
        (view,) = await written(service, 1)
    assert view["complete"] is False


async def test_every_view_is_written_once_also_those_just_before_the_stop() -> None:
    async with bff() as service:
        for _ in range(4):
            await asyncio.gather(*(service.get(AGG) for _ in range(25)))
        ids = len(await written(service, 75))
        folder = service.data / "views"
        assert ids >= 75
        await written(service, 100)
        assert len({view["request_id"] for view in views(service)}) == 100
        assert all(file.stat().st_mode & 0o022 == 0 for file in folder.iterdir())


async def test_views_that_cannot_be_written_cost_no_request_and_are_counted() -> None:
    async with bff() as service:
        folder = service.data / "views"
        for file in folder.glob("*"):
            file.unlink()
        if folder.exists():
            folder.rmdir()
        folder.write_text("in the way")
        assert (await service.get(AGG)).status == 200
        await until(lambda: _failed(service))
        assert (await service.get(AGG)).status == 200
        folder.unlink()
        folder.mkdir()
        await written(service, 2)


async def _failed(service: Bff) -> bool:
    return await service.metric("bff_view_events_total", outcome="failed") > 0


async def _counted(service: Bff, count: int) -> bool:
    return await service.metric("bff_view_events_total", outcome="written") == count
