"""Every setting, its type and its default: what docs/configuration.md says, as values that cannot be wrong."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bff.values import (
    Amounts,
    BulkBody,
    Count,
    DatabaseUrl,
    ExecutorId,
    FieldMap,
    File,
    Flag,
    Headers,
    ItemPointer,
    Origins,
    Port,
    RedisUrl,
    Seconds,
    SecondsOrZero,
    Share,
    SkusUrl,
    SkuUrl,
    Statuses,
    Tokens,
    Url,
    Whole,
)

PREFIX = "BFF_"
NESTING = "__"
DEFAULT_ATTEMPT_SECONDS = 0.6


class Section(BaseModel):
    """A group of settings; refuses to change once read."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)


class CircuitSettings(Section):
    """When a source's circuit opens. slow_seconds: the attempt timeout where unset."""

    failure_ratio: Annotated[Share, Field(gt=0)] = 0.5
    min_attempts: Count = 20
    window_seconds: Seconds = 10
    slow_seconds: Seconds | None = None
    open_seconds: Seconds = 5
    probes: Count = 3


class SourceSettings(Section):
    """One source: where it is, how it is called, how long its answers live, what it speaks."""

    url: SkuUrl
    bulk_url: SkusUrl | None = None
    bulk_method: Literal["GET", "POST"] = "GET"
    bulk_body: BulkBody = None
    bulk_size: Count = 100
    bulk_items: ItemPointer = None
    required: Flag = False
    attempt_timeout_seconds: Seconds | None = None
    attempts: Annotated[Count, Field(le=10)] = 2
    concurrency: Count = 64
    queue: Whole = 256
    connection_seconds: Seconds = 60
    idle_seconds: Seconds = 4
    fresh_seconds: SecondsOrZero
    revalidate_seconds: SecondsOrZero
    stale_seconds: SecondsOrZero
    not_found_seconds: SecondsOrZero
    retry_ratio: Share = 0.2
    retry_floor: Whole = 10
    circuit: CircuitSettings = CircuitSettings()
    max_body_bytes: Count = 65536
    max_bulk_bytes: Count = 4_194_304
    headers: Headers = Field(default=(), repr=False)
    headers_file: File | None = None
    tls_ca_file: File | None = None
    tls_cert_file: File | None = None
    tls_key_file: File | None = None
    item: ItemPointer = None
    map: FieldMap = {}
    sku_check: Literal["strict", "loose"] = "strict"
    not_found_status: Statuses = frozenset({404})
    write_url: SkuUrl | None = None
    write_timeout_seconds: Seconds = 5


class InfoSettings(SourceSettings):
    """The info service."""

    required: Flag = True
    fresh_seconds: SecondsOrZero = 60
    revalidate_seconds: SecondsOrZero = 300
    stale_seconds: SecondsOrZero = 86400
    not_found_seconds: SecondsOrZero = 5


class PriceSettings(SourceSettings):
    """The price service."""

    fresh_seconds: SecondsOrZero = 5
    revalidate_seconds: SecondsOrZero = 5
    stale_seconds: SecondsOrZero = 120
    not_found_seconds: SecondsOrZero = 5
    amounts: Amounts = "number"


class StockSettings(SourceSettings):
    """The stock service. deduct_url and release_url are set together or not at all."""

    fresh_seconds: SecondsOrZero = 2
    revalidate_seconds: SecondsOrZero = 0
    stale_seconds: SecondsOrZero = 5
    not_found_seconds: SecondsOrZero = 1
    deduct_url: Url | None = None
    release_url: Url | None = None


class CacheSettings(Section):
    """The memory tier's bounds, whichever is met first."""

    max_entries: Count = 100_000
    max_bytes: Count = 268_435_456


class ViewLogSettings(Section):
    """Where views are written, and how many bytes of them are kept."""

    sink: Literal["jsonl", "stdout"] = "jsonl"
    max_bytes: Count = 1_073_741_824


class LogSettings(Section):
    """The log. format: text on a terminal and json elsewhere, where unset."""

    format: Literal["json", "text"] | None = None
    level: Literal["debug", "info", "warning", "error"] = "info"
    access: Literal["some", "all"] = "some"


class InvalidationSettings(Section):
    """When what changed is deleted once more."""

    second_delete_seconds: SecondsOrZero = 3


class WorkerSettings(Section):
    """Who does durable work. embedded: whether `serve` does; with SQLite where unset, and not with Postgres."""

    embedded: Flag | None = None


class ChangesSettings(Section):
    """How long a change is tried: each part so many times, and each undoing for so long."""

    attempts: Annotated[Count, Field(le=10)] = 5
    undo_seconds: Seconds = 60


class ReservationsSettings(Section):
    """How many may be queued, how long each may, and how many a second are sent; as many as come where unset."""

    max_queued: Count = 100_000
    max_age_seconds: Seconds = 300
    rate: Seconds | None = None


class RetentionSettings(Section):
    """How long what has ended is kept; never shorter than its idempotency key."""

    seconds: Seconds = 604_800


class AuthSettings(Section):
    """Whose bearer tokens are taken; nobody's where unset. The last three are set together or not at all."""

    tokens: Tokens = Field(default=(), repr=False)
    jwks_url: Url | None = None
    issuer: str | None = None
    audience: str | None = None


class CorsSettings(Section):
    """Which origins may read answers in a browser; none where unset."""

    origins: Origins = ()


class Settings(BaseSettings):
    """The whole configuration of one process."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    info: InfoSettings
    price: PriceSettings
    stock: StockSettings
    deadline_seconds: Seconds = 0.8
    grace_seconds: SecondsOrZero = 15
    host: str = "127.0.0.1"
    port: Port = 8000
    admin_host: str = "127.0.0.1"
    admin_port: Port = 9000
    data_dir: Path = Path("var")
    cache: CacheSettings = CacheSettings()
    redis_url: RedisUrl | None = Field(default=None, repr=False)
    database_url: DatabaseUrl | None = Field(default=None, repr=False)
    executor_id: ExecutorId | None = None
    worker: WorkerSettings = WorkerSettings()
    changes: ChangesSettings = ChangesSettings()
    reservations: ReservationsSettings = ReservationsSettings()
    retention: RetentionSettings = RetentionSettings()
    invalidation: InvalidationSettings = InvalidationSettings()
    view_log: ViewLogSettings = ViewLogSettings()
    log: LogSettings = LogSettings()
    auth: AuthSettings = AuthSettings()
    cors: CorsSettings = CorsSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values only from `bff.environment.load`, which has looked at their names first."""
        return (init_settings,)

    @property
    def embedded(self) -> bool:
        """Whether `serve` does durable work itself."""
        return self.database_url is None if self.worker.embedded is None else self.worker.embedded

    @property
    def authenticates(self) -> bool:
        """Whether anybody may write, so that there is durable work at all."""
        return bool(self.auth.tokens) or self.auth.jwks_url is not None

    def attempt_seconds(self, source: SourceSettings) -> float:
        """Return how long one attempt at a source may take."""
        return source.attempt_timeout_seconds or min(DEFAULT_ATTEMPT_SECONDS, self.deadline_seconds)
