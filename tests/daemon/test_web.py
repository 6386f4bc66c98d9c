"""The sockets that are listened on."""

import socket

from outboxd.daemon import web


def test_an_accepted_connection_sends_what_it_has_at_once() -> None:
    with web.bind("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
