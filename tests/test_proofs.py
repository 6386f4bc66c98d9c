"""That each promise has a test, and that the tool that says so can say no."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import proofs

ROOT = Path(__file__).parent.parent


def test_every_promise_that_holds_now_has_a_test(request: pytest.FixtureRequest) -> None:
    collected = request.config.pluginmanager.getplugin(proofs.PLUGIN)
    assert isinstance(collected, proofs.Proofs)
    if set((ROOT / "tests").rglob("test_*.py")) <= collected.files:
        assert [] == proofs.unproved(collected.promises.values(), collected.tests)
        return
    # Only some files are run: others have to be read for it.
    words = [sys.executable, "-m", "pytest", "--proofs", "-q", "-p", "no:cacheprovider"]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    last = ran.stdout.strip().splitlines()
    assert ran.returncode == 0, (
        "\n".join(line for line in last if "missing:" in line) or ran.stdout + ran.stderr
    )


def test_a_promise_without_a_test_is_named() -> None:
    listed = [
        proofs.Promise(number="C1", text="one place", section="now"),
        proofs.Promise(number="C2", text="starts once", section="now"),
        proofs.Promise(number="F3", text="resume", section="later"),
    ]
    tests: dict[str, list[str]] = {"C1": ["test_a"], "C2": [], "F3": []}
    assert proofs.unproved(listed, tests) == ["C2"]
    page = "\n".join(proofs.table(listed, tests, {"test_a": "passed"}))
    assert "passed   test_a" in page
    assert "1 of 2 promises have a test; missing: C2" in page
    assert "F3" not in page


def test_the_list_knows_its_sections_and_refuses_doubles(tmp_path: Path) -> None:
    path = tmp_path / "proofs.txt"
    path.write_text("# why\n[now]\nC1  one place\n\n[later]\nF3  resume\n")
    assert [(each.number, each.section) for each in proofs.promises(path).values()] == [
        ("C1", "now"),
        ("F3", "later"),
    ]
    path.write_text("[now]\nC1  one place\nC1  again\n")
    with pytest.raises(ValueError, match="C1 twice"):
        proofs.promises(path)


def test_results_are_remembered_and_unknown_numbers_refused(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(
        "from tests.proofs import proves\n"
        "@proves('C1')\ndef test_good(): pass\n"
        "@proves('C2')\ndef test_bad(): assert False\n"
    )
    assert pytester.runpytest_subprocess("-p", "tests.proofs").ret == 1
    shown = pytester.runpytest_subprocess("-p", "tests.proofs", "--proofs")
    shown.stdout.fnmatch_lines(
        ["C1 *", "*passed *::test_good", "C2 *", "*failed *::test_bad", "*missing: C3*"]
    )
    assert shown.ret == 1
    pytester.makepyfile("from tests.proofs import proves\n@proves('X99')\ndef test_odd(): pass\n")
    refused = pytester.runpytest_subprocess("-p", "tests.proofs")
    refused.stderr.fnmatch_lines(["*proves X99*"])
