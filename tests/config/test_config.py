import base64
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from outboxd import config
from outboxd.config import Config, Machine, show
from outboxd.config.kinds import Address, Secret
from outboxd.config.settings import SETTINGS
from outboxd.errors import ConfigError
from tests.proofs import proves

HOST = Machine(root=False, home=Path("/home/ann/.local/share"), container=False)
CONTAINER = Machine(root=True, home=Path("/root/.local/share"), container=True)
DSN = "postgresql://app:hunter2secret@db.example/outbox"
KEY = base64.b64encode(bytes(range(32))).decode()


def read(command: str = "up", machine: Machine = HOST, **environ: str) -> Config:
    return config.read(environ, command=command, machine=machine)


def problems(command: str = "up", machine: Machine = HOST, **environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read(command, machine, **environ)
    return caught.value.problems


def test_with_nothing_set_up_runs_everything_on_a_database_of_its_own() -> None:
    found = read("up")
    assert (found.roles, found.database_url, found.port) == (("api", "work"), None, 8377)
    assert found.data == Path("/home/ann/.local/share/outboxd")
    assert found.partition_days == timedelta(days=7)
    assert found.sources == {}


def test_texts_become_values() -> None:
    found = read(
        "serve",
        OUTBOXD_DATABASE_URL=DSN,
        OUTBOXD_POOL_TIMEOUT_S="0.5",
        OUTBOXD_SEQUENCER_POLL_MS="50",
        OUTBOXD_EVENT_DAYS="0",
        OUTBOXD_TRUSTED_PROXIES="10.0.0.0/8, fd00::/8",
        OUTBOXD_CORS_ORIGINS="",
        OUTBOXD_METRICS_LISTEN="[::1]:9100",
        OUTBOXD_EGRESS_PORTS="any",
        OUTBOXD_EGRESS_HTTP="yes",
        OUTBOXD_SECRET_KEYS=f"new:{KEY},old:{base64.b64encode(bytes(32)).decode()}",
        OUTBOXD_MAX_BODY_BYTES="1048576",
    )
    assert found.database_url == found.listen_url == Secret(DSN)
    assert found.roles == ("api",)
    assert found.pool_timeout == timedelta(milliseconds=500)
    assert found.sequencer_poll == timedelta(milliseconds=50)
    assert found.event_days is None
    assert found.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert found.cors_origins == ()
    assert found.metrics_listen == Address(host="::1", port=9100)
    assert (found.egress_ports, found.egress_http) == (None, True)
    assert [(key.kid, len(key.key)) for key in found.secret_keys] == [("new", 32), ("old", 32)]
    assert found.max_event_bytes == 1048576


TEN_FAULTS = {
    "OUTBOXD_DATABASE_URL": "postgresql://app:hunter2secret@[db/outbox",
    "OUTBOXD_SECRET_KEYS": "a:c2hvcnQtaHVudGVyMnNlY3JldA==",
    "OUTBOXD_PORT": "many",
    "OUTBOXD_POOL_MAX": "4",
    "OUTBOXD_MAX_EVENT_BYTES": "67108864",
    "OUTBOXD_EVENT_DAYS": "30",
    "OUTBOXD_CORS_ORIGINS": "*",
    "OUTBOXD_BEAT_S": "nan",
    "OUTBOXD_LOG_LVEL": "hunter2secret",
    "OUTBOXD_API_KEY_FILE": "/does/not/exist",
    "OUTBOXD_PUBLIC_URL": "https://example.com/path",
}


@proves("G8")
def test_all_problems_come_at_once_and_none_holds_a_secret() -> None:
    found = problems("serve", HOST, **TEN_FAULTS)
    named = {name for name in TEN_FAULTS for line in found if line.startswith(f"{name}:")}
    assert named == set(TEN_FAULTS)
    assert len(found) == len(TEN_FAULTS)
    assert "hunter2secret" not in "\n".join(found)
    assert "c2hvcnQ" not in "\n".join(found)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    assert problems(OUTBOXD_WORKER_SLOT="5") == (
        "OUTBOXD_WORKER_SLOT: no such setting; the nearest is OUTBOXD_WORKER_SLOTS",
    )


def test_names_for_tests_are_not_looked_at() -> None:
    assert read(OUTBOXD_TEST_DSN="whatever").sources == {}


def test_what_kubernetes_injects_for_a_service_is_ignored_with_one_warning() -> None:
    found = read(
        OUTBOXD_PORT="tcp://10.3.0.1:8377",
        OUTBOXD_SERVICE_HOST="10.3.0.1",
        OUTBOXD_SERVICE_PORT="8377",
        OUTBOXD_SERVICE_PORT_HTTP="8377",
        OUTBOXD_PORT_8377_TCP="tcp://10.3.0.1:8377",
        OUTBOXD_PORT_8377_TCP_PROTO="tcp",
        OUTBOXD_PORT_8377_TCP_ADDR="10.3.0.1",
        OUTBOXD_WORKERS_PORT="tcp://10.3.0.2:9100",
        OUTBOXD_WORKERS_SERVICE_HOST="10.3.0.2",
    )
    assert found.port == 8377
    assert [line for line in found.warnings if "enableServiceLinks: false" in line] == list(found.warnings)
    assert len(found.warnings) == 1


def test_a_secret_may_stand_in_a_file_and_one_newline_is_trimmed(tmp_path: Path) -> None:
    file = tmp_path / "dsn"
    file.write_text(DSN + "\n")
    found = read("serve", OUTBOXD_DATABASE_URL_FILE=str(file))
    assert found.database_url == Secret(DSN)
    assert found.sources == {"OUTBOXD_DATABASE_URL": "OUTBOXD_DATABASE_URL_FILE"}


def test_a_secret_given_twice_or_empty_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    twice = problems(OUTBOXD_API_KEY="hunter2secret", OUTBOXD_API_KEY_FILE=str(empty))
    assert twice == ("OUTBOXD_API_KEY: set, and OUTBOXD_API_KEY_FILE too; wants one of them",)
    assert "not empty" in problems(OUTBOXD_API_KEY_FILE=str(empty))[0]
    assert "got nothing" in problems(OUTBOXD_API_KEY="")[0]


def test_only_secrets_are_read_from_files() -> None:
    assert "no such setting" in problems(OUTBOXD_PORT_FILE="/etc/port")[0]


@pytest.mark.parametrize("command", ["serve", "work"])
def test_a_daemon_without_a_database_says_the_ways_out(command: str) -> None:
    found = problems(command, OUTBOXD_SECRET_KEYS=f"a:{KEY}")
    assert len(found) == 1
    assert "OUTBOXD_DATABASE_URL" in found[0]
    assert "outboxd up" in found[0]


def test_the_unprefixed_name_of_the_database_is_taken_too() -> None:
    found = read("serve", DATABASE_URL=DSN)
    assert found.database_url == Secret(DSN)
    assert found.sources == {"OUTBOXD_DATABASE_URL": "DATABASE_URL"}


def test_keys_of_providers_go_by_their_own_names_and_ours_win() -> None:
    theirs = read(ANTHROPIC_API_KEY="hunter2secret", GEMINI_API_KEY="")
    assert theirs.anthropic_api_key == Secret("hunter2secret")
    assert theirs.gemini_api_key is None
    assert theirs.sources == {"OUTBOXD_ANTHROPIC_API_KEY": "ANTHROPIC_API_KEY"}
    ours = read(ANTHROPIC_API_KEY="hunter2secret", OUTBOXD_ANTHROPIC_API_KEY="meant")
    assert ours.anthropic_api_key == Secret("meant")
    assert "hunter2secret" not in "".join(map(repr, show.effective(theirs)))


def test_settings_of_the_memory_become_values() -> None:
    found = read(
        OUTBOXD_PROVIDER_TIMEOUT_S="0.5",
        OUTBOXD_OPENAI_BASE_URL="http://127.0.0.1:1234/v1/",
        OUTBOXD_PROVIDER_FALLBACK="openai:meta/llama-3.3:free",
        OUTBOXD_IDEMPOTENCY_HOURS="168",
        OUTBOXD_MEMORY_DAYS="0",
        OUTBOXD_BUDGET_CALLS_PER_HOUR="10",
    )
    assert found.provider_timeout == timedelta(milliseconds=500)
    assert found.openai_base_url == "http://127.0.0.1:1234/v1"
    assert found.provider_fallback == "openai:meta/llama-3.3:free"
    assert found.idempotency == timedelta(days=7)
    assert (found.memory_days, found.budget_calls_per_hour) == (None, 10)
    assert (found.generation, found.generation_attempts, found.observe_batch) == ("per-event", 8, 8)


def test_embedded_postgres_in_a_container_must_be_meant() -> None:
    assert problems("up", CONTAINER) == (
        (
            "embedded Postgres in a container loses your data with it: set OUTBOXD_DATABASE_URL, "
            "or OUTBOXD_EMBEDDED=on and mount a volume at /var/lib/outboxd"
        ),
    )
    assert read("up", CONTAINER, OUTBOXD_EMBEDDED="on").database_url is None
    assert read("up", CONTAINER, OUTBOXD_DATABASE_URL=DSN).database_url == Secret(DSN)


@pytest.mark.parametrize("mark", [".dockerenv", "run/.containerenv"])
def test_a_container_is_known_by_its_files(tmp_path: Path, mark: str) -> None:
    (tmp_path / mark).parent.mkdir(exist_ok=True)
    (tmp_path / mark).touch()
    assert config.machine_here({}, tmp_path).container


@pytest.mark.parametrize("name", ["KUBERNETES_SERVICE_HOST", "container"])
def test_a_container_is_known_by_its_environment(tmp_path: Path, name: str) -> None:
    assert config.machine_here({name: "x"}, tmp_path).container
    assert not config.machine_here({}, tmp_path).container


@pytest.mark.parametrize(
    "environ",
    [
        {"CLAUDE_MEM_AUTH_MODE": "local-dev"},
        {"CLAUDE_MEM_AUTH_MODE": ""},
        {"CLAUDE_MEM_ALLOW_LOCAL_DEV_BYPASS": "1"},
    ],
)
def test_there_is_no_unauthenticated_mode(environ: dict[str, str]) -> None:
    assert problems("up", HOST, **environ) == (
        (
            "CLAUDE_MEM_AUTH_MODE=local-dev is not allowed in Docker, nor anywhere else: "
            "there is no unauthenticated mode"
        ),
    )
    assert read("up", CLAUDE_MEM_AUTH_MODE="api-key").port == 8377


def test_who_delivers_needs_a_key_to_unseal_with() -> None:
    assert "OUTBOXD_SECRET_KEYS" in problems("work", OUTBOXD_DATABASE_URL=DSN)[0]
    assert problems("work", OUTBOXD_DATABASE_URL=DSN, OUTBOXD_WORKER_QUEUES="a,end*")
    assert read("work", OUTBOXD_DATABASE_URL=DSN, OUTBOXD_WORKER_QUEUES="a,ended*").secret_keys == ()
    assert read("serve", OUTBOXD_DATABASE_URL=DSN).secret_keys == ()
    assert problems("serve", OUTBOXD_DATABASE_URL=DSN, OUTBOXD_ROLES="api,work")


def test_a_guessable_password_on_a_host_elsewhere_is_warned_of() -> None:
    def warned(dsn: str) -> bool:
        return "guessed" in "".join(read("serve", OUTBOXD_DATABASE_URL=dsn).warnings)

    assert warned("postgresql://app:changeme@db.example/outbox")
    assert warned("host=localhost,db.example user=app password=Postgres")
    assert not warned("postgresql://app:changeme@localhost/outbox")
    assert not warned("host=/run/postgresql user=app password=postgres")
    assert not warned(DSN)


def test_an_open_address_without_a_public_url_is_warned_of() -> None:
    assert "OUTBOXD_PUBLIC_URL" in "".join(read(OUTBOXD_HOST="0.0.0.0").warnings)
    assert read(OUTBOXD_HOST="0.0.0.0", OUTBOXD_PUBLIC_URL="https://ob.example").warnings == ()
    assert read(OUTBOXD_HOST="127.0.0.1").warnings == ()


def test_a_relation_is_not_judged_on_a_value_that_could_not_be_read() -> None:
    assert len(problems("serve", OUTBOXD_DATABASE_URL="hunter2secret://")) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("EGRESS_PORTS", ""),
        ("EGRESS_PORTS", "0"),
        ("EGRESS_ALLOW", "10.0.0.1/8"),
        ("EGRESS_CA_FILE", "/does/not/exist"),
        ("EGRESS_PROXY", "socks5://proxy:1080"),
        ("METRICS_LISTEN", "9100"),
        ("METRICS_LISTEN", ":9100"),
        ("CORS_ORIGINS", "https://*.example.com"),
        ("CORS_ORIGINS", "ftp://example.com"),
        ("PUBLIC_URL", "https://user@example.com"),
        ("APP", "module"),
        ("ROLES", "api,web"),
        ("METRICS_OPEN", "perhaps"),
        ("EVENT_DAYS", "-1"),
        ("WORKER_QUEUES", "a b"),
        ("SECRET_KEYS", f"a:{KEY},a:{KEY}"),
        ("SECRET_KEYS", KEY),
        ("GENERATION", "sometimes"),
        ("OPENAI_BASE_URL", "ftp://127.0.0.1/v1"),
        ("OPENAI_BASE_URL", "http://me:hunter2@127.0.0.1/v1"),
        ("GEMINI_BASE_URL", "https://gateway.example/?key=hunter2"),
        ("PROVIDER_TIMEOUT_S", "300"),
        ("ANTHROPIC_API_KEY", "two words"),
        ("IDEMPOTENCY_HOURS", "0"),
        ("SEARCH_LANGUAGE", "english'; drop"),
    ],
)
def test_what_cannot_be_meant_is_refused(name: str, text: str) -> None:
    found = problems("up", HOST, **{f"OUTBOXD_{name}": text})
    assert [line.split(":")[0] for line in found] == [f"OUTBOXD_{name}"]


