"""The way from a bare Python to an environment: which interpreter, when to install, what is said."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "deploy/bootstrap.py"


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bootstrap = loaded()

Interpreter = Callable[..., Path]


@pytest.fixture
def interpreter(tmp_path: Path) -> Interpreter:
    """A program in a folder `bin` that answers as a Python of a version would."""

    def make(name: str, version: str, *, works: bool = True, folder: str = "bin") -> Path:
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        answer = f'echo "{version.replace(".", " ")} {path}"' if works else "exit 127"
        path.write_text(f"#!/bin/sh\n{answer}\n")
        path.chmod(0o755)
        return path

    return make


def chosen(tmp_path: Path, **environ: str) -> str:
    found = bootstrap.choose({"PATH": str(tmp_path / "bin"), **environ})
    return f"{Path(found.path).name} {'.'.join(map(str, found.version))}"


def test_the_newest_python_is_taken(tmp_path: Path, interpreter: Interpreter) -> None:
    interpreter("python3.11", "3.11.4")
    interpreter("python3", "3.11.4")
    interpreter("python3.13", "3.13.1")
    assert chosen(tmp_path) == "python3.13 3.13.1"


def test_a_plain_python3_that_is_newer_wins(tmp_path: Path, interpreter: Interpreter) -> None:
    interpreter("python3.11", "3.11.4")
    interpreter("python3", "3.15.0")
    assert chosen(tmp_path) == "python3 3.15.0"


def test_a_shim_that_does_not_run_is_passed_over(tmp_path: Path, interpreter: Interpreter) -> None:
    interpreter("python3.14", "3.14.0", works=False)
    interpreter("python3.12", "3.12.0")
    assert chosen(tmp_path) == "python3.12 3.12.0"


def test_the_variable_decides(tmp_path: Path, interpreter: Interpreter) -> None:
    interpreter("python3.13", "3.13.1")
    mine = interpreter("mine", "3.12.9", folder="elsewhere")
    assert chosen(tmp_path, PYTHON=str(mine)) == "mine 3.12.9"


@pytest.mark.parametrize("version", [None, "3.10.9"], ids=["absent", "old"])
def test_a_variable_that_names_no_good_python_is_told(
    tmp_path: Path, interpreter: Interpreter, version: str | None
) -> None:
    interpreter("python3.13", "3.13.1")
    name = str(interpreter("mine", version)) if version else "/nowhere/python"
    with pytest.raises(bootstrap.Trouble, match=re.escape(f"PYTHON={name} is not a Python 3.11")) as caught:
        chosen(tmp_path, PYTHON=name)
    assert caught.value.status == 2


def test_an_environment_that_is_there_keeps_its_python(tmp_path: Path, interpreter: Interpreter) -> None:
    interpreter("python3.13", "3.13.1")
    present = bootstrap.Python("/usr/bin/python3.11", (3, 11, 2))
    assert bootstrap.choose({"PATH": str(tmp_path / "bin")}, present) == present


def test_no_good_python_is_one_sentence_and_exit_2(tmp_path: Path, interpreter: Interpreter) -> None:
    interpreter("python3", "3.9.2")
    with pytest.raises(bootstrap.Trouble, match=r"needs Python 3\.11 or newer") as caught:
        chosen(tmp_path)
    assert caught.value.status == 2


def test_the_file_says_its_sentence_on_old_pythons_too() -> None:
    ast.parse(SCRIPT.read_text(), feature_version=(3, 7))


@pytest.mark.parametrize("version", ["3.6", "3.7", "3.8", "3.9", "3.10"])
def test_an_old_python_gets_the_sentence(tmp_path: Path, version: str) -> None:
    old = next((path for path in old_pythons(version) if path.exists()), None)
    if old is None:
        pytest.skip(f"no Python {version} here")
    copy = checkout(tmp_path)
    ran = subprocess.run(
        [old, copy / "deploy/bootstrap.py", "test"], env={"PATH": "/none"}, capture_output=True, check=False
    )
    assert ran.returncode == 2
    assert ran.stderr.decode().startswith("error: outboxd needs Python 3.11 or newer")
    assert ran.stderr.count(b"\n") == 1


def old_pythons(version: str) -> list[Path]:
    managed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    return [Path(f"/usr/bin/python{version}"), Path(f"/usr/local/bin/python{version}"), *managed]


def checkout(tmp_path: Path) -> Path:
    """Just enough of the repository for the script."""
    copy = tmp_path / "checkout"
    (copy / "deploy").mkdir(parents=True)
    (copy / "deploy/bootstrap.py").write_bytes(SCRIPT.read_bytes())
    (copy / "requirements.lock").write_text("")
    return copy


def test_a_python_without_ensurepip_names_the_package(tmp_path: Path, interpreter: Interpreter) -> None:
    bare = interpreter("python3.12", "3.12.0")
    bare.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\necho "3 12 0 $0"\n')
    copy = checkout(tmp_path)
    with pytest.raises(bootstrap.Trouble, match="install python3-venv") as caught:
        bootstrap.install(copy, {"PATH": str(tmp_path / "bin")})
    assert caught.value.status == 2
    assert not (copy / ".venv").exists()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What an installation would run, in a checkout where making an environment is a link."""
    seen: list[str] = []

    def run(words: list[str], *_: object) -> None:
        seen.append(" ".join(words[1:]))
        if words[1:3] == ["-m", "venv"]:
            (Path(words[-1]) / "bin").mkdir(parents=True)
            (Path(words[-1]) / "bin/python").symlink_to(words[0])

    monkeypatch.setattr(bootstrap, "run", run)
    return seen


