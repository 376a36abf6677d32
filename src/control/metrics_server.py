"""`GET /metrics` on an address of its own, served by threads: a scrape never waits for the event loop."""

import socket
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

# How soon `close` is noticed.
_POLL_S = 0.05


class MetricsServer:
    """Serves a registry until it is closed. Raises OSError when the address can't be listened on."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        family, *_ = socket.getaddrinfo(host, port)[0]
        server_class = type("_Server", (ThreadingWSGIServer,), {"address_family": family})
        self._server: WSGIServer = make_server(host, port, make_wsgi_app(registry), server_class, _Silent)
        self.port: int = self._server.server_port
        self._thread = Thread(target=self._server.serve_forever, args=(_POLL_S,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are not worth a line."""
