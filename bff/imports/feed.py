"""A file of changes: what it is known by, how many rows it has, and its rows, read as they are asked for."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from bff.imports import documents, table
from bff.imports.lines import Lines
from bff.imports.rows import AnyRow, FileRefused

Form = Literal["csv", "jsonl"]

FORMS: Mapping[str, Form] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_READ: Mapping[Form, Callable[[Lines, Mapping[str, Any]], Iterator[AnyRow]]] = {
    "csv": table.rows,
    "jsonl": documents.rows,
}


@dataclass(frozen=True, slots=True)
class Feed:
    """A file. options: members of every change; digest: of its content; total: of its rows."""

    path: Path
    form: Form
    options: Mapping[str, Any]
    digest: str
    total: int

    @classmethod
    def of(cls, path: Path, form: Form | None, options: Mapping[str, Any]) -> Self:
        """Look a file through; form: by its name where None. Raises FileRefused."""
        form = form or FORMS.get(path.suffix.lower())
        if form is None:
            raise FileRefused(f"its name ends in none of {', '.join(FORMS)}: say --format csv or jsonl")
        if not path.is_file():
            raise FileRefused("is not a file" if path.exists() else "is not there")
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            return cls(path, form, options, digest, sum(1 for _ in _rows(path, form, options)))
        except OSError as exc:
            raise FileRefused(f"cannot be read: {exc.strerror}") from exc

    def __iter__(self) -> Iterator[AnyRow]:
        """Give the rows."""
        return _rows(self.path, self.form, self.options)


def _rows(path: Path, form: Form, options: Mapping[str, Any]) -> Iterator[AnyRow]:
    with path.open("rb") as file:
        yield from _READ[form](Lines(file), options)
