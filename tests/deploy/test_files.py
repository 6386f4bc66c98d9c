"""Every file of deploy/ is judged by what reads it in production, and each judge refuses a broken copy."""

import shutil
from pathlib import Path

import pytest

from tests.deploy import validators as v
from tests.deploy.validators import Judge

DEPLOY = Path(__file__).parents[2] / "deploy"

FILES: dict[str, tuple[Judge, str, str]] = {
    "Dockerfile": (v.image, "ENTRYPOINT", "ENTRYPONT"),
    "Procfile": (v.procfile, "outboxd migrate", "outboxd migrat"),
    "compose.yaml": (v.compose, "stop_grace_period: 45s", "stop_grace: 45s"),
    "postgres.conf": (v.postgres, "wal_compression = on", "wal_compression = often"),
    "alerts.yaml": (v.alerts, "expr: ", "expr: ("),
    "kubernetes/kustomization.yaml": (v.kustomization, "work.yaml", "walk.yaml"),
    "kubernetes/migrate.yaml": (v.manifest, "backoffLimit: 10", "backofLimit: 10"),
    "kubernetes/serve.yaml": (v.manifest, "replicas: 2", 'replicas: "two"'),
    "kubernetes/work.yaml": (v.manifest, "maxReplicas: 8", "maxReplica: 8"),
    "systemd/outboxd-serve.service": (v.unit, "WatchdogSec=30", "WatchdogSec=often"),
    "systemd/outboxd-work.service": (v.unit, "PrivateUsers=yes\n", "CapabilityBoundingSet=~\n"),
    "runtime.lock": (v.lock, "sha256:", "md5:"),
    "build.lock": (v.lock, "==", ">="),
    "tools.lock": (v.lock, "--hash", "--index-url"),
    "examples/pull/worker.sh": (v.shell, "#!/", "rm -r $nothing/*\n#!/"),
    "examples/pull/worker.mjs": (v.node, "const ", "const const "),
    "outboxd.env": (v.env, "#OUTBOXD_PORT=", "OUTBOXD_PORT "),
}
"""File → who judges it, and what is broken in its twin."""

ELSEWHERE = {".py", ".md", ".json", ".sql"}
"""Judged by the linters, and by tests that run them."""


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_valid_and_its_broken_twin_is_not(tmp_path: Path, name: str) -> None:
    judge, right, wrong = FILES[name]
    good = twin(tmp_path / "good", name)
    assert "" == judge(good)
    bad = twin(tmp_path / "bad", name)
    text = bad.read_text()
    assert right in text
    bad.write_text(text.replace(right, wrong))
    assert judge(bad)


def test_no_file_is_left_out() -> None:
    here = {
        str(path.relative_to(DEPLOY))
        for path in DEPLOY.rglob("*")
        if path.is_file() and path.suffix not in ELSEWHERE and "secrets" not in path.parts
    }
    assert here <= set(FILES)


@pytest.mark.parametrize("name", [".ci/run"])
def test_scripts_are_valid_and_broken_ones_are_not(tmp_path: Path, name: str) -> None:
    script = DEPLOY.parent / name
    assert "" == v.shell(script)
    broken = tmp_path / "broken.sh"
    broken.write_text(script.read_text() + "\nrm -r $unset/*\n")
    assert v.shell(broken)


def twin(folder: Path, name: str) -> Path:
    """A copy of its whole folder, since some files name their neighbours."""
    source = DEPLOY / name
    if not source.exists():
        pytest.skip(f"deploy/{name} is not there yet")
    folder.mkdir()
    for path in source.parent.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    return folder / source.name
