"""What a call upstream can end in, besides an answer.

    UpstreamError
    +-- Unavailable      refused, reset, broken off, 5xx
    +-- Garbled          not JSON, of another shape, for another SKU, too large
    +-- Rejected         any other status, redirects too
        +-- Postponed    408, 425: the same call may do better
        +-- Throttled    429

A call that runs out of time is the caller's `TimeoutError`: no client here bounds its own time.
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


class Garbled(UpstreamError):
    """The source answered something that is no part of a page."""


class Rejected(UpstreamError):
    """The source answered a status that means neither a part nor its absence."""


class Postponed(Rejected):
    """The source answered 408 or 425."""


class Throttled(Rejected):
    """The source answered 429."""
