"""How a program starts that was unpacked along with shared libraries: no loader would look for them there."""

from pathlib import Path

_FOLDERS = ("usr/lib/*-linux-*", "lib/*-linux-*")
_TEXT = """#!/bin/sh
root=$(dirname "$0")/..
LD_LIBRARY_PATH={libraries} exec "$root/{program}" "$@"
"""


def launcher(program: str) -> str:
    """Return where a program's launcher is. program: where it is itself; both in the folder that was unpacked."""
    return f"launch/{Path(program).name}"


def write_launcher(unpacked: Path, program: str) -> None:
    """Write what becomes the program, and keeps its process id; the folder may be moved afterwards."""
    if not (unpacked / program).exists():
        return
    folders = [folder.relative_to(unpacked) for pattern in _FOLDERS for folder in sorted(unpacked.glob(pattern))]
    file = unpacked / launcher(program)
    file.parent.mkdir()
    libraries = ":".join(f'"$root/{folder}"' for folder in folders)
    file.write_text(_TEXT.format(libraries=libraries, program=program), encoding="utf-8")
    file.chmod(0o755)
