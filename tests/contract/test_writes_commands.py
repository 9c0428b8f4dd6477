"""The contract: writing to the service as a process: a stop in the middle, and the settings."""

import asyncio
import signal

import pytest

from tests.contract.process import UNUSED, run, serving
from tests.contract.test_events import TOKENS
from tests.contract.test_writes import TYPE, WRITER, path
from tests.harness import Answer, request, until
from tests.upstreams import Seen, hang, response, upstream

SETTINGS = {"BFF_AUTH__TOKENS": str(TOKENS).replace("'", '"')}


async def put(url: str) -> Answer:
    return await request(url, "PUT", path("price"), (TYPE, WRITER), b'{"price": 7}')


@pytest.mark.parametrize(("grace", "status"), [("5", 200), ("0.2", 504)])
async def test_a_stop_lets_a_write_end_and_says_nothing_that_is_not_known(grace: str, status: int) -> None:
    ended: list[bool] = []

    async def owner(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1)
        writer.write(response(seen.body))
        await writer.drain()
        ended.append(True)  # else it was left in the middle

    async with upstream(owner) as price:
        own = {"BFF_PRICE__URL": price.template, "BFF_GRACE_SECONDS": grace, **SETTINGS}
        async with serving(settings=own) as service:
            call = asyncio.ensure_future(put(service.public))

            async def sent() -> bool:
                return bool(price.seen)

            await until(sent)
            service.process.send_signal(signal.SIGTERM)
            assert (await call).status == status
            assert (await service.end()).code == 0
    assert ended == [True]


async def test_a_stop_waits_for_no_write_longer_than_its_time() -> None:
    async with upstream(hang) as price:
        own = {"BFF_PRICE__URL": price.template, "BFF_PRICE__WRITE_TIMEOUT_SECONDS": "0.5", **SETTINGS}
        async with serving(settings={**own, "BFF_GRACE_SECONDS": "0.1"}) as service:
            call = asyncio.ensure_future(put(service.public))

            async def sent() -> bool:
                return bool(price.seen)

            await until(sent)
            service.process.send_signal(signal.SIGTERM)
            assert (await call).status == 504
            assert (await service.end()).code == 0


async def test_a_write_timeout_of_nothing_and_a_url_without_its_place_are_refused() -> None:
    wrong = {"BFF_PRICE__WRITE_TIMEOUT_SECONDS": "0", "BFF_PRICE__WRITE_URL": "http://s3cret/price"}
    ended = await run("serve", settings={**UNUSED, **wrong})
    assert (ended.code, ended.out) == (2, "")
    assert sorted(line.partition(":")[0] for line in ended.err.splitlines()) == sorted(wrong)
    assert "s3cret" not in ended.err
