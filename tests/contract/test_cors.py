"""The contract: `BFF_CORS__ORIGINS`: none, or those that are listed."""

from tests.harness import Answer, Bff, bff
from tests.upstreams import always

PAGE = "/api/v1/products/1001"
SHOP = "https://shop.example"
EXPOSED = {"ETag", "Retry-After", "X-Request-Id", "Cache-Status", "Server-Timing", "Location", "Idempotent-Replayed",
           "Date", "Age"}  # fmt: skip


async def preflight(service: Bff, origin: str, method: str = "GET") -> Answer:
    headers = {"Origin": origin, "Access-Control-Request-Method": method,
               "Access-Control-Request-Headers": "if-none-match"}  # fmt: skip
    return await service.get(PAGE, headers, method="OPTIONS")


async def test_without_the_setting_there_is_no_cors() -> None:
    async with bff() as service:
        for answer in (await service.page("1001", Origin=SHOP), await preflight(service, SHOP)):
            assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert (await preflight(service, SHOP)).status == 405


async def test_listed_origins_may_read_answers_and_the_listed_headers() -> None:
    async with bff(cors__origins=[SHOP, "http://localhost:3000"], info=always("no", 404)) as service:
        service.info.script = always("no", 404)
        for origin in (SHOP, "http://localhost:3000"):
            for target in (PAGE, "/no/such", "/api/v1/products/-"):
                answer = await service.get(target, {"Origin": origin})
                assert answer.headers["access-control-allow-origin"] == origin
                assert set(answer.headers["access-control-expose-headers"].split(", ")) == EXPOSED
                assert "Origin" in answer.headers["vary"]


async def test_a_page_keeps_its_own_vary_beside_the_origin() -> None:
    async with bff(cors__origins=[SHOP]) as service:
        vary = (await service.page("1001", Origin=SHOP)).headers["vary"]
    assert {"Accept", "Accept-Encoding", "Origin"} <= {name.strip() for name in vary.split(",")}


async def test_other_origins_may_not() -> None:
    async with bff(cors__origins=[SHOP]) as service:
        for origin in ("https://evil.example", f"{SHOP}.evil.example", "null", "http://shop.example", f"{SHOP}:8443"):
            answer = await service.page("1001", Origin=origin)
            assert answer.status == 200
            assert "access-control-allow-origin" not in answer.headers
            assert "access-control-allow-origin" not in (await preflight(service, origin)).headers


async def test_a_preflight_is_204_and_kept_ten_minutes() -> None:
    async with bff(cors__origins=[SHOP]) as service:
        answer = await preflight(service, SHOP)
        assert service.info.seen == []
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-max-age"] == "600"
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert "GET" in answer.headers["access-control-allow-methods"]
    assert "if-none-match" in answer.headers["access-control-allow-headers"].lower()
    assert answer.headers["x-request-id"]


async def test_a_304_may_be_read_too() -> None:
    async with bff(cors__origins=[SHOP]) as service:
        answer = await service.page("1001", Origin=SHOP, If_None_Match="*")
    assert answer.status == 304
    assert answer.headers["access-control-allow-origin"] == SHOP
