#!/usr/bin/env python3
"""An ERP that looks at who comes, and the server of its tokens: one port, standard library only.

    logins.py [CERT KEY CA]     with TLS: its certificate and key, and the CA that clients must be signed by

Prints `port N`. Each line of its input is a JSON object of settings, each answer the state as one line. Settings:
`header`, `value`: what POST /events wants; null value: a token of its own. `client`: [id, secret] that POST /token wants, in the
body or as Basic. `life`: seconds of a token, by its own clock. `revoke`: true: no token given so far is taken. `slow`: seconds
that /token takes. `down`: true: /token answers 503. Refusals repeat what was shown, as some servers do.
"""

import base64
import json
import ssl
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOCK = threading.Lock()
SET = {"header": "Authorization", "value": None, "client": None, "life": 3600, "slow": 0, "down": False}
STATE = {"keys": [], "again": 0, "refused": 0, "given": 0, "token_refused": 0, "asked": 0, "at_once": 0, "forms": []}
TOKENS = {}
NOW = {"at_once": 0}


class Erp(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer leaves in one piece

    def log_message(self, *_):
        pass

    def answer(self, status, body, **headers):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/token":
            return self.token(urllib.parse.parse_qs(body.decode()))
        with LOCK:
            shown = self.headers.get(SET["header"], "")
            if SET["value"] is None:
                good = TOKENS.get(shown.removeprefix("Bearer "), 0) > time.monotonic()
            else:
                good = shown == SET["value"]
            if not good:
                STATE["refused"] += 1
                return self.answer(401, {"title": "Not authorized", "detail": f"{shown} is not known here"})
            results = []
            for event in json.loads(body)["events"]:
                again = event["key"] in STATE["keys"]
                STATE["again"] += again
                if not again:
                    STATE["keys"].append(event["key"])
                results.append({"key": event["key"], "status": "duplicate" if again else "posted"})
        self.answer(200, {"results": results})

    def token(self, form):
        with LOCK:
            STATE["asked"] += 1
            NOW["at_once"] += 1
            STATE["at_once"] = max(STATE["at_once"], NOW["at_once"])
        time.sleep(SET["slow"])
        with LOCK:
            NOW["at_once"] -= 1
            if SET["down"]:
                return self.answer(503, {"error": "temporarily_unavailable"})
            shown = [form.get("client_id", [""])[0], form.get("client_secret", [""])[0]]
            basic = self.headers.get("Authorization", "")
            if basic.startswith("Basic "):
                pair = base64.b64decode(basic[6:]).decode().split(":", 1)
                shown = [urllib.parse.unquote_plus(part) for part in pair]
            if shown != SET["client"] or form.get("grant_type") != ["client_credentials"]:
                STATE["token_refused"] += 1
                words = f"{shown[0]} with {shown[1]} is nobody"
                return self.answer(401, {"error": "invalid_client", "error_description": words})
            STATE["given"] += 1
            STATE["forms"] = sorted(name for name in form if name != "client_secret")
            token = f"tok-{STATE['given']}-0a9b8c7d6e5f"
            TOKENS[token] = time.monotonic() + SET["life"]
            self.answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": SET["life"]})


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # who shows no certificate is no fault of ours


def main():
    server = Server(("127.0.0.1", 0), Erp)
    if len(sys.argv) > 1:
        cert, key, ca = sys.argv[1:]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
        # The handshake belongs to the thread of its connection.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"port {server.server_port}", flush=True)
    for line in sys.stdin:
        with LOCK:
            settings = json.loads(line)
            if settings.pop("revoke", False):
                TOKENS.clear()
            SET.update(settings)
            print(json.dumps(STATE), flush=True)


if __name__ == "__main__":
    main()