@proves("G8")
def test_the_struct_itself_does_not_print_its_secrets() -> None:
    found = read(
        "serve",
        OUTBOXD_DATABASE_URL=DSN,
        OUTBOXD_API_KEY="hunter2secret",
        OUTBOXD_SECRET_KEYS=f"a:{KEY}",
    )
    printed = repr(found) + str(found) + f"{found.api_key}" + "".join(map(repr, show.effective(found)))
    assert "hunter2secret" not in printed
    assert "\\x01\\x02" not in printed
    assert KEY not in printed


def test_the_example_is_read_back_as_the_defaults() -> None:
    lines = [line[1:] for line in show.example().splitlines() if line.startswith("#OUTBOXD_")]
    assert len(lines) == len(SETTINGS)
    said = {name: text for name, _, text in (line.partition("=") for line in lines) if text}
    found, default = read("up", HOST, **said), read("up")
    assert {setting.field: getattr(found, setting.field) for setting in SETTINGS} == {
        setting.field: getattr(default, setting.field) for setting in SETTINGS
    }


def test_what_is_in_force_is_shown_with_where_it_came_from() -> None:
    rows = {row.name: row for row in show.effective(read("serve", DATABASE_URL=DSN, OUTBOXD_EVENT_DAYS="0"))}
    url, days, unset = (rows[f"OUTBOXD_{name}"] for name in ("DATABASE_URL", "EVENT_DAYS", "EGRESS_PROXY"))
    assert (url.value, url.source) == ("***", "DATABASE_URL")
    assert (days.value, days.source) == ("0", "OUTBOXD_EVENT_DAYS")
    assert (unset.value, unset.source) == ("", "default")


