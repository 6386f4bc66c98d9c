"""Spans of requests, publishes, attempts, deliveries and calls of models, for who asks for traces.

    request ── publish      all children of the event's stored traceparent, which is the request's span,
       └────── attempt      or what a producer in SQL gave; who samples is decided at the root
       └────── delivery, call of a provider ──▶ their target, by the header

Off, as it begins, `span` gives one object that does nothing, and the library is not even imported.
Attributes are ids, queue, handler and class: never a payload, an address or an error's text.
"""

import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from outboxd import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span as Recorded

Kind = Literal["request", "publish", "attempt", "delivery", "provider call"]

_KINDS = {"request": "SERVER", "publish": "PRODUCER", "attempt": "CONSUMER"}
"""The others are clients."""
_GOODBYE = 3.0

_provider: "TracerProvider | None" = None
_tracer: Any = None


class Span:
    """`with spans.span(…)`. This one, which there is while traces are off, does nothing."""

    __slots__ = ()
    traceparent: str | None = None
    """Of this span, for what it causes; None: traces are off."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, at: TracebackType | None
    ) -> None:
        return None

    def rename(self, name: str) -> None:
        """To what became known meanwhile, from a closed set."""

    def note(self, **attributes: Any) -> None:
        """Ids, queue, handler; those that are None are left out."""

    def ended(self, class_: str, *, failed: bool = False) -> None:
        """What came of it."""


_NOTHING = Span()


def span(kind: Kind, parent: str | None, state: str | None = None, **attributes: Any) -> Span:
    """A child of `parent` (a traceparent; None or malformed: a trace of its own) until the block ends."""
    if _tracer is None:
        return _NOTHING
    return _Recorded(kind, parent, state, attributes)


class _Recorded(Span):
    __slots__ = ("_span", "traceparent")

    def __init__(self, kind: Kind, parent: str | None, state: str | None, attributes: dict[str, Any]) -> None:
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carried = {"traceparent": parent or "", "tracestate": state or ""}
        # Never the ambient context: what runs here may have been started by anybody.
        above = TraceContextTextMapPropagator().extract(carried, context=Context())
        self._span: Recorded = _tracer.start_span(
            kind, context=above, kind=SpanKind[_KINDS.get(kind, "CLIENT")], record_exception=False
        )
        said = self._span.get_span_context()
        self.traceparent = f"00-{said.trace_id:032x}-{said.span_id:016x}-{said.trace_flags:02x}"
        self.note(**attributes)

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, at: TracebackType | None
    ) -> None:
        if kind is not None:
            self.ended(kind.__name__, failed=True)
        self._span.end()

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def note(self, **attributes: Any) -> None:
        for name, value in attributes.items():
            if value is not None:
                self._span.set_attribute(f"outboxd.{name}", str(value))

    def ended(self, class_: str, *, failed: bool = False) -> None:
        from opentelemetry.trace import StatusCode

        self._span.set_attribute("outboxd.class", class_)
        if failed:
            self._span.set_status(StatusCode.ERROR)


def start() -> None:
    """From now on spans are recorded and sent, as the standard's OTEL_* variables say."""
    global _provider, _tracer  # noqa: PLW0603 - one a process, as logs and metrics are
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    about = Resource.create({"service.version": __version__})
    if str(about.attributes[SERVICE_NAME]).startswith("unknown_service"):
        about = about.merge(Resource({SERVICE_NAME: "outboxd"}))
    # The sampler is the standard's: by the parent, and everything that begins here.
    _provider = TracerProvider(resource=about, shutdown_on_exit=False)
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = _provider.get_tracer("outboxd", __version__)


def stop() -> None:
    """Sends what is left, for a few seconds at most. It blocks."""
    global _provider, _tracer  # noqa: PLW0603 - as above
    if _provider is not None:
        # It tries again and again, past any limit that it is given: whoever cannot be reached is left.
        going = threading.Thread(target=_provider.shutdown, name="traces: goodbye", daemon=True)
        going.start()
        going.join(_GOODBYE)
    _provider = _tracer = None
