"""From a bare Python to a running demo or test suite; standard library only.

    python3 deploy/bootstrap.py demo          what outboxd does, shown
    python3 deploy/bootstrap.py test [...]    the tests of each change; what follows goes to pytest
    python3 deploy/bootstrap.py run CMD ...   any program of the environment, installed first if need be
    python3 deploy/bootstrap.py install       only make the environment
    python3 deploy/bootstrap.py lock          write requirements.lock anew; always needs a network

The environment is `.venv`. A stamp in it, a hash of the lock and of the interpreter, says that it is
complete, so that a second run installs nothing and needs no network.

What starts this file may be older than what it finds, so its syntax stays at that of Python 3.6.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import List, Mapping, NamedTuple, Optional, Sequence, Tuple

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
NAMES = ("python3.14", "python3.13", "python3.12", "python3.11", "python3")
USAGE = "usage: python3 deploy/bootstrap.py demo | test [...] | run CMD ... | install | lock"
WHO = (
    "import sys; v = sys.version_info; "
    "print('%d %d %d %s' % (v[0], v[1], v[2], getattr(sys, '_base_executable', None) or sys.executable))"
)
COMPILE = (
    "pip compile --quiet --universal --python-version 3.11 "
    "--generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links"
)
LOCK, TOOLS = "requirements.lock", "deploy/tools.lock"
LOCKS = (
    (LOCK, "--extra embedded --extra fast --extra otel --group dev pyproject.toml"),
    # A browser's driver and builders are large: only what runs tests waits for them.
    (TOOLS, "--constraint requirements.lock --group tools"),
    # What an image runs, and what builds the project in it.
    ("deploy/runtime.lock", "--constraint requirements.lock --extra fast --extra otel pyproject.toml"),
    ("deploy/build.lock", "--constraint requirements.lock --group build"),
)
TESTED = (LOCK, TOOLS)


class Trouble(Exception):  # noqa: N818  the sentence is for a person, not for a caller
    """One sentence for the person at the terminal, and the exit status."""

    def __init__(self, sentence: str, status: int = 2) -> None:
        super().__init__(sentence)
        self.status = status


class Python(NamedTuple):
    path: str
    version: Tuple[int, int, int]


def main(argv: List[str], environ: Mapping[str, str]) -> int:
    """Do one verb; the program that it ends in replaces this one."""
    verb, rest = (argv[0], argv[1:]) if argv else ("", [])
    try:
        if verb == "lock":
            lock(ROOT, environ)
        elif verb == "install":
            install(ROOT, environ, TESTED)
        else:
            words = command(verb, rest, tty=sys.stdout.isatty())
            return become(install(ROOT, environ, (LOCK,) if verb == "demo" else TESTED), words, environ)
    except Trouble as trouble:
        sys.stderr.write(f"error: {trouble}\n")
        return trouble.status
    return 0


def command(verb: str, rest: List[str], tty: bool) -> List[str]:
    """The program that a verb stands for, as words. Without a terminal nobody could end the demo."""
    if verb == "demo":
        return ["outboxd", "demo", *([] if tty or "--exit" in rest else ["--exit"]), *rest]
    if verb == "test":
        # A test waits about as often as it works: three at once keep two cores busy.
        return ["pytest", "-n", "3", "--dist", "worksteal", *rest]
    if verb == "run" and rest:
        return rest
    raise Trouble(USAGE)


def install(root: Path, environ: Mapping[str, str], locks: Sequence[str] = (LOCK,)) -> Path:
    """Make `.venv` complete and return its Python; does nothing when the stamp says that it is."""
    venv = root / ".venv"
    inside = python_of(venv)
    present = probe(str(inside))
    wanted = choose(environ, present)
    stamp = venv / "outboxd.stamp"
    stamped = stamp.read_text().split() if stamp.is_file() and present == wanted else []
    marks = [fingerprint(root, wanted, lock) for lock in locks]
    if set(marks) <= set(stamped):
        return inside
    if present != wanted:
        make_venv(wanted, venv, environ)
    say("installing the locked requirements into .venv")
    pip = [str(inside), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    files = [word for lock in locks for word in ("-r", str(root / lock))]
    run([*pip, "--require-hashes", *files], environ)
    run([*pip, "--no-deps", "--no-build-isolation", "--editable", str(root)], environ)
    stamp.write_text("\n".join(marks))
    return inside


def choose(environ: Mapping[str, str], present: Optional[Python] = None) -> Python:
    """$PYTHON; else what made the `.venv` that is there; else the newest on the PATH, if new enough."""
    path = environ.get("PATH")
    asked = environ.get("PYTHON")
    if asked:
        found = probe(shutil.which(asked, path=path))
        if found is None or found.version < OLDEST:
            raise Trouble(f"PYTHON={asked} is not a Python {dotted(OLDEST)} or newer")
        return found
    if present is not None and present.version >= OLDEST:
        return present
    probed = [probe(shutil.which(name, path=path)) for name in NAMES]
    fit = [python for python in probed if python is not None and python.version >= OLDEST]
    if not fit:
        raise Trouble(f"outboxd needs Python {dotted(OLDEST)} or newer: install one, or name it in PYTHON")
    return max(fit, key=lambda python: python.version)


def probe(path: Optional[str]) -> Optional[Python]:
    """Version and real path of an interpreter; None if it does not run, as shims of version managers may."""
    if path is None:
        return None
    try:
        said = subprocess.check_output([path, "-c", WHO], stderr=subprocess.DEVNULL, timeout=20)
        major, minor, patch, real = said.decode().strip().split(" ", 3)
        return Python(str(Path(real).resolve()), (int(major), int(minor), int(patch)))
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def fingerprint(root: Path, python: Python, lock: str) -> str:
    """Changes with the lock, with the interpreter, and when the checkout moves (scripts hold its path)."""
    digest = hashlib.sha256((root / lock).read_bytes())
    digest.update(repr((lock, python.path, python.version, str(root.resolve()))).encode())
    return digest.hexdigest()


def make_venv(python: Python, venv: Path, environ: Mapping[str, str]) -> None:
    words = [python.path, "-c", "import ensurepip, venv"]
    if subprocess.call(words, env=dict(environ), stderr=subprocess.DEVNULL) != 0:
        package = "install python3-venv (Debian, Ubuntu: apt-get install python3-venv)"
        raise Trouble(f"{python.path} cannot make an environment: {package}")
    say(f"making {venv.name} with {python.path}")
    run([python.path, "-m", "venv", "--clear", str(venv)], environ)


def lock(root: Path, environ: Mapping[str, str]) -> None:
    """Resolve pyproject.toml, for every platform, into names, versions and hashes and nothing else."""
    with tempfile.TemporaryDirectory(prefix="outboxd-lock-") as work:
        make_venv(choose(environ, probe(str(python_of(root / ".venv")))), Path(work), environ)
        inside = python_of(Path(work))
        run([str(inside), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "uv"], environ)
        for output, asked in LOCKS:
            words = [*COMPILE.split(), *asked.split(), "--output-file", output]
            run([str(inside.parent / "uv"), *words], environ, root)


def become(python: Path, words: List[str], environ: Mapping[str, str]) -> int:
    """Replace this process by a program of the environment: signals and exit status are then its own."""
    path = os.pathsep.join([str(python.parent), environ.get("PATH", os.defpath)])
    program = shutil.which(words[0], path=path)
    if program is None:
        raise Trouble(f"there is no program {words[0]}")
    inner = {**environ, "PATH": path, "VIRTUAL_ENV": str(python.parent.parent)}
    os.chdir(str(ROOT))
    if os.name == "nt":
        return subprocess.call([program, *words[1:]], env=inner)
    return os.execve(program, [program, *words[1:]], inner)


def run(words: List[str], environ: Mapping[str, str], cwd: Optional[Path] = None) -> None:
    try:
        subprocess.check_call(words, env=dict(environ), cwd=str(cwd) if cwd else None)
    except (OSError, subprocess.CalledProcessError) as failed:
        # The exception's own text would be the whole command line; what went wrong stands above it.
        reason = failed if isinstance(failed, OSError) else "see above; a first run needs the package index"
        raise Trouble(f"{Path(words[0]).name} {' '.join(words[1:3])} failed: {reason}", 1) from None


def python_of(venv: Path) -> Path:
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def dotted(version: Tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def say(sentence: str) -> None:
    sys.stderr.write(f"bootstrap: {sentence}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
