"""Each way in which an embedded server starts, or refuses to."""

import os
import pwd
import shutil
import stat
from pathlib import Path

import psycopg
import pytest

from outboxd.db import binaries, postmaster
from outboxd.db.embedded import Embedded
from outboxd.errors import ConfigError, InUse
from tests.db.servers import AS_ROOT, QUICK, Start, ask, only_root


def test_a_fresh_start_makes_what_the_page_says(home: Path, start: Start) -> None:
    server = start(home / "data", settings={})

    assert ask(server, "show data_checksums") == "on"
    assert ask(server, "show fsync") == "on"
    assert ask(server, "show listen_addresses") == ""
    assert ask(server, "show server_encoding") == "UTF8"
    assert ask(server, "select count(*) from pg_hba_file_rules where auth_method <> 'scram-sha-256'") == 0
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (home / "data").iterdir()}
    assert modes == {
        "pgdata": 0o700,
        "run": 0o700,
        "password": 0o600,
        "postgres.log": 0o600,
        "outboxd.lock": 0o600,
    }
    assert stat.S_IMODE((home / "data").stat().st_mode) == (0o711 if AS_ROOT else 0o700)


def test_a_second_start_finds_its_data(home: Path, start: Start) -> None:
    first = start(home / "data")
    with psycopg.connect(first.dsn()) as conn:
        conn.execute("create table kept as select 7 as n")
    first.stop()

    assert ask(start(home / "data"), "select n from kept") == 7


@only_root
def test_as_root_the_server_is_another_account_without_our_groups(home: Path, start: Start) -> None:
    server = start(home / "data", user="nobody")
    pid = postmaster.status_of(home / "data" / "pgdata")
    assert pid is not None

    said = Path(f"/proc/{pid.pid}/status").read_text()
    nobody = pwd.getpwnam("nobody")
    fields = dict(line.split(":", 1) for line in said.splitlines())
    assert fields["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert fields["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert fields["Groups"].split() == []
    assert server.alive()


@only_root
def test_an_unknown_account_and_root_itself_are_refused(home: Path, start: Start) -> None:
    for name in ("nobody-has-this-name", "root"):
        with pytest.raises(ConfigError, match="OUTBOXD_PG_USER"):
            start(home / "data", user=name)


@only_root
def test_as_a_user_it_needs_no_other_account(home: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)

    # A fork and not a new interpreter: nobody may not be able to reach that one.
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
        os._exit(_starts_and_stops(home / "data"))
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert (home / "data").stat().st_uid == nobody.pw_uid
    assert stat.S_IMODE((home / "data").stat().st_mode) == 0o700


def _starts_and_stops(data: Path) -> int:
    try:
        server = Embedded(data, settings=QUICK)
        server.start()
        server.stop()
    except BaseException as failed:  # noqa: BLE001  a forked child has nobody above it
        print(repr(failed))
        return 1
    return 0


@only_root
def test_programs_that_the_account_cannot_reach_are_copied_with_their_libraries(
    home: Path, start: Start
) -> None:
    theirs = binaries.found()[0].folder.parent
    hidden = home / "hidden" / "venv" / theirs.parent.name
    for part in ("bin", "lib", "share"):
        shutil.copytree(theirs / part, hidden / theirs.name / part, symlinks=True)
    libs = theirs.parent.with_name(theirs.parent.name + ".libs")
    if libs.is_dir():
        shutil.copytree(libs, hidden.with_name(libs.name))
    (home / "hidden").chmod(0o700)

    server = start(home / "data", programs=hidden / theirs.name / "bin")

    assert ask(server, "select 1") == 1
    assert stat.S_IMODE((home / "hidden").stat().st_mode) == 0o700
    server.stop()
    assert ask(start(home / "data", programs=hidden / theirs.name / "bin"), "select 1") == 1


@only_root
def test_a_data_directory_the_account_cannot_reach_is_refused_naming_what_blocks(
    home: Path, start: Start
) -> None:
    blocking = home / "private"
    blocking.mkdir(mode=0o700)

    with pytest.raises(ConfigError, match=f"cannot pass {blocking}:"):
        start(blocking / "deep" / "data")

    assert stat.S_IMODE(blocking.stat().st_mode) == 0o700


def test_a_long_path_puts_the_socket_elsewhere(home: Path, start: Start) -> None:
    server = start(home / ("long" * 30) / "data")
    assert ask(server, "select 1") == 1
    where = Path(str(ask(server, "show unix_socket_directories")).strip('"'))

    assert where.name.startswith("outboxd-")
    assert stat.S_IMODE(where.stat().st_mode) == 0o700
    server.stop()
    assert not where.exists()


def test_data_of_another_major_version_is_refused_naming_both(home: Path, start: Start) -> None:
    start(home / "data").stop()
    (home / "data" / "pgdata" / "PG_VERSION").write_text("9\n")

    with pytest.raises(ConfigError, match=r"PostgreSQL 9, found are the programs of \d+.*pg_dump"):
        start(home / "data")


def test_data_decide_among_the_programs_of_several_versions(home: Path, start: Start) -> None:
    majors = {one.major: one for one in binaries.found()}
    if len(majors) < 2:
        pytest.skip("needs programs of two major versions, found " + str(sorted(majors)))
    other = majors[min(majors)]
    start(home / "data", programs=other.folder).stop()

    assert str(ask(start(home / "data"), "show server_version")).startswith(str(other.major))


@pytest.mark.parametrize("inside", ["", "pgdata"])
def test_a_directory_of_somebody_else_is_never_touched(home: Path, start: Start, inside: str) -> None:
    if inside:
        start(home / "data").stop()
        shutil.rmtree(home / "data" / "pgdata")
    place = home / "data" / inside
    place.mkdir(parents=True, exist_ok=True)
    (place / "thesis.tex").write_text("years of work")
    place.chmod(0o750)

    with pytest.raises(ConfigError, match="not empty and not"):
        start(home / "data")

    assert [p.name for p in place.iterdir()] == ["thesis.tex"]
    assert stat.S_IMODE(place.stat().st_mode) == 0o750


def test_a_second_one_on_the_same_data_is_told_who_has_it(home: Path, start: Start) -> None:
    start(home / "data")

    with pytest.raises(InUse, match=f"process {os.getpid()}"):
        start(home / "data")


def test_without_any_server_the_ways_out_are_said() -> None:
    with pytest.raises(ConfigError, match=r"no PostgreSQL server found: set OUTBOXD_DATABASE_URL"):
        binaries.choose([], None)


def test_programs_that_are_named_and_not_there_are_an_error(home: Path, start: Start) -> None:
    with pytest.raises(ConfigError, match="OUTBOXD_PG_BIN"):
        start(home / "data", programs=home)
