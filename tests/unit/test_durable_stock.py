"""The play that tests of reservations are played in."""

from tests.unit.durable_shop import Shop, lives
from tests.unit.durable_stock import Stock


async def test_what_is_there_is_sold_and_what_is_not_is_refused() -> None:
    shop = Shop(Stock({"7": 3}))
    for number in range(5):
        shop.reserve(f"{number}", "7")
    shop.reserve("unknown", "8")
    await lives(shop)
    assert shop.faults() == []
    assert shop.tables.rows("select state, reason, count(*) from bff_reservations group by 1, 2 order by 1, 2") == [
        ("confirmed", None, 3),
        ("rejected", "insufficient", 2),
        ("rejected", "unknown_sku", 1),
    ]
    assert shop.trace.count("deduct") == 2


async def test_what_died_with_its_process_is_found_by_another() -> None:
    for plan in ({3: "crash"}, {3: "crash, and started again"}):
        shop = Shop(Stock({"7": 3}), plan)
        shop.reserve("1", "7")
        await lives(shop)
        assert shop.faults() == []
        assert shop.stock.taken == {"1": ("7", 1)}
