#!/usr/bin/env python3
"""An ERP that takes all-or-nothing OData 4.01 JSON batches and knows requests again, on the standard library alone.

Prints `port N` first. Each line on stdin is a JSON object with new settings, answered by the state as one line: each request's
key, when it says to have left first, the SHA-256 of its body, its rows and what was done; and the documents in their order.

    "lose": K         commits, and cuts the connection instead of answering, at every Kth request; 0: never
    "bad": [SUBJECT]  refuses a posting of these subjects with 400
    "stale": [...]    has changed the documents of these subjects: 412
    "group": true     answers a refusal with one response for the group, as if it knew no better
"""

import hashlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Erp:
    def __init__(self):
        self.settings = {"lose": 0, "bad": [], "stale": [], "group": False}
        self.lock = threading.Lock()
        self.requests, self.documents, self.answers = [], [], {}

    def refusal(self, request):
        subject = request["body"]["subject"]
        if subject in self.settings["bad"]:
            return 400, "the delivery is blocked for credit reasons"
        if subject in self.settings["stale"]:
            return 412, "the delivery was changed by another user"
        return None

    def judge(self, requests):
        """The responses of a batch, and the documents that it makes: all of them or none."""
        refused = [(request, self.refusal(request)) for request in requests if self.refusal(request)]
        if not refused:
            made = [(request["id"], request["body"]["subject"], request["body"]["seq"]) for request in requests]
            number = lambda at: {"location": f"Documents({len(self.documents) + at + 1})"}
            return [{"id": r["id"], "status": 201, "headers": number(at)} for at, r in enumerate(requests)], made
        said = lambda id, status, text: {"id": id, "status": status, "body": {"error": {"code": "FG/001", "message": text}}}
        if self.settings["group"]:
            return [said(requests[0]["atomicityGroup"], *refused[0][1])], []
        return [said(request["id"], *why) for request, why in refused], []

    def take(self, key, first_sent, body):
        """The answer, or None where it is lost."""
        asked = json.loads(body)["requests"]
        assert len({request["atomicityGroup"] for request in asked}) == 1, "one atomicity group"
        with self.lock:
            digest = hashlib.sha256(body).hexdigest()
            entry = {"key": key, "first_sent": first_sent, "hash": digest, "rows": [r["id"] for r in asked]}
            self.requests.append(entry)
            entry["again"] = key in self.answers
            if not entry["again"]:
                responses, made = self.judge(asked)
                self.documents += [dict(zip(("key", "subject", "seq"), document)) for document in made]
                self.answers[key] = {"responses": responses}
            lose = self.settings["lose"]
            entry["lost"] = bool(lose) and len(self.requests) % lose == 0
            return None if entry["lost"] else self.answers[key]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    erp = None

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.erp.take(self.headers["Repeatability-Request-ID"], self.headers["Repeatability-First-Sent"], body)
        if answer is None:
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self.tell(answer)

    def tell(self, what):
        body = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    erp = Handler.erp = Erp()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("port", server.server_address[1], flush=True)
    for line in sys.stdin:
        with erp.lock:
            erp.settings.update(json.loads(line))
            print(json.dumps({"requests": erp.requests, "documents": erp.documents}), flush=True)


if __name__ == "__main__":
    main()
