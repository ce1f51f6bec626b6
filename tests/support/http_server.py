"""An HTTP server for tests that stops at once: by default the end of a test waits up to half a second for it."""

import pytest_httpserver


class HTTPServer(pytest_httpserver.HTTPServer):
    def thread_target(self) -> None:
        assert self.server is not None
        self.server.serve_forever(poll_interval=0.01)
