"""TCP proxy that drops responses of a server."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class LossyProxy:
    """Forward connections to a port of this machine; close the next ``drop_next`` ones instead of the response."""

    def __init__(self, port: int) -> None:
        self.drop_next = 0
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self._port))
                threading.Thread(target=self._forward, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._forward, args=(server, client, True), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, is_response: bool) -> None:
        with suppress(OSError):
            while content := source.recv(1 << 16):
                if is_response and self.drop_next:
                    self.drop_next -= 1
                    break
                target.sendall(content)
        for connection in (source, target):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
