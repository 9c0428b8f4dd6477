"""A SKU in a path, ahead of the router: what FastAPI itself would take there, and nothing else."""

from fastapi import FastAPI
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import Message, Scope

from bff.api.products import FORMS, form_of
from bff.api.sku import SkuInPath, is_sku

letters = st.sampled_from("aZ09._-") | st.characters(exclude_categories=["Cs"])
texts = st.text(letters, max_size=70) | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,66}\n?")
APP = FastAPI()


@APP.get("/{sku_id}")
async def product(sku_id: SkuInPath) -> str:
    return sku_id


def taken_by_fastapi(sku: str) -> bool:
    """Ask for a path of one segment; a coroutine that waits for nothing is run by one step."""
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope: Scope = {"type": "http", "method": "GET", "path": f"/{sku}", "query_string": b"", "headers": []}
    try:
        APP(scope, receive, send).send(None)
    except StopIteration:
        return statuses == [200]
    raise AssertionError("nothing here waits")


@given(texts)
@example("1001")
@example("1001\n")
@example("")
@example("agg")
@example("agg\n")
@example("Agg")
@example("٣")  # a digit, and none of ours
@example("1٣")
@example("..")
@example("1" * 64)
@example("1" * 65)
@example("1" * 64 + "\n")
@example("1\r")
@example("1\u2028")
@example("1/2")
@example("\x00")
def test_a_sku_is_what_fastapi_takes_for_one_in_a_path(sku: str) -> None:
    assert is_sku(sku) == taken_by_fastapi(sku)


@given(st.sampled_from([form.folder for form in FORMS]), texts)
@example(FORMS[0].folder, "agg")
@example(FORMS[0].folder, "agg/1")
@example(FORMS[1].folder, "agg")
@example(FORMS[1].folder, "agg/1")
def test_a_path_asks_for_a_page_exactly_where_a_sku_follows_a_forms_folder(folder: str, rest: str) -> None:
    found = form_of(f"{folder}/{rest}")
    if is_sku(rest):
        assert found is not None
        assert (found[0].folder, found[1]) == (folder, rest)
    elif found is not None:  # the longer folder begins with the shorter one
        assert (folder, f"{folder}/{rest}") == (FORMS[0].folder, f"{FORMS[1].folder}/{found[1]}")
        assert is_sku(found[1])
