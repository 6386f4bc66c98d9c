"""A socket between the daemons' LISTEN connections and the server, that swallows when told to.

A half-open connection: both ends think that it lives, and nothing comes through.
"""

import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

_NAME = ".s.PGSQL.5432"


class Deafness:
    """`url` is the DSN through it. While `swallowing` is set, bytes are read and dropped, both ways."""

    def __init__(self, dsn: str) -> None:
        parts = conninfo_to_dict(dsn)
        self._target = str(Path(str(parts["host"])) / _NAME)
        self._folder = tempfile.TemporaryDirectory(prefix="outboxd-deaf-")
        host = quote(self._folder.name, safe="")
        self.url = f"postgresql://{parts['user']}:{parts['password']}@/{parts['dbname']}?host={host}"
        self.swallowing = threading.Event()
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(Path(self._folder.name) / _NAME))
        self._server.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()
        self._folder.cleanup()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._server.accept()
                there = socket.socket(socket.AF_UNIX)
                try:
                    there.connect(self._target)
                except OSError:
                    here.close()
                    continue
                for source, sink in ((here, there), (there, here)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if not self.swallowing.is_set():
                    sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
