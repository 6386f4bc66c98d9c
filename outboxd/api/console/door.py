"""The doors of the console: whose page a request is for, who looks, and whether they may.

    session (cookie, judged in the database) ─▶ origin ─▶ form and its token ─▶ the page
        none: the login form, whatever was asked; a request that would change something: 403, nothing done

Errors become pages too. What is said of a refusal is the error's own sentence.
"""

import hmac
import re
from collections.abc import Mapping
from urllib.parse import parse_qs, parse_qsl

import msgspec
import structlog
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from outboxd.api import auth, bodies
from outboxd.api.console import render, signing
from outboxd.api.console.figures import Figures
from outboxd.api.console.live import Live
from outboxd.api.console.pages import LIVE, PAGES
from outboxd.api.console.visit import Form, Visit
from outboxd.api.exchange import Api, Exchange, Header, Reply, Stream, of, send_reply
from outboxd.errors import BadRequest, Broken, Error, Forbidden, MethodNotAllowed, NotFound, TooLarge
from outboxd.model import Caller
from outboxd.store.keys import Found

log = structlog.get_logger()

_LARGEST_FORM = 256 * 1024
_MOST_FIELDS = 1100
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# With no referrer at all a browser calls the origin of a form `null`, as it would a stranger's.
_OURS: tuple[Header, ...] = (
    (b"content-security-policy", POLICY),
    (b"referrer-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_REPLACED = {name for name, _ in _OURS}
_SAFE = frozenset({"GET", "HEAD"})
_STATIC = "/console/static/{name}"
_WANT_LOGIN = "Please sign in."


class Console:
    """All doors of a process; `routes` are theirs."""

    def __init__(self, api: Api) -> None:
        self.figures = Figures(api.db)
        self.live = Live(api.db, self.figures, LIVE)
        api.wakes.on_key(self.live.revoked)

    def routes(self) -> list[Route]:
        found = [Route(path, endpoint=Door(self, path, pages)) for path, pages in PAGES.items()]
        return [
            Route(_STATIC, endpoint=Static()),
            *found,
            Route("/console/{rest:path}", endpoint=Door(self, "/console/{rest}", {})),
        ]


class Door:
    """One path."""

    def __init__(self, console: Console, template: str, pages: Mapping[str, object]) -> None:
        self._console = console
        self._template = template
        self._pages = dict(pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = of(scope)
        exchange.template = self._template
        exchange.extra[:] = [each for each in exchange.extra if each[0] not in _REPLACED]
        exchange.extra.extend(_OURS)
        try:
            exchange.query = _query(scope["query_string"])
            reply = await self._answer(exchange)
            if isinstance(reply, Stream):
                await exchange.api.flows.send(exchange, reply, send)
                return
        except Error as failed:
            reply = self._refusal(exchange, failed)
        except Exception:  # a defect of ours is a page too, and says no more
            log.exception("page broke", request_id=exchange.request_id)
            reply = self._refusal(exchange, Broken("Something broke here. It is in the log."))
        if not exchange.status:
            await send_reply(reply, exchange.method, send)

    async def _answer(self, exchange: Exchange) -> Reply | Stream:
        safe = exchange.method in _SAFE
        if not safe and exchange.method != "POST":
            raise MethodNotAllowed("pages are read or posted to", ("GET", "HEAD", "POST"))
        if not safe and not signing.same_origin(exchange):
            raise Forbidden("This did not come from a page of this console, so nothing was done.")
        form = {} if safe else await _form(exchange)
        if self._template == "/console/login" and not safe:
            return await signing.enter(exchange, {name: said[-1] for name, said in form.items()})
        session = await signing.session(exchange, touch=_is_use(exchange))
        if session is None:
            said = None if safe else "You are signed out, so nothing was done."
            after = exchange.path + _again(exchange) if safe else None
            return signing.form(exchange, 200 if safe else 403, said=said, after=after)
        exchange.key, exchange.caller = session.key, _caller(session.key, exchange.request_id)
        visit = Visit(exchange, session, form, self._console.figures, session.csrf.hex())
        exchange.scope["console.visit"] = visit
        if not safe and not hmac.compare_digest(form.get("csrf", [""])[-1].encode(), visit.token.encode()):
            raise Forbidden("This form was not one of your session, so nothing was done. Please try again.")
        return await self._page(exchange, visit)

    async def _page(self, exchange: Exchange, visit: Visit) -> Reply | Stream:
        if self._template == "/console/live":
            page = exchange.query.get("page", "")
            if page not in LIVE or exchange.method == "HEAD":
                raise NotFound("nothing of that name is live")
            return self._console.live.stream(visit.caller, visit.session.hash, page)
        if self._template == "/console/logout" and exchange.method == "POST":
            return await signing.leave(exchange, visit.session, visit.by())
        page_of = self._pages.get("POST" if exchange.method == "POST" else "GET")
        if not self._pages:
            raise NotFound("There is no such page.")
        if page_of is None:
            return Reply(303, b"", ((b"location", b"/console"),))
        reply: Reply = await page_of(visit)  # type: ignore[operator]
        return reply

    def _refusal(self, exchange: Exchange, error: Error) -> Reply:
        visit: Visit | None = exchange.scope.get("console.visit")
        headers: tuple[Header, ...] = ()
        if error.retry_in is not None:
            headers = ((b"retry-after", b"%d" % max(1, round(error.retry_in.total_seconds()))),)
        said = "Something broke here. It is in the log." if isinstance(error, Broken) else error.detail
        return render.page(
            "refused.html",
            error.status,
            headers,
            visit=visit,
            section=None,
            error=error,
            said=said,
            title="Not done",
        )


class Static:
    """Files of the package. A file's name says what is in it, so it never changes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = of(scope)
        exchange.template = _STATIC
        found = render.assets().get(exchange.parameter("name"))
        if found is None:
            raise NotFound("no such file")
        if exchange.method not in _SAFE:
            raise MethodNotAllowed("files are read", ("GET", "HEAD"))
        headers = (
            (b"content-type", found.kind.encode()),
            (b"cache-control", b"public, max-age=31536000, immutable"),
        )
        await send_reply(Reply(200, found.body, headers), exchange.method, send)


async def _form(exchange: Exchange) -> Form:
    """Raises BadRequest for what is no form, TooLarge."""
    media = exchange.headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if media != b"application/x-www-form-urlencoded":
        raise BadRequest("This was no form.")
    sent = await bodies.read(exchange, _LARGEST_FORM)
    try:
        return parse_qs(sent.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except UnicodeDecodeError:
        raise BadRequest("This form is not valid UTF-8.") from None
    except ValueError:
        raise TooLarge("This form has too many fields.") from None


def _query(text: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(text.decode(), keep_blank_values=True, max_num_fields=100, errors="strict"))
    except ValueError:
        raise BadRequest("The query is not valid UTF-8, or too long.") from None


def _caller(key: Found, request_id: str) -> Caller:
    """Of a key that is bound to no team: everywhere, which only the console and the command line may say."""
    return msgspec.structs.replace(auth.caller(key, request_id), everywhere=key.team_id is None)


def _is_use(exchange: Exchange) -> bool:
    """Pages that reload by themselves do not keep anybody signed in."""
    return "reloaded" not in exchange.query and exchange.path != "/console/live"


def _again(exchange: Exchange) -> str:
    query = exchange.scope["query_string"].decode("latin-1")
    return f"?{query}" if re.fullmatch(r"[A-Za-z0-9._~:%/=&+*-]+", query) else ""
