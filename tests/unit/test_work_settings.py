"""The settings of durable work: who does it, where it is kept, and what does not go together."""

import pytest

from tests.unit.test_environment import problems, read

POSTGRES = "postgresql://bff:s3cret@db.test:5432/bff?sslmode=require"
DEDUCT, RELEASE = "BFF_STOCK__DEDUCT_URL", "BFF_STOCK__RELEASE_URL"


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = read()
    assert (settings.database_url, settings.executor_id, settings.worker.embedded) == (None, None, None)
    assert (settings.stock.deduct_url, settings.stock.release_url) == (None, None)
    own = settings.reservations
    assert (own.max_queued, own.max_age_seconds, own.rate) == (100_000, 300, None)


def test_work_is_done_where_it_is_accepted_with_sqlite_and_not_with_postgres_unless_it_is_said() -> None:
    named = {"BFF_DATABASE_URL": POSTGRES, "BFF_EXECUTOR_ID": "pod-1"}
    assert read().embedded
    assert not read(**named).embedded
    assert read(**named, BFF_WORKER__EMBEDDED="true").embedded


def test_there_is_durable_work_where_somebody_may_write() -> None:
    assert not read().authenticates
    token = '{"a": {"token": "x", "scopes": []}}'
    jwts = {"JWKS_URL": "https://issuer.test/keys", "ISSUER": "i", "AUDIENCE": "a"}
    assert read(BFF_AUTH__TOKENS=token).authenticates
    assert read(**{f"BFF_AUTH__{name}": value for name, value in jwts.items()}).authenticates


def test_a_worker_needs_a_name_with_postgres() -> None:
    assert problems(BFF_DATABASE_URL=POSTGRES).keys() == {"BFF_EXECUTOR_ID"}


def test_sqlite_is_worked_on_by_the_process_that_holds_it() -> None:
    assert problems(BFF_WORKER__EMBEDDED="false").keys() == {"BFF_WORKER__EMBEDDED"}
    assert not problems(BFF_WORKER__EMBEDDED="true")


@pytest.mark.parametrize(("given", "missing"), [(DEDUCT, RELEASE), (RELEASE, DEDUCT)])
def test_what_deducts_must_be_able_to_release(given: str, missing: str) -> None:
    assert problems(**{given: "http://stock.test/x"}).keys() == {missing}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("BFF_DATABASE_URL", url) for url in ("sqlite:///x", "postgresql://", "postgresql://h:0/x", "db.test", "é")),
        *(("BFF_DATABASE_URL", f"postgresql://h{end}/s3cret") for end in (":99999", ":x", " ", "[")),
        ("BFF_DATABASE_URL", "postgresql://u:s3%zzcret@h/x"),
        *((name, "http://stock.test/{sku}") for name in (DEDUCT, RELEASE)),
        *(("BFF_EXECUTOR_ID", name) for name in ("a b", "é", "a/b", "a" * 65, "a\n")),
        *(("BFF_CHANGES__ATTEMPTS", number) for number in ("0", "11", "1.5", "-1")),
        *(("BFF_RESERVATIONS__RATE", number) for number in ("0", "-1", "nan", "inf", "1e3")),
        ("BFF_RESERVATIONS__MAX_QUEUED", "0"),
        ("BFF_RESERVATIONS__MAX_AGE_SECONDS", "0"),
        ("BFF_CHANGES__UNDO_SECONDS", "0"),
        ("BFF_RETENTION__SECONDS", "0"),
        (DEDUCT, "ftp://stock.test/x"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name_and_never_with_its_value(name: str, value: str) -> None:
    found = problems(**{name: value})
    assert name in found
    assert "s3cret" not in found[name]


def test_a_databases_password_is_in_no_repr() -> None:
    assert "s3cret" not in repr(read(BFF_DATABASE_URL=POSTGRES, BFF_EXECUTOR_ID="pod-1"))
