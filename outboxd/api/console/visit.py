"""One look at one page: who looks, what they ask for, and how the page reads and writes for them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from outboxd.api.console.render import Open
from outboxd.api.exchange import Api, Exchange, Reply
from outboxd.api.queries import moment
from outboxd.api.wire import uuid_of
from outboxd.db.link import Link
from outboxd.errors import Invalid, NotFound
from outboxd.model import Caller
from outboxd.store import consoles
from outboxd.store.callers import ByKey
from outboxd.store.consoles import Session

if TYPE_CHECKING:
    from outboxd.api.console.figures import Figures

T = TypeVar("T")

Form = Mapping[str, Sequence[str]]
_LONGEST = 2000
_AGES = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Visit:
    """`caller` reads; `by(scope)` acts, with the key judged again in the statement that does."""

    def __init__(
        self, exchange: Exchange, session: Session, form: Form, figures: "Figures", token: str
    ) -> None:
        self.exchange = exchange
        self.session = session
        self.caller: Caller = exchange.caller
        self.figures = figures
        self.token = token
        """What forms of this session carry."""
        self._form = form

    @property
    def api(self) -> Api:
        return self.exchange.api

    @property
    def operator(self) -> bool:
        return self.caller.everywhere

    def by(self, scope: str = consoles.SCOPE) -> ByKey:
        return ByKey(
            actor=self.caller.actor,
            key_id=self.session.key.id,
            scope=scope,
            request_id=self.exchange.request_id,
        )

    async def read(self, body: Callable[[Link], Awaitable[T]]) -> T:
        async with self.api.db.connection() as conn:
            return await body(conn)

    async def write(self, body: Callable[[Link], Awaitable[T]]) -> T:
        """In a transaction whose audit rows say that they came by the console."""

        async def told(conn: Link) -> T:
            await consoles.via(conn)
            return await body(conn)

        return await self.api.db.run(told)

    def part(self, name: str) -> str:
        """Of the path."""
        return self.exchange.parameter(name)

    def part_id(self, noun: str, name: str = "id") -> UUID:
        """Raises NotFound for what is no id, which nothing has."""
        found = uuid_of(self.part(name))
        if found is None:
            raise NotFound(f"{noun} not found")
        return found

    def text(self, name: str, most: int = 255) -> str | None:
        """What the form says, else the query; None when it is empty. Raises Invalid when it is too long."""
        said = self._said(name)
        if said is not None and (len(said) > most or "\x00" in said):
            raise Invalid(f"{name}: at most {most} characters")
        return said

    def number(self, name: str, low: float, high: float) -> float | None:
        said = self._said(name)
        if said is None:
            return None
        try:
            number = float(said)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise Invalid(f"{name}: a number from {low:,} to {high:,}")
        return number

    def whole(self, name: str, low: int, high: int) -> int | None:
        number = self.number(name, low, high)
        if number is not None and number != int(number):
            raise Invalid(f"{name}: a whole number")
        return None if number is None else int(number)

    def choice(self, name: str, options: Sequence[str], default: str | None = None) -> str | None:
        said = self._said(name)
        if said is not None and said not in options:
            raise Invalid(f"{name}: one of {', '.join(options)}")
        return said or default

    def ident(self, name: str) -> UUID | None:
        """An id that is not well formed is one that nothing has."""
        said = self._said(name)
        return None if said is None else uuid_of(said) or UUID(int=0)

    def idents(self, name: str) -> list[UUID]:
        found = [uuid_of(said) for said in self._form.get(name, ())]
        return [each for each in found if each is not None]

    def time(self, name: str) -> datetime | None:
        """ISO 8601, milliseconds since 1970, or an age as `90s 15m 2h 3d`."""
        said = self._said(name)
        if said is None:
            return None
        age = _age(said)
        at = datetime.now(UTC) - age if age is not None else moment(said)
        if at is None:
            raise Invalid(f"{name}: a time, or an age as 15m, 2h, 3d")
        return at

    def span(self, name: str) -> timedelta | None:
        """As `90s 15m 2h 3d`."""
        said = self._said(name)
        found = None if said is None else _age(said)
        if said is not None and found is None:
            raise Invalid(f"{name}: a length as 15m, 2h, 3d")
        return found

    def asked(self, *names: str) -> Open:
        """Those of the parameters that say something, for links and hidden fields."""
        found = {name: self._said(name) for name in names}
        return Open({name: said for name, said in found.items() if said is not None})

    def _said(self, name: str) -> str | None:
        given = self._form.get(name) or [self.exchange.query.get(name, "")]
        said = given[-1].strip()[: _LONGEST * 10]
        return said or None


Page = Callable[[Visit], Awaitable[Reply]]


def go(path: str, **query: Any) -> Reply:
    """See other: what was asked for is done, and this shows how it stands now."""
    from urllib.parse import urlencode

    said = urlencode({name: value for name, value in query.items() if value is not None})
    target = f"{path}?{said}" if said else path
    return Reply(303, b"", ((b"location", target.encode("ascii")),))


def _age(said: str) -> timedelta | None:
    number, unit = said[:-1], said[-1:]
    if not number.isascii() or not number.isdigit() or len(number) > 6 or unit not in _AGES:
        return None
    return timedelta(seconds=int(number) * _AGES[unit])


def done(visit: Visit, sentences: Mapping[str, str]) -> str | None:
    """What the page before did, as one of our sentences; `n` in the query may count it."""
    said = sentences.get(visit.exchange.query.get("done", ""))
    count = visit.exchange.query.get("n", "")
    return said and said.format(n=f"{int(count[:9]):,}" if count.isascii() and count.isdigit() else "some")
