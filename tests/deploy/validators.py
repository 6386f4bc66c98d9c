"""What judges a file of deploy/ without a network, a daemon or a cluster: each returns its complaints."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from outboxd import config
from outboxd.cli.frame import nouns
from outboxd.db import binaries
from outboxd.errors import ConfigError

Judge = Callable[[Path], str]
"""Empty: nothing to complain about."""

EXPOSED = 2.0
_EXPOSURE = re.compile(r"Overall exposure level for \S+: ([\d.]+)")
_INSTRUCTION = re.compile(
    r"(FROM|ENV|WORKDIR|COPY|RUN|LABEL|USER|EXPOSE|HEALTHCHECK|STOPSIGNAL|ENTRYPOINT|CMD) "
)


def compose(file: Path) -> str:
    return _said(_tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(file))


def manifest(file: Path) -> str:
    return _said(_tool("kubernetes-validate"), "--strict", "--quiet", str(file))


def kustomization(file: Path) -> str:
    return _said(_tool("kubectl"), "kustomize", str(file.parent))


def unit(file: Path) -> str:
    """With a program that exists here in place of ours: the check looks for it."""
    said = file.read_text()
    file.write_text(said.replace("/usr/local/bin/outboxd", sys.executable))
    analyze = _tool("systemd-analyze")
    complaints = _said(analyze, "verify", str(file), strict=True)
    told = subprocess.run(
        [analyze, "security", "--offline=true", str(file)], capture_output=True, text=True, check=False
    )
    exposure = _EXPOSURE.search(told.stdout)
    if exposure is None or float(exposure[1]) > EXPOSED:
        complaints += f"exposure: {exposure and exposure[1]} {told.stderr}"
    return complaints


def shell(file: Path) -> str:
    return _said(_tool("shellcheck"), str(file))


def node(file: Path) -> str:
    return _said(_tool("node"), "--check", str(file))


def alerts(file: Path) -> str:
    return _said(_tool("promtool"), "check", "rules", str(file))


def postgres(file: Path) -> str:
    """The server reads it, and starts nothing."""
    try:
        program = binaries.choose(binaries.found(), None).postgres
    except ConfigError as missing:
        pytest.skip(str(missing))
    asked = [str(program), "-C", "max_connections", "-D", str(file.parent), "-c", f"config_file={file}"]
    return _said(*asked)


def procfile(file: Path) -> str:
    """Lines `name: command` whose command we have."""
    try:
        for line in file.read_text().splitlines():
            name, _, words = line.partition(": ")
            program, *rest = words.split()
            assert (name.isalpha(), program) == (True, "outboxd"), line
            nouns().parse(rest)
    except (AssertionError, ConfigError, ValueError) as wrong:
        return str(wrong)
    return ""


def image(file: Path) -> str:
    """A small judge of our own: instructions that exist, sources that exist, no secret in a layer."""
    said = re.sub(r"\\\n", " ", file.read_text())
    lines = [line for line in said.splitlines() if line and not line.startswith("#")]
    complaints = [line for line in lines if not _INSTRUCTION.match(line)]
    root = Path(__file__).parents[2]
    for line in lines:
        word, *rest = line.split()
        if word == "COPY" and not rest[0].startswith("--from"):
            complaints += [f"no {source}" for source in rest[:-1] if not (root / source).exists()]
        if re.search(r"(?i)(password|secret|api_key)\w*=", line):
            complaints.append(f"a secret: {line}")
    return "\n".join(complaints)


def lock(file: Path) -> str:
    """Names, versions and hashes; no addresses."""
    logical = re.sub(r" \\\n\s*", " ", file.read_text()).splitlines()
    pinned = re.compile(r"[a-z0-9._\-]+(\[[a-z,]+\])?==\S+( ; [^;]+?)?( --hash=sha256:[0-9a-f]{64})+")
    return "\n".join(line for line in logical if not pinned.fullmatch(line))


def env(file: Path) -> str:
    try:
        config.read_env_file(file)
    except ConfigError as wrong:
        return str(wrong.problems)
    return ""


def _tool(name: str) -> str:
    """In our environment, else on the PATH; without it the test says so and is skipped."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed here")
    return found


def _said(*words: str, strict: bool = False) -> str:
    """What it said, if it ended badly; `strict`: whatever it said."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    said = done.stdout + done.stderr
    if done.returncode:
        return said or f"exit {done.returncode}"
    return said if strict else ""
