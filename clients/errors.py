"""What a call upstream can end in, besides an answer.

    UpstreamError
    +-- Unavailable      refused, reset, broken off, 5xx; of a write 5xx
    |   +-- Vague        a write was answered by a 2xx that does not say that it is stored
    +-- NotSent          a write of which nothing left: refused, no such name, no connection in time
    +-- Unknown          a write that was sent and not answered: no telling whether it is stored
    +-- Garbled          not JSON, of another shape, for another SKU, too large
    +-- Rejected         any other status, redirects too
        +-- Postponed    408, 425: the same call may do better
        +-- Throttled    429

    Unwritable           a source whose shape is read and cannot be written
    Wrong                a part that a client of ours gave, and that is none

A read that runs out of time is the caller's `TimeoutError`: no client here bounds its own time. A write does, since
what its end means is known here alone: NotSent or Unknown.
"""


class UpstreamError(Exception):
    """A source answered badly or not at all.

    retry_after: seconds that the source asked to be left alone, 0 where it asked nothing.
    """

    def __init__(self, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(UpstreamError):
    """The source could not be reached, broke off, or answered 5xx."""


class Vague(Unavailable):
    """The source answered a write by a success that does not say that it is stored: it may be yet."""


class NotSent(UpstreamError):
    """Nothing of a write was sent, so that it may be sent again."""


class Unknown(UpstreamError):
    """A write was sent, and its answer did not come whole or in time."""


class Garbled(UpstreamError):
    """The source answered something that is no part of a page."""


class Rejected(UpstreamError):
    """The source answered a status that means neither a part nor its absence."""


class Postponed(Rejected):
    """The source answered 408 or 425."""


class Throttled(Rejected):
    """The source answered 429."""


class Unwritable(Exception):
    """A source's shape cannot be written back; the text says which of its settings is in the way."""


class Wrong(Exception):
    """What a client gave is no part.

    errors: each field, "" for the whole, and what is wrong with it.
    """

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {message}" if name else message for name, message in errors))
        self.errors = errors
