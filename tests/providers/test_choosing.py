"""Which provider the settings mean, and what stops the boot."""

from pathlib import Path

import pytest

from outboxd import providers
from outboxd.errors import ConfigError
from outboxd.providers import configured
from outboxd.providers.choosing import Choice, choice
from tests.proofs import proves
from tests.providers.calling import settings

CLAUDE = {"ANTHROPIC_API_KEY": "k"}
GEMINI = {"GEMINI_API_KEY": "k"}
OPENAI = {"OPENAI_API_KEY": "k"}
OPENROUTER = {"OPENROUTER_API_KEY": "k"}


def chosen(*parts: dict[str, str], **environ: str) -> Choice:
    return choice(settings(**{name: value for part in parts for name, value in part.items()}, **environ))


def refused(*parts: dict[str, str], **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        chosen(*parts, **environ)
    (problem,) = caught.value.problems
    return problem


def test_without_a_key_it_is_offline() -> None:
    assert chosen() == Choice(default="offline", fallback=None, models={"offline": "offline-1"})


@pytest.mark.parametrize(
    ("keys", "default"),
    [
        ((OPENROUTER, OPENAI, GEMINI, CLAUDE), "claude"),
        ((OPENROUTER, OPENAI, GEMINI), "gemini"),
        ((OPENROUTER, OPENAI), "openai"),
        ((OPENROUTER,), "openrouter"),
    ],
)
def test_the_first_with_a_key_is_meant_where_none_is_named(keys: tuple[dict[str, str]], default: str) -> None:
    found = chosen(*keys, OUTBOXD_MODEL="m-1")
    assert (found.default, found.models[default]) == (default, "m-1")
    assert set(found.models) == set(configured(settings(**{k: v for part in keys for k, v in part.items()})))


@pytest.mark.parametrize(
    ("name", "keys", "meant"),
    [
        ("claude", CLAUDE, "claude"),
        ("anthropic", CLAUDE, "claude"),
        ("gemini", GEMINI, "gemini"),
        ("offline", CLAUDE, "offline"),
    ],
)
def test_a_name_is_meant(name: str, keys: dict[str, str], meant: str) -> None:
    assert chosen(GEMINI, keys, OUTBOXD_PROVIDER=name).default == meant


def test_a_model_belongs_to_the_provider_that_is_meant() -> None:
    found = chosen(CLAUDE, GEMINI, OPENAI, OUTBOXD_MODEL="claude-opus-5")
    assert found.models == {
        "claude": "claude-opus-5",
        "gemini": "gemini-flash-latest",
        "openai": None,
        "offline": "offline-1",
    }
    assert chosen(OUTBOXD_MODEL="m-1").models == {"offline": "offline-1"}


@proves("M27")
def test_what_cannot_be_meant_stops_the_boot_with_one_sentence() -> None:
    assert refused(OUTBOXD_PROVIDER="grok") == (
        "OUTBOXD_PROVIDER: got 'grok'; wants claude or gemini or openai or openrouter or offline"
    )
    assert refused(GEMINI, OUTBOXD_PROVIDER="claude") == (
        "OUTBOXD_PROVIDER: got 'claude'; wants its key too: OUTBOXD_ANTHROPIC_API_KEY is not set"
    )
    assert refused(OPENAI) == "OUTBOXD_MODEL: not set; wants a model of openai, which has no default"
    assert "OUTBOXD_OPENAI_API_KEY" in refused(
        OUTBOXD_PROVIDER="openai", OUTBOXD_OPENAI_BASE_URL="https://gw.example/v1"
    )


@pytest.mark.parametrize(
    "base", ["http://127.0.0.1:1", "http://[::1]:1/v1", "http://10.0.0.7/v1", "http://ollama:11434/v1"]
)
def test_a_local_server_wants_no_key(base: str) -> None:
    found = chosen(OUTBOXD_PROVIDER="openai", OUTBOXD_OPENAI_BASE_URL=base, OUTBOXD_MODEL="m-1")
    assert found.default == "openai"


def test_a_fallback_is_another_provider_with_its_own_model() -> None:
    found = chosen(CLAUDE, OPENAI, OUTBOXD_PROVIDER_FALLBACK="openai:m-2", OUTBOXD_MODEL="claude-opus-5")
    assert (found.fallback, found.models["openai"]) == ("openai", "m-2")
    assert chosen(CLAUDE, OUTBOXD_PROVIDER_FALLBACK="offline").fallback == "offline"
    assert (
        chosen(CLAUDE, GEMINI, OUTBOXD_PROVIDER_FALLBACK="gemini").models["gemini"] == "gemini-flash-latest"
    )


@proves("M27")
def test_a_fallback_that_cannot_be_meant_stops_the_boot() -> None:
    setting = "OUTBOXD_PROVIDER_FALLBACK"
    assert refused(CLAUDE, OUTBOXD_PROVIDER_FALLBACK="gemini").startswith(
        f"{setting}: got 'gemini'; wants its key"
    )
    assert refused(CLAUDE, OUTBOXD_PROVIDER_FALLBACK="grok").startswith(
        f"{setting}: got 'grok'; wants claude or"
    )
    assert refused(CLAUDE, OUTBOXD_PROVIDER_FALLBACK="anthropic").endswith(
        "wants another than the first provider"
    )
    assert refused(CLAUDE, OPENAI, OUTBOXD_PROVIDER_FALLBACK="openai").endswith("as openai:<model>")


async def test_providers_are_opened_with_what_was_chosen() -> None:
    async with providers.opened(settings(**CLAUDE, OUTBOXD_PROVIDER_FALLBACK="offline")) as found:
        assert (found.default, found.fallback, found.names) == ("claude", "offline", ("claude", "offline"))
        assert (found.model("claude"), found.model("gemini")) == ("claude-sonnet-5", None)


async def test_a_bad_line_of_prices_stops_the_boot_with_its_number(tmp_path: Path) -> None:
    file = tmp_path / "prices"
    file.write_text("# in, out\n\nm-1 3000000 15000000\nm-2 3.5 1\nm-3 1\nm-4 -1 1\nm-5 0 0\n")
    with pytest.raises(ConfigError) as caught:
        async with providers.opened(settings(OUTBOXD_PRICES=str(file))):
            pass
    assert [line.split("line ")[1].split()[0] for line in caught.value.problems] == ["4", "5", "6"]


async def test_what_tokens_cost_is_rounded_up_and_unknown_without_a_price(tmp_path: Path) -> None:
    file = tmp_path / "prices"
    file.write_text("m-1 3000000 15000000\nm-2\t1 0\nfree 0 0\n")
    async with providers.opened(settings(OUTBOXD_PRICES=str(file))) as found:
        assert found.cost("m-1", 1000, 10) == 3150
        assert found.cost("m-2", 1, 0) == 1
        assert found.cost("free", 1000, 1000) == 0
        assert found.cost("m-3", 1000, 1000) is None
