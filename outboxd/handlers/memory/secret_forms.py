"""What secrets look like. Each form starts with fixed letters, since those are looked for a hundred times
faster than anything else; what may not stand before them is asked afterwards.

No form looks at a stretch of text twice: what repeats is possessive or bounded, and ends where the next
start can be. So a hostile text costs what any text of its length does.
"""

import re

import msgspec


class Form(msgspec.Struct, frozen=True):
    kind: str
    pattern: re.Pattern[str]
    """Its named group, if one took part, is the secret; else all of it."""
    lowered: bool = False
    """The pattern is meant for the text in lower case."""


def _token(kind: str, letters: str, rest: str) -> Form:
    """A token known by its first letters, where no word runs into them."""
    return Form(kind, re.compile(rf"{letters}(?<![A-Za-z0-9]{letters}){rest}"))


_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]++ ){0,3}?PRIVATE KEY(?: BLOCK)?-----"
    # As far as it looks like a key, where nothing ends it.
    r"(?:[\w+/=\s:,.\\()]++|-(?!----END ))*+(?:-----END [A-Z0-9 ]{1,40}-----)?"
)
_URL_PASSWORD = re.compile(
    r"://[^\s/:@\"'<>`]{0,255}:(?!\[redacted:)(?P<secret>[^\s/\"'<>`]{1,511})@",
)
_AUTHORIZATION = re.compile(
    r"authorization\\{0,7}[\"']?[ \t]{0,8}[:=][ \t]{0,8}\\{0,7}[\"']?"
    r"(?:(?:bearer|basic|token|digest|negotiate|apikey|key|hmac|aws4-hmac-sha256)[ \t]{1,8}|(?=\S{8}))"
    r"(?!\[redacted:)(?P<secret>[^\s\"'`,;(){}<>\\]{3,}+)(?!\()"
)

_TOKENS = (
    _token("aws", "A", r"(?:KIA|SIA|BIA|CCA)[A-Z2-7]{16}(?![A-Za-z0-9])"),
    _token("github", "gh", r"[pousr]_[A-Za-z0-9]{36,255}+"),
    _token("github", "github_pat_", r"[A-Za-z0-9_]{22,255}+"),
    _token("gitlab", "gl", r"(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt)-[\w.-]{20,255}+"),
    _token("slack", "xox", r"[a-z]-[A-Za-z0-9-]{10,255}+"),
    _token("slack", "xapp-", r"[A-Za-z0-9-]{10,255}+"),
    _token("slack", r"hooks\.slack\.com/", r"[A-Za-z]{1,20}/[\w/+-]{10,255}+"),
    _token("stripe", "sk_", r"(?:live|test)_[A-Za-z0-9]{10,255}+"),
    _token("stripe", "rk_", r"(?:live|test)_[A-Za-z0-9]{10,255}+"),
    _token("google", "AIza", r"[\w-]{35}"),
    _token("google", "GOCSPX-", r"[\w-]{20,255}+"),
    _token("google", r"ya29\.", r"[\w-]{20,2048}+"),
    _token("npm", "npm_", r"[A-Za-z0-9]{36,255}+"),
    _token("pypi", "pypi-", r"[\w-]{32,2048}+"),
    _token("anthropic", "sk-ant-", r"[\w-]{16,255}+"),
    # A key has digits; `sk-fading-circle-delay` is a style sheet's.
    _token("openai", "sk-", r"(?=[A-Za-z_-]{0,40}[0-9])[\w-]{20,255}+"),
    _token("outboxd", "obx_", r"[\w-]{32,64}+"),
    _token("outboxd", "whs", r"(?:ec|k)_[A-Za-z0-9+/_-]{24,128}+={0,2}"),
    _token("jwt", "eyJ", r"(?<![._-]eyJ)[\w-]{8,}+\.eyJ[\w-]{8,}+(?:\.[\w-]*+)?"),
)


# Between a name and its value, where the value is quoted, and where it is not.
_QUOTED = r"[\"']?[ \t]{0,8}[:=]=?>?[ \t]{0,8}"
_LAST = r"[\"']?[ \t]{0,8}[:=][ \t]{0,8}"
_NESTED = r"\\{1,7}[\"'][ \t]{0,8}:[ \t]{0,8}\\{1,7}[\"']"
# A type is no secret, nor is what was replaced before.
_NONE = r"(?!(?:str|string|int|number|bool|boolean|bytes|any|none|null|nil|undefined|unknown|true|false)\b)"
_OURS = r"(?!\[redacted:)"
_BARE = r"[^\s\"'`,;&|(){}\[\]<>\\]{3,}+"
_VALUE = "|".join(
    (
        # name="…", "name": '…', to the end of the line if nothing closes it
        rf"{_QUOTED}\"{_OURS}(?P<double>(?:[^\"\\\n]|\\.)++)",
        rf"{_QUOTED}'{_OURS}(?P<single>(?:[^'\\\n]|\\.)++)",
        # \"name\": \"…\", as JSON inside of JSON has it
        rf"{_NESTED}{_OURS}(?P<nested>[^\"'\\\n]++)",
        # name=… in a shell, a query, a connection string
        rf"={_OURS}{_NONE}(?P<bare>{_BARE})(?!\()",
        # name = …, name: … as the last on its line, in YAML, INI and headers
        rf"{_LAST}{_OURS}{_NONE}(?P<last>{_BARE})(?=[ \t]{{0,8}}(?:[\r\n\"']|\Z))",
    )
)


def _named(kind: str, word: str) -> Form:
    """The value that a text gives to a name that ends with `word`."""
    return Form(kind, re.compile(rf"{word}(?:{_VALUE})"), lowered=True)


def _option(kind: str, words: str) -> Form:
    """`--password …`, as on a command line."""
    return Form(kind, re.compile(rf"--{words}[ \t]{_OURS}(?P<secret>[^\s-]\S{{2,}}+)"), lowered=True)


_NAMED = (
    _named("password", r"pass(?:word|wd|phrase)"),
    _named("password", "pwd"),
    _named("secret", r"secret(?:[_-]?key)?"),
    _named("secret", r"private[_-]?key"),
    _named("secret", "credentials?"),
    _named("token", "token"),
    _named("api_key", r"api[_-]?key"),
    _named("api_key", r"access[_-]?key"),
    _option("password", r"(?:[a-z]{1,15}-){0,2}pass(?:word|wd|phrase)"),
    _option("token", r"(?:[a-z]{1,15}-){0,2}(?:token|secret|api-?key)"),
)

FORMS: tuple[Form, ...] = (
    Form("private_key", _PRIVATE_KEY),
    *_TOKENS,
    Form("url_password", _URL_PASSWORD),
    Form("authorization", _AUTHORIZATION, lowered=True),
    Form("authorization", re.compile(r"bearer (?P<secret>[a-z0-9._~+/-]{16,}+=*)"), lowered=True),
    *_NAMED,
)
"""The most telling first: of two that start at one place the earlier says the kind."""

NAMES = {
    "password": "password",
    "passwd": "password",
    "passphrase": "password",
    "pwd": "password",
    "secret": "secret",
    "secretkey": "secret",
    "privatekey": "secret",
    "credential": "secret",
    "credentials": "secret",
    "token": "token",
    "apikey": "api_key",
    "accesskey": "api_key",
    "authorization": "authorization",
}
"""The last words of a key in JSON, in lower case and without `_` and `-`, and the kind of its value."""
