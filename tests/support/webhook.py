"""Webhook receiver for alert notifications: prints the JSON body of each POST as one line. Runs in a container."""

from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        print(self.rfile.read(int(self.headers["Content-Length"])).decode().strip(), flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """No access log: the output contains the notifications only."""


HTTPServer(("", 8000), Handler).serve_forever()
