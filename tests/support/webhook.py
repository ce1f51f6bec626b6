"""Webhook receiver for alert notifications: prints the JSON body of each POST as one line. Runs in a container.

Its arguments, if any, are the files of the certificate and the key with which it serves HTTPS.
"""

import ssl
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        print(self.rfile.read(int(self.headers["Content-Length"])).decode().strip(), flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """No access log: the output contains the notifications only."""


server = HTTPServer(("", 8000), Handler)
if sys.argv[1:]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[1:])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
