"""Secrets do not reach a model, whatever carries them."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outboxd.errors import ConfigError
from outboxd.handlers.memory import redaction
from outboxd.handlers.memory.redaction import Redactor

PLAIN = Redactor()
A36 = "a1B2c3D4e5" * 3 + "abcdef"

# What is secret stands between «…»; it is replaced by the kind.
SECRETS: list[tuple[str, str]] = [
    ("private_key", "x «-----BEGIN RSA PRIVATE KEY-----\nMIIE+/=\nab\n-----END RSA PRIVATE KEY-----» y"),
    ("private_key", "«-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----»"),
    ("private_key", "«-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blb\ncut off»"),
    (
        "private_key",
        "«-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 1\n\nab=\n-----END PGP PRIVATE KEY BLOCK-----»",
    ),
    ("private_key", 'startswith("«-----BEGIN RSA PRIVATE KEY-----»") and more'),
    ("aws", "id «AKIAIOSFODNN7EXAMPLE»."),
    ("aws", "id «ASIAIOSFODNN7EXAMPLE»."),
    ("github", f"«ghp_{A36}»"),
    ("github", f"«ghs_{A36}»"),
    ("github", f"«github_pat_{A36}_{A36}»"),
    ("gitlab", "«glpat-aB3dE5gH7jK9mN1pQ3sT»"),
    ("slack", "«xoxb-123456789012-abcdefghij»"),
    ("slack", "«xapp-1-A0123-456-abcdef»"),
    ("slack", "https://«hooks.slack.com/services/T000/B000/abcdefghijkl»"),
    ("stripe", "«sk_live_abcdefghij1234567890»"),
    ("stripe", "«rk_test_abcdefghij1234567890»"),
    ("google", "«AIzaSyA-abcdefghijklmnopqrstuvwxyz01234»"),
    ("google", "«GOCSPX-abcdefghijklmnopqrst»"),
    ("google", "«ya29.a0AfH6SMabcdefghijklmno»"),
    ("npm", f"«npm_{A36}»"),
    ("pypi", f"«pypi-AgEIcHlwaS5vcmc{A36}»"),
    ("anthropic", "«sk-ant-api03-abcdefghijklmnop-qrst»"),
    ("openai", "«sk-proj-abcdefgh1jklmnopqrst»"),
    ("openai", "«sk-abcdefghijklmnopqrstuvwx12345678»"),
    ("outboxd", f"«obx_{A36}abcdefg»"),
    ("outboxd", "«whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw»"),
    ("jwt", "«eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U»"),
    ("authorization", 'curl -H "Authorization: Basic «dXNlcjpwYXNz»" http://x'),
    ("authorization", '{"Authorization": "Bearer «abcdefgh»"}'),
    ("authorization", "AUTHORIZATION=«abcdefgh»"),
    ("authorization", "sent bearer «abcdefghijklmnop1234»"),
    ("url_password", "postgres://me:«hunter2»@db:5432/x"),
    ("url_password", "https://me:«p@ss:w»@example.com/"),
    ("password", "PGPASSWORD=«hunter2» psql"),
    ("password", "host=x password=«hunter2» port=1"),
    ("password", 'password = "«hun\\"ter 2»"'),
    ("password", "passwd: '«hunter2»'"),
    ("password", "db:\n  password: «hunter2»\n  port: 1"),
    ("password", r"{\"password\": \"«hunter2»\"}"),
    ("password", 'İ {"Password":"«hunter2»"}'),
    ("password", "login --password «hunter2» --host x"),
    ("password", "login --db-password «hunter2»"),
    ("secret", "client_secret=«abc123»&x=1"),
    ("secret", 'secret_key: "«abc 123»"'),
    ("token", "?token=«abc123»&x=1"),
    ("token", "NPM_TOKEN=«abc123»"),
    ("token", "deploy --token «abc123»"),
    ("api_key", "X-Api-Key: «abc123»\nHost: x"),
    ("api_key", "apiKey: '«abc123»',"),
    ("api_key", "aws_secret_access_key = «wJalrXUtnFEMI/K7MDENG+bPx»\n"),
]

HARMLESS = [
    "",
    "def read(token: str, password: string) -> None: token = parser.next()",
    "interface User { password: string; token?: undefined }",
    "max_tokens: 512, tokens=3, tokenizer = build()",
    "the password is stored hashed; secrets are sealed",
    "task-force-5-and-a-long-tail-of-words sk-fading-circle-delay-animation",
    "http://localhost:8080/a@b and mail to me@example.com",
    "AKIA is a prefix; ghp_short; eyJ.eyJ; xoxb-1; AKIAlowercase12345678",
    "class=secretary token == other",
    "password=None, secret = null\ntoken: true\n",
]


@pytest.mark.parametrize(("kind", "marked"), SECRETS)
def test_a_secret_is_replaced_by_its_kind_and_nothing_else_is(kind: str, marked: str) -> None:
    before, rest = marked.split("«")
    secret, after = rest.split("»")
    left = f"{before}[redacted:{kind}]{after}"
    assert PLAIN.text(before + secret + after) == left
    assert PLAIN.text(left) == left


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text: str) -> None:
    assert PLAIN.text(text) == text


def test_secrets_that_overlap_are_one() -> None:
    text = f"url=https://u:ghp_{A36}@x.example token=ghp_{A36} y"
    assert PLAIN.text(text) == "url=https://u:[redacted:github]@x.example token=[redacted:github] y"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("password", "password"),
        ("dbPassword", "password"),
        ("DB_PASSWORD", "password"),
        ("user-passwd", "password"),
        ("password2", "password"),
        ("client_secret", "secret"),
        ("accessToken", "token"),
        ("X-Api-Key", "api_key"),
        ("apikey", "api_key"),
        ("AWS_SECRET_ACCESS_KEY", "api_key"),
        ("Authorization", "authorization"),
        ("tokens", None),
        ("max_tokens", None),
        ("passwordless", None),
        ("key", None),
        ("", None),
    ],
)
def test_a_key_of_json_says_what_its_value_is(name: str, kind: str | None) -> None:
    assert redaction.kind_of(name) == kind


def test_values_under_such_keys_go_at_every_depth() -> None:
    before = {
        "a": [{"password": "x", "user": "me"}],
        "token": {"value": "y", "list": ["z", 1, None, True, ""]},
        "pin_password": 1234,
        "text": "PGPASSWORD=hunter2 psql",
    }
    assert PLAIN.value(before) == {
        "a": [{"password": "[redacted:password]", "user": "me"}],
        "token": {
            "value": "[redacted:token]",
            "list": ["[redacted:token]", "[redacted:token]", None, True, ""],
        },
        "pin_password": "[redacted:password]",
        "text": "PGPASSWORD=[redacted:password] psql",
    }


def test_json_keeps_its_numbers() -> None:
    raw = b'{"a":1.10,"b":12345678901234567890123,"c":1e400,"password":5,"d":["AKIAIOSFODNN7EXAMPLE"]}'
    assert PLAIN.raw(raw) == (
        b'{"a":1.10,"b":12345678901234567890123,"c":1e400,"password":"[redacted:password]","d":["[redacted:aws]"]}'
    )


def test_json_without_a_secret_is_left_as_it_is() -> None:
    raw = b'{"a": 1.10,\n "b": "\\u0041"}'
    assert PLAIN.raw(raw) is raw


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.just("password=x1y2z3"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["password", "token", "a", "b"]) | st.text(max_size=5), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(JSON)
def test_a_second_time_changes_nothing(value: Any) -> None:
    once = PLAIN.raw(msgspec.json.encode(value))
    assert PLAIN.raw(once) == once
    assert "x1y2z3" not in once.decode()
    json.loads(once)


def test_a_file_adds_kinds(tmp_path: Path) -> None:
    path = tmp_path / "forms"
    path.write_text("# ours\n\nbadge B-[0-9]{4}\nroom (?i)room (?P<secret>[0-9]+)\n")
    text = redaction.read(path).text("B-1234 in ROOM 12, PGPASSWORD=hunter2")
    assert text == "[redacted:badge] in ROOM [redacted:room], PGPASSWORD=[redacted:password]"


def test_without_a_file_there_are_the_built_in_kinds() -> None:
    assert redaction.read(None).text("AKIAIOSFODNN7EXAMPLE") == "[redacted:aws]"


def test_each_bad_line_is_named_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "forms"
    path.write_text("badge [0-9]+\nBADGE x\nbadge\nbadge [\nbadge x*\n")
    with pytest.raises(ConfigError) as raised:
        redaction.read(path)
    assert [problem.removeprefix(f"{path}: line ")[:26] for problem in raised.value.problems] == [
        "2: wants a kind of a-z, 0-",
        "3: the regular expression ",
        "4: the regular expression ",
        "5: the regular expression ",
    ]


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        redaction.read(tmp_path / "nowhere")


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "unit",
    [
        "token=",
        'token="\\"',
        "token='",
        "eyJ",
        "eyJaaaaaaaaa.",
        "sk-",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN ",
        "://a:",
        "a:",
        "b@",
        "authorization: ",
        "authorization\\\\",
        "password ",
        "--",
        "--a-",
        "password",
        "bearer a",
        "ghp_",
        '\\"token\\": \\"',
    ],
)
def test_no_text_takes_longer_than_in_proportion_to_its_length(unit: str) -> None:
    # What takes the square of its length takes hours for these.
    PLAIN.text("://" + unit * (600_000 // len(unit)))
    PLAIN.text('password="' + unit * (600_000 // len(unit)))
