"""HTTP server of the job and of the archive, with a login if the settings have one."""

import base64
import hmac
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server

from job.settings import Http
from job.wsgi_server import RequestHandler, Server

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
"""A WSGI application."""


def serve(application: Application, options: Http) -> WSGIServer:
    """Serve the application in a background thread.

    Each request has its own thread, so that a client that hangs cannot block the health check; a slow client loses its
    connection.
    """
    if options.username:
        application = require_login(application, options.username, options.password.get_secret_value())
    server = make_server("", options.port, application, Server, RequestHandler)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


def require_login(application: Application, username: str, password: str) -> Application:
    """The application behind a login by HTTP Basic: 401 for any request without it. The comparison takes constant
    time."""
    expected = b"Basic " + base64.b64encode(f"{username}:{password}".encode())

    def with_login(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        given = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1")
        if hmac.compare_digest(given, expected):
            return application(environ, start_response)
        start_response("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="metrics"')])
        return [b""]

    return with_login
