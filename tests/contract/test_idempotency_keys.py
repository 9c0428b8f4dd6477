"""The contract: what an `Idempotency-Key` is, and what is none."""

from tests.contract.durable import CHANGES, look, queued, selling
from tests.contract.owners import Till
from tests.contract.test_idempotency import ROUTES, is_replay, post
from tests.contract.test_problems import is_problem

GOOD_KEYS = [
    ("k", '"k"'), ("a-B_c.1~", '"a-B_c.1~"'), ("two words", '"two words"'), ("x" * 255, f'"{"x" * 255}"'),
    ('in"side', '"in\\"side"'), ("a\\b", '"a\\\\b"'), ("8e03978e-40d5-43dd-bc93-6894a57f9324",) * 2, ("0", '"0"'),
    ("a,b", '"a,b"'), ("!", '"!"'), ("~", '"~"'), (":1:", '":1:"'), ("NULL", '"NULL"'),
]  # fmt: skip


async def test_the_quoted_and_the_bare_form_are_one_key_and_each_other_one_is_another() -> None:
    async with selling(Till()) as service:
        for target, caller, body, _ in ROUTES:
            ids = set()
            for bare, quoted in GOOD_KEYS:
                first = await post(service, target, caller, body, bare)
                assert (first.status, bare) == (202, bare)
                assert "idempotent-replayed" not in first.headers
                for again in (bare, quoted, f"  {quoted} ", f"\t{bare}"):
                    is_replay(await post(service, target, caller, body, again), first)
                ids.add(first.json["id"])
            assert len(ids) == len(GOOD_KEYS)
            for written, other in (("Case", "case"), ('" k"', "k"), ('"k "', "k"), ('"\\"k\\""', "k")):
                one, two = [await post(service, target, caller, body, key) for key in (written, other)]
                assert one.json["id"] != two.json["id"]


BAD_KEYS: list[tuple[str, ...]] = [
    (), ("",), (" ",), ("\t",), ('""',), ('"',), ('"k',), ('k"k"' * 70,), ("x" * 256,), (f'"{"x" * 256}"',),
    ("a\tb",), ('"a\tb"',), ("caf\u00e9",), ('"\u20ac"',), ('"a"b"',), ('"a\\b"',), ('"a\\"',),
    ("k", "k"), ("k", "l"), ('"k"', "k"), ('"k";a=1',), ('"k", "l"',), (":aw==:\u00ff",),
]  # fmt: skip


async def test_a_key_that_is_none_is_400_and_nothing_is_accepted() -> None:
    till = Till()
    async with selling(till) as service:
        for target, caller, body, _ in ROUTES:
            for keys in BAD_KEYS:
                answer = await post(service, target, caller, body, *keys)
                assert (answer.status, keys) == (400, keys)
                is_problem(answer, 400, "key-missing", target)
        assert (await look(service, CHANGES))["items"] == []
        assert await queued(service) == 0
