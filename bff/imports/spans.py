"""Numbers that have been seen, as the spans that they make: nearly all of a file's rows are one."""

from bisect import bisect_right


class Spans:
    """A set of whole numbers; it takes as much memory as it has gaps."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._count = 0

    def __repr__(self) -> str:
        return f"<Spans {', '.join(f'{first}-{last}' for first, last in zip(self._firsts, self._lasts, strict=True))}>"

    def __len__(self) -> int:
        return self._count

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number)
        return at > 0 and number <= self._lasts[at - 1]

    def add(self, number: int) -> bool:
        """Add a number; return whether it is new."""
        if number in self:
            return False
        self._count += 1
        at = bisect_right(self._firsts, number)
        before = at > 0 and self._lasts[at - 1] == number - 1
        after = at < len(self._firsts) and self._firsts[at] == number + 1
        if before and after:
            self._lasts[at - 1] = self._lasts.pop(at)
            del self._firsts[at]
        elif before:
            self._lasts[at - 1] = number
        elif after:
            self._firsts[at] = number
        else:
            self._firsts.insert(at, number)
            self._lasts.insert(at, number)
        return True
