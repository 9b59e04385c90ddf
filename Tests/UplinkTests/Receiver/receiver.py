#!/usr/bin/env python3
"""A webhook's other end, for tests: receiver.py LOG SECRET [key=value ...]

Listens on a port of 127.0.0.1 that it prints, and writes one line of JSON to LOG for each request: what came, and whether its signature
and its time are right. Keys:
  certificate=FILE key=FILE  speak TLS        newest=1.2   no TLS above that
  port=N                     this port        status=500,200  what it answers, in this order; the last one stays
  delay=SECONDS              before it answers   location=URL  a header of its answers   bytes=N  how long its answers are
  header_bytes=N             how long one header of them is
"""
import hashlib
import hmac
import http.server
import json
import socketserver
import ssl
import sys
import time


def is_genuine(headers, body, secret, now):
    """What docs/uplink.md tells receivers to check."""
    timestamp = headers.get("X-Panguard-Timestamp", "")
    if not timestamp.isdigit() or abs(now - int(timestamp)) > 300:
        return False
    expected = "sha256=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, headers.get("X-Panguard-Signature", ""))


def main():
    log, secret = sys.argv[1], open(sys.argv[2], "rb").read().rstrip(b"\r\n")
    options = dict(argument.split("=", 1) for argument in sys.argv[3:])
    statuses = [int(s) for s in options.get("status", "200").split(",")]

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            entry = {
                "path": self.path,
                "body": body.decode(),
                "genuine": is_genuine(self.headers, body, secret, time.time()),
                "key": self.headers.get("Idempotency-Key"),
                "headers": dict(self.headers),
                "tls": self.connection.version() if isinstance(self.connection, ssl.SSLSocket) else None,
            }
            with open(log, "a") as file:
                file.write(json.dumps(entry) + "\n")
            time.sleep(float(options.get("delay", "0")))
            status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
            answer = b"x" * int(options.get("bytes", "2"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            if "location" in options:
                self.send_header("Location", options["location"])
            if "header_bytes" in options:
                self.send_header("X-Long", "x" * int(options["header_bytes"]))
            self.end_headers()
            try:
                self.wfile.write(answer)
            except OSError:
                pass

        def log_message(self, *arguments):
            pass

    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True
        connections = 0

        def get_request(self):
            # Whoever connects is counted, also who says nothing.
            result = super().get_request()
            Server.connections += 1
            with open(log + ".connections", "w") as file:
                file.write(str(Server.connections))
            return result

        def handle_error(self, request, address):
            pass

    server = Server(("127.0.0.1", int(options.get("port", "0"))), Handler)
    if "certificate" in options:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options["certificate"], options["key"])
        if options.get("newest") == "1.2":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        # The handshake belongs to the connection's own thread.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(server.server_address[1], flush=True)
    server.serve_forever()


main()