def test_a_first_run_installs_the_lock_then_the_project(tmp_path: Path, steps: list[str]) -> None:
    copy = checkout(tmp_path)
    bootstrap.install(copy, {"PYTHON": sys.executable, "PATH": os.environ["PATH"]})
    made, locked, project = steps
    assert made.startswith("-m venv")
    assert "--require-hashes" in locked
    assert "--no-deps --no-build-isolation --editable" in project


def test_a_second_run_does_nothing_until_lock_or_place_change(tmp_path: Path, steps: list[str]) -> None:
    copy = checkout(tmp_path)
    environ = {"PYTHON": sys.executable, "PATH": os.environ["PATH"]}
    inside = bootstrap.install(copy, environ)
    steps.clear()
    assert bootstrap.install(copy, environ) == inside
    assert steps == []
    (copy / "requirements.lock").write_text("other==1\n")
    bootstrap.install(copy, environ)
    assert [step.split()[1] for step in steps] == ["pip", "pip"]
    moved = copy.rename(tmp_path / "moved")
    steps.clear()
    bootstrap.install(moved, environ)
    assert len(steps) == 2


def test_an_installation_that_failed_is_not_stamped(
    tmp_path: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = checkout(tmp_path)
    environ = {"PYTHON": sys.executable, "PATH": os.environ["PATH"]}
    make = bootstrap.run

    def fail(words: list[str], *rest: object) -> None:
        make(words, *rest)
        if "--editable" in words:
            raise bootstrap.Trouble("no network", 1)

    monkeypatch.setattr(bootstrap, "run", fail)
    with pytest.raises(bootstrap.Trouble, match="no network"):
        bootstrap.install(copy, environ)
    monkeypatch.setattr(bootstrap, "run", make)
    steps.clear()
    bootstrap.install(copy, environ)
    assert len(steps) == 2


def test_a_program_that_fails_ends_with_1_and_says_which(tmp_path: Path) -> None:
    with pytest.raises(bootstrap.Trouble, match=r"false -m pip failed: see above") as caught:
        bootstrap.run(["false", "-m", "pip"], os.environ)
    assert caught.value.status == 1


@pytest.mark.parametrize(
    ("words", "tty", "expected"),
    [
        (["demo"], True, ["outboxd", "demo"]),
        (["demo"], False, ["outboxd", "demo", "--exit"]),
        (["demo", "--exit"], False, ["outboxd", "demo", "--exit"]),
        (["test", "-k", "floors"], False, ["pytest", "-n", "3", "--dist", "worksteal", "-k", "floors"]),
        (["run", "ruff", "check", "."], False, ["ruff", "check", "."]),
    ],
    ids=range(5),
)
def test_each_verb_is_a_program(words: list[str], tty: bool, expected: list[str]) -> None:
    assert bootstrap.command(words[0], words[1:], tty=tty) == expected


@pytest.mark.parametrize("words", [[], ["nothing"], ["run"]], ids=range(3))
def test_other_words_get_the_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap.main(words, os.environ) == 2
    assert capsys.readouterr().err.startswith("error: usage: python3 deploy/bootstrap.py demo | test")


def test_make_alone_prints_every_target() -> None:
    if not Path("/usr/bin/make").exists():
        pytest.skip("no make here")
    shown = subprocess.run(
        ["make", "-C", ROOT, "--no-print-directory"], capture_output=True, text=True, check=True
    )
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert [line.split()[0] for line in shown.stdout.splitlines()] == phony[1].split()


# The lock


def locked(lock: str) -> dict[str, str]:
    lines = (ROOT / lock).read_text().splitlines()
    entries = [line.split(" ")[0] for line in lines if not line.startswith(" ")]
    return dict(entry.split("==") for entry in entries)


@pytest.mark.parametrize("lock", bootstrap.TESTED)
def test_a_lock_is_names_versions_and_hashes_and_nothing_else(lock: str) -> None:
    entry = re.compile(r"[a-z0-9][a-z0-9._-]*==[0-9][\w.]*( ; [\w .'<>=!()-]+)? \\")
    digest = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    for line in (ROOT / lock).read_text().splitlines():
        assert entry.fullmatch(line) or digest.fullmatch(line), line


def grouped(groups: dict[str, list[str | dict[str, str]]], name: str) -> Iterator[str]:
    """The requirements of a group, and of those that it includes."""
    for each in groups[name]:
        if isinstance(each, str):
            yield each
        else:
            yield from grouped(groups, each["include-group"])


def test_the_lock_has_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    asked = [
        *project["project"]["dependencies"],
        *extras["fast"],
        *extras["embedded"],
        *extras["otel"],
        *grouped(project["dependency-groups"], "dev"),
        *project["build-system"]["requires"],
    ]
    have = locked(bootstrap.LOCK)
    for requirement in map(Requirement, asked):
        assert requirement.specifier.contains(have[requirement.name]), requirement
    tools = locked(bootstrap.TOOLS)
    for requirement in map(Requirement, grouped(project["dependency-groups"], "tools")):
        assert requirement.specifier.contains(tools[requirement.name]), requirement
    # What stands in both is one version: both are installed into one environment.
    assert {name: tools[name] for name in tools.keys() & have.keys()} == {
        name: have[name] for name in tools.keys() & have.keys()
    }


def test_only_tests_wait_for_the_tools(tmp_path: Path, steps: list[str]) -> None:
    copy = checkout(tmp_path)
    (copy / bootstrap.TOOLS).write_text("")
    environ = {"PYTHON": sys.executable, "PATH": os.environ["PATH"]}
    bootstrap.install(copy, environ, (bootstrap.LOCK,))
    assert not any(bootstrap.TOOLS in step for step in steps)
    bootstrap.install(copy, environ, bootstrap.TESTED)
    assert sum(bootstrap.TOOLS in step for step in steps) == 1
    steps.clear()
    bootstrap.install(copy, environ, (bootstrap.LOCK,))
    bootstrap.install(copy, environ, bootstrap.TESTED)
    assert steps == []