def test_every_setting_has_its_row_in_the_table() -> None:
    assert show.markdown().count("\n| `OUTBOXD_") == len(SETTINGS)


def test_an_env_file_is_read_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# ours\n\nOUTBOXD_PORT=1234\nexport OUTBOXD_HOST='0.0.0.0'\nA=b=c\n")
    found = config.read_env_file(file)
    assert found == {"OUTBOXD_PORT": "1234", "OUTBOXD_HOST": "0.0.0.0", "A": "b=c"}
    file.write_text("OUTBOXD_PORT\n")
    with pytest.raises(ConfigError, match="line 1 is not KEY=value"):
        config.read_env_file(file)


def test_the_mcp_command_alone_also_reads_the_settings_of_the_server_it_replaces() -> None:
    theirs = {
        "CLAUDE_MEM_SERVER_URL": "http://memory.test:37777/",
        "CLAUDE_MEM_SERVER_API_KEY": "cmem_1",
        "CLAUDE_MEM_SERVER_PROJECT_ID": "p1",
    }
    found = read("mcp", HOST, OUTBOXD_PROJECT_ID="p2", **theirs)
    assert (found.url, found.api_key, found.project_id) == (
        "http://memory.test:37777",
        Secret("cmem_1"),
        "p2",
    )
    other = read("events", HOST, **theirs)
    assert (other.url, other.api_key, other.project_id) == (None, None, None)


def test_the_port_that_a_platform_gives_counts_where_ours_is_not_set() -> None:
    assert 5000 == read(PORT="5000").port
    assert 8377 == read(PORT="5000", OUTBOXD_PORT="8377").port
    assert ("OUTBOXD_PORT: got 'x'; wants a whole number 0..65,535",) == problems(PORT="x")
