"""`outboxd completion`: what a shell needs to complete our commands, made from the grammar.

Nothing is asked at completion time: the script holds the words. zsh runs that of bash.
"""

from collections.abc import Iterator
from shlex import quote
from typing import TYPE_CHECKING

from outboxd.cli.parser import Args, Nouns
from outboxd.cli.reply import Text

if TYPE_CHECKING:
    from outboxd.cli.grammar import Command, Flag

_BASH = r"""# outboxd completes in bash from here:  source <(outboxd completion bash)
# After `outboxd`, `outboxd jobs`, `outboxd jobs list`, `outboxd jobs list --status`: the words that may come.
_outboxd_words() {
  case "$1" in
__CASES__
  esac
}
_outboxd() {
  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}"
  local noun="${COMP_WORDS[1]}" verb="${COMP_WORDS[2]}" at words
  if (( COMP_CWORD == 1 )); then
    at=""
  elif [[ " __NOUNS__ " != *" $noun "* ]] || { (( COMP_CWORD == 2 )) && [[ "$cur" != -* ]]; }; then
    at="$noun"
  else
    [[ "$verb" == -* ]] && verb=list
    at="$noun $verb"
  fi
  COMPREPLY=()
  if [[ "$prev" == -* ]] && words="$(_outboxd_words "$at $prev")" && [[ -n "$words" ]]; then
    [[ "$words" != "<value>" ]] || { compopt -o default 2>/dev/null; return 0; }
  else
    words="$(_outboxd_words "$at")"
  fi
  local word
  while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -W "$words" -- "$cur")
}
complete -F _outboxd outboxd
"""
_ZSH = """#compdef outboxd
# outboxd completes in zsh from here:  source <(outboxd completion zsh)
autoload -U +X compinit && compinit -u
autoload -U +X bashcompinit && bashcompinit
"""
_FISH = """# outboxd completes in fish from here:  outboxd completion fish | source
complete -c outboxd -f
"""
_SHELLS = ("bash", "zsh", "fish")


def add(nouns: Nouns) -> None:
    text = "a script that makes a shell complete these commands: source <(outboxd completion bash)"
    parser = nouns.command("completion", text, show, needs="nothing")
    parser.add_argument("shell", choices=_SHELLS, help="which")


async def show(args: Args) -> Text:
    from outboxd.cli import frame, grammar

    top = grammar.read(frame.nouns().parser)
    script = {"bash": _bash, "zsh": _zsh, "fish": _fish}[args.shell](top)
    return Text(text=script.rstrip("\n"), document={"shell": args.shell, "script": script})


def _bash(top: "Command") -> str:
    nouns = " ".join(noun.name for noun in top.below if noun.below)
    cases = "\n".join(f"  {quote(at)}) echo {quote(' '.join(words))} ;;" for at, words in _following(top))
    return _BASH.replace("__CASES__", cases).replace("__NOUNS__", nouns)


def _zsh(top: "Command") -> str:
    return _ZSH + _bash(top)


def _fish(top: "Command") -> str:
    return _FISH + "".join(f"complete -c outboxd {line}\n" for line in _fish_lines(top))


def _following(at: "Command") -> Iterator[tuple[str, list[str]]]:
    """Each place, and the words that may come there; `<value>` where any may."""
    place = " ".join(at.words)
    listed = next((verb for verb in at.below if verb.name == "list" and len(at.words) == 1), None)
    flags = (listed or at).flags
    # A noun alone is its list, whose flags may follow at once; the top has `--help` alone.
    yield place, [each.name for each in at.below] + [*at.choices] + [_long(flag) for flag in flags]
    for flag in at.flags if not at.below else ():
        if flag.takes_value:
            for name in flag.names:
                yield f"{place} {name}", [*flag.choices] or ["<value>"]
    for below in at.below:
        yield from _following(below)


def _fish_lines(top: "Command") -> Iterator[str]:
    for noun in top.below:
        yield f"-n __fish_use_subcommand -a {noun.name} -d {_fish_quote(noun.text)}"
        seen = f"__fish_seen_subcommand_from {noun.name}"
        verbs = " ".join(verb.name for verb in noun.below)
        for verb in noun.below:
            unseen = f"{seen}; and not __fish_seen_subcommand_from {verbs}"
            yield f"-n '{unseen}' -a {verb.name} -d {_fish_quote(verb.text)}"
            for flag in verb.flags:
                yield _fish_flag(f"{seen}; and __fish_seen_subcommand_from {verb.name}", flag)
        for flag in noun.flags if not noun.below else ():
            yield _fish_flag(seen, flag)
        if noun.choices:
            yield f"-n '{seen}' -a {quote(' '.join(noun.choices))}"


def _fish_flag(when: str, flag: "Flag") -> str:
    values = f" -a {quote(' '.join(flag.choices))}" if flag.choices else " -F"
    takes = f" -r{values}" if flag.takes_value else ""
    return f"-n '{when}' -l {_long(flag).removeprefix('--')}{takes} -d {_fish_quote(flag.text)}"


def _long(flag: "Flag") -> str:
    return max(flag.names, key=len)


def _fish_quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
