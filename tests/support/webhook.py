"""What a person's webhook would be: prints each notification that is posted to it as one line. Run in the stack."""

from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        print(self.rfile.read(int(self.headers["Content-Length"])).decode().strip(), flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Only the notifications are printed."""


HTTPServer(("", 8000), Handler).serve_forever()
