#!/usr/bin/env python3
"""An ERP endpoint for floorgate's posting contract, on the standard library alone.

    server.py --port N|0 --db FILE [--token-file FILE] [--job-seconds S] [--test-system]

Everything that must survive a crash lies in one SQLite file (synchronous=FULL). A key and its effect are written in
one transaction, and no answer leaves before its commit; so after `kill -9` the same keys get the same answers.
There is one connection and one lock: bookings are serial, and a lookup waits for the booking at work and then
sees the truth of the database.

Tables: `booking` holds the effects, `posting` the keys with fingerprint and reference, `count_mark` the newest
`as_of_seq` of each counted stock, `job` and `job_key` the batches that were answered with 202.
"""
import argparse
import hashlib
import hmac
import json
import math
import re
import sqlite3
import sys
import threading
import time
import traceback
import uuid
import zlib
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

BASE = "/floorgate/v1"
VERSIONS = ["1"]
MAX_BATCH, MAX_BODY, MAX_LOOKUP, MAX_CONCURRENT = 200, 2 * 1024 * 1024, 50, 4
REQUEST_LIMIT_S = 5     # a request that has not begun to book by then is refused without work
SETTLE_DELAY_S = 15     # covers REQUEST_LIMIT_S, as long again for the file's lock, and the booking itself
JOB_KEEP_S = 86400

UUID_FORM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FINGERPRINT_FORM = re.compile(r"[0-9a-f]{64}")
DECIMAL_FORM = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?")
TIME_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")

# tx_type -> groups of members of `data`; of each group one alternative must be there.
REQUIRED = {
    "pick_confirm": ["shipment", "item", "qty|qty_picked"],
    "pack_confirm": ["shipment"],
    "shipment_tracking": ["tracking", "shipment|sscc"],
    "goods_issue": ["shipment"],
    "goods_receipt": ["po|asn", "item|lines", "qty|lines"],
    "stock_transfer": ["item", "qty", "from", "to"],
    "stock_count": ["item", "location", "qty"],
    "stock_adjustment": ["item", "location", "qty", "reason"],
}
DECIMALS = ("qty", "qty_picked", "qty_expected", "weight_kg")
INTEGERS = ("line", "cycle", "as_of_seq")
MAY_BE_ZERO = {"stock_count", "stock_adjustment"}

# The master data of this small ERP: everything exists, except what is called UNKNOWN.
MASTER = {"item": "unknown_item", "order": "unknown_order", "shipment": "unknown_shipment", "po": "unknown_purchase",
          "asn": "unknown_purchase", "location": "unknown_location", "from": "unknown_location",
          "to": "unknown_location", "uom": "unknown_uom", "lot": "unknown_lot", "request": "unknown_request"}

SAMPLE = {"kind": "counted", "tx_type": "stock_count", "subject": "stock/A-100//Z1-04-02",
          "data": {"item": "A-100", "location": "Z1-04-02", "qty": "23", "uom": "EA"}}

SCHEMA = """
CREATE TABLE IF NOT EXISTS booking (number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE, subject TEXT, kind TEXT,
                                    item TEXT);
CREATE TABLE IF NOT EXISTS posting (key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, reference TEXT NOT NULL,
                                    posted_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS count_mark (stock TEXT PRIMARY KEY, as_of_seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS job (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, batch TEXT NOT NULL,
                                events TEXT NOT NULL, due REAL NOT NULL, done_at REAL, results TEXT);
CREATE INDEX IF NOT EXISTS job_batch ON job (batch);
CREATE TABLE IF NOT EXISTS job_key (key TEXT NOT NULL, job INTEGER NOT NULL, PRIMARY KEY (key, job));
"""


class Problem(Exception):
    """An error of a whole request: status, problem word, title, sentence."""

    def __init__(self, status, word, title, detail, headers=None, **members):
        super().__init__(detail)
        kind = "urn:floorgate:problem:" + word if word else "about:blank"
        self.status, self.headers = status, headers or {}
        self.body = {"type": kind, "title": title, "status": status, "detail": detail, **members}


class Refusal(Exception):
    """One item that can't be booked: rejected (or to be sent again), with a reason."""

    def __init__(self, reason, message, pointer=None, status="rejected"):
        super().__init__(message)
        self.reason, self.message, self.pointer, self.status = reason, message, pointer, status

    def result(self, key):
        """The answer for this item."""
        answer = {"key": key, "status": self.status, "reason": self.reason, "message": self.message}
        if self.pointer:
            answer["problem"] = {"type": "urn:floorgate:problem:" + self.reason, "title": self.reason.replace("_", " ")
                                 .capitalize(), "detail": self.message, "pointer": self.pointer}
        return answer


def malformed(detail):
    """The 400 for a request that can't be understood."""
    return Problem(400, "malformed", "Malformed", detail)


def check_form(item):
    """Refuses an item whose members are missing or have the wrong form."""
    def want(good, pointer, what):
        if not good:
            raise Refusal("malformed", what, pointer)

    for name in ("fingerprint", "tx_type", "lane", "time", "kind", "subject"):
        want(is_text(item.get(name)), "/" + name, f"The item has no text {name}.")
    want(FINGERPRINT_FORM.fullmatch(item["fingerprint"]), "/fingerprint", "The fingerprint is not 64 hex digits.")
    want(TIME_FORM.fullmatch(item["time"]), "/time", f"{item['time']} is no time as in RFC 3339.")
    want(isinstance(item.get("data"), dict), "/data", "The item has no object data.")
    if item["tx_type"] not in REQUIRED:
        raise Refusal("unknown_tx_type", f"{item['tx_type']} is not taken here.", "/tx_type")
    data = item["data"]
    for group in REQUIRED[item["tx_type"]]:
        names = group.split("|")
        want(any(data.get(n) not in (None, "", []) for n in names), "/data/" + names[0],
             f"{item['tx_type']} needs {' or '.join(names)}.")
    if item["kind"] == "short_picked":
        want("qty_picked" in data and "qty_expected" in data, "/data/qty_picked", "A short pick needs both quantities.")
    for path, part in parts(data):
        for name, value in part.items():
            if name in DECIMALS:
                want(isinstance(value, str) and DECIMAL_FORM.fullmatch(value), f"{path}/{name}",
                     f"{name} is not a decimal number as text.")
            elif name in INTEGERS:
                want(type(value) is int and abs(value) < 2**63, f"{path}/{name}", f"{name} is not a whole number.")
            elif name in MASTER:
                want(is_text(value), f"{path}/{name}", f"{name} is not a text.")


def is_text(value):
    """Whether this is a text, not empty, that can be stored (JSON can name half a surrogate pair)."""
    return isinstance(value, str) and value != "" and not any("\ud800" <= c <= "\udfff" for c in value)


def parts(data):
    """The data itself and each of its lines, with their JSON pointers."""
    yield "/data", data
    lines = data.get("lines", [])
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        raise Refusal("malformed", "lines is not a list of objects.", "/data/lines")
    for n, line in enumerate(lines):
        yield f"/data/lines/{n}", line


def check_business(db, item):
    """The rules of this small ERP; refuses what it can't book as it is."""
    data, kind = item["data"], item["tx_type"]
    for path, part in parts(data):
        for name, reason in MASTER.items():
            if part.get(name) == "UNKNOWN":
                raise Refusal(reason, f"There is no {name} UNKNOWN.", f"{path}/{name}")
        if part.get("order") == "HOLD" or part.get("orders") == ["HOLD"]:
            raise Refusal("order_on_hold", "Order HOLD is blocked for credit.", path)
        if "qty" in part and kind != "stock_adjustment":
            if Decimal(part["qty"]) < 0 or (Decimal(part["qty"]) == 0 and kind not in MAY_BE_ZERO):
                raise Refusal("bad_quantity", f"{part['qty']} is no quantity for {kind}.", f"{path}/qty")
    if Decimal(data.get("qty_picked", "0")) < 0:
        raise Refusal("bad_quantity", f"{data['qty_picked']} is no quantity.", "/data/qty_picked")
    if Decimal(data.get("qty_picked", "0")) > Decimal(data.get("qty_expected", "999999999999999")):
        raise Refusal("wrong_quantity", "More was picked than expected.", "/data/qty_picked")
    if kind == "stock_count" and "as_of_seq" in data:
        stock = json.dumps([data["item"], data.get("lot"), data["location"]])
        mark = db.execute("SELECT as_of_seq FROM count_mark WHERE stock = ?", (stock,)).fetchone()
        if mark and data["as_of_seq"] < mark[0]:
            raise Refusal("bad_state", f"A count as of {mark[0]} is booked; this one is older.", "/data/as_of_seq")
        db.execute("INSERT OR REPLACE INTO count_mark VALUES (?, ?)", (stock, data["as_of_seq"]))


class Erp:
    """The database and all that is done with it."""

    def __init__(self, path, job_seconds):
        self.job_seconds, self.lock, self.wake = job_seconds, threading.Lock(), threading.Event()
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=REQUEST_LIMIT_S)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = FULL")
        self.db.executescript(SCHEMA)
        threading.Thread(target=self.work, daemon=True).start()

    @contextmanager
    def transaction(self, deadline=None):
        """One write transaction, alone; a `busy` problem, before any work, if that can't be had in time."""
        busy = Problem(503, "busy", "Busy", "Too much is at work; nothing was done.", {"Retry-After": "2"})
        if not self.lock.acquire(timeout=max(0, deadline - time.monotonic()) if deadline else -1):
            raise busy
        try:
            try:
                if deadline and time.monotonic() > deadline:
                    raise busy
                self.db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                raise busy from error
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise
        finally:
            self.lock.release()

    def book_item(self, item):
        """Books one item inside the transaction, or raises a Refusal with nothing left of it."""
        key = item["key"]
        if not UUID_FORM.fullmatch(key):
            raise Refusal("malformed", "The key is no UUID in lower case.", "/key")
        known = self.db.execute("SELECT fingerprint, reference FROM posting WHERE key = ?", (key,)).fetchone()
        if known and known[0] == item.get("fingerprint"):
            return {"key": key, "status": "duplicate", "reference": known[1]}
        if known:
            raise Refusal("key_reused", f"This key was booked as {known[1]} with other content.")
        check_form(item)
        self.db.execute("SAVEPOINT item")
        try:
            check_business(self.db, item)
            number = self.db.execute("INSERT INTO booking (key, subject, kind, item) VALUES (?, ?, ?, ?)", (
                key, item["subject"], item["kind"], json.dumps(item))).lastrowid
            reference = f"DOC-{number}"
            self.db.execute("INSERT INTO posting VALUES (?, ?, ?, ?)", (key, item["fingerprint"], reference, time.time()))
        except BaseException:
            self.db.execute("ROLLBACK TO item")
            raise
        finally:
            self.db.execute("RELEASE item")
        return {"key": key, "status": "posted", "reference": reference}

    def book(self, events):
        """Books a batch inside the transaction, in its order; one result for each item."""
        results, blocked = [], set()
        for item in events:
            lane = item.get("lane") if isinstance(item.get("lane"), str) else None
            try:
                if lane in blocked and not self.known(item["key"]):
                    raise Refusal("lane_blocked", "An item before it in this batch was not booked.", status="retry")
                results.append(self.book_item(item))
            except Refusal as refusal:
                if lane is not None:
                    blocked.add(lane)
                results.append(refusal.result(item["key"]))
        return results

    def known(self, key):
        """Whether this key has an effect."""
        return UUID_FORM.fullmatch(key) is not None and self.db.execute("SELECT 1 FROM posting WHERE key = ?", (key,)).fetchone() is not None

    def post(self, events, batch, deadline):
        """Answers a batch: (results, None) or, with jobs, (None, the job's id)."""
        with self.transaction(deadline) as db:
            if self.job_seconds is None or not events:
                return self.book(events), None
            # The same batch again: its job while that is at work. After it the batch is tried anew (a refused key
            # stays free), at once, unless another job is at work with one of its keys.
            same = db.execute("SELECT id, done_at FROM job WHERE batch = ? ORDER BY number DESC", (batch,)).fetchone()
            if same and same[1] is None:
                return None, same[0]
            keys = [item["key"] for item in events if UUID_FORM.fullmatch(item["key"])]
            at_work = any(db.execute("SELECT 1 FROM job_key WHERE key = ?", (key,)).fetchone() for key in keys)
            if same and not at_work:
                return self.book(events), None
            job = uuid.uuid4().hex
            number = db.execute("INSERT INTO job (id, batch, events, due) VALUES (?, ?, ?, ?)", (
                job, batch, json.dumps(events), time.time() + self.job_seconds)).lastrowid
            db.executemany("INSERT INTO job_key VALUES (?, ?)", [(key, number) for key in keys])
        self.wake.set()
        return None, job

    def work(self):
        """Finishes jobs, one after the other in the order in which they came (which keeps the order of lanes)."""
        while True:
            try:
                with self.transaction() as db:
                    db.execute("DELETE FROM job WHERE done_at < ?", (time.time() - JOB_KEEP_S,))
                    job = db.execute("SELECT number, events, due FROM job WHERE done_at IS NULL ORDER BY number").fetchone()
                    pause = job[2] - time.time() if job else 60
                    if pause <= 0:
                        results = json.dumps(self.book(json.loads(job[1])))
                        db.execute("UPDATE job SET done_at = ?, results = ? WHERE number = ?",
                                   (time.time(), results, job[0]))
                        db.execute("DELETE FROM job_key WHERE job = ?", (job[0],))
            except Exception:  # the job stays at work, and is tried again
                traceback.print_exc()
                pause = 1
            if pause > 0:
                self.wake.wait(min(pause, 60))
                self.wake.clear()

    def job(self, name):
        """A job as its path tells it, or None."""
        with self.lock:
            row = self.db.execute("SELECT done_at, results FROM job WHERE id = ?", (name,)).fetchone()
        if row is None:
            return None
        if row[0] is None:
            return {"job": name, "status": "processing"}
        return {"job": name, "status": "done", "results": json.loads(row[1])}

    def lookup(self, keys):
        """What became of each key."""
        results = []
        with self.lock:
            for key in keys:
                row = self.db.execute("SELECT reference, fingerprint FROM posting WHERE key = ?", (key,)).fetchone()
                if row:
                    results.append({"key": key, "status": "present", "reference": row[0], "fingerprint": row[1]})
                elif self.db.execute("SELECT 1 FROM job_key WHERE key = ?", (key,)).fetchone():
                    results.append({"key": key, "status": "processing"})
                else:
                    results.append({"key": key, "status": "absent"})
        return results


class Handler(BaseHTTPRequestHandler):
    """One connection. What is wrong with a request as a whole is a Problem, sent before any work."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "small-erp/1", ""
    timeout = 60            # of a quiet connection
    wbufsize = 65536        # one answer, one packet
    erp = token = None
    test_system = False

    def do_GET(self):
        """Discovery, lookup, jobs."""
        self.serve({"/contract": self.contract, "/lookup": self.lookup})

    def do_POST(self):
        """A batch."""
        self.serve({"/events": self.events})

    do_PUT = do_DELETE = do_PATCH = do_GET

    def serve(self, routes):
        """Checks credentials, path and version, calls the endpoint, and turns exceptions into problem documents."""
        self.deadline = time.monotonic() + REQUEST_LIMIT_S
        try:
            body = self.read_body()
            given = self.headers.get("Authorization", "")
            if self.token and not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
                raise Problem(401, "unauthorized", "Not authorized", "No or a wrong token.", {"WWW-Authenticate": "Bearer"})
            url = urlsplit(self.path)
            path = url.path[len(BASE):] if url.path.startswith(BASE + "/") else None
            is_job = path is not None and path.startswith("/jobs/")
            if path not in ("/contract", "/lookup", "/events") and not is_job:
                raise Problem(404, None, "Not found", f"There is nothing at {url.path}.")
            if self.command != ("POST" if path == "/events" else "GET"):
                raise Problem(405, None, "Method not allowed", f"{self.command} is not for {url.path}.",
                              {"Allow": "POST" if path == "/events" else "GET"})
            version = self.headers.get("Floorgate-Contract", "1").strip()
            if version not in VERSIONS:
                raise Problem(400, "unsupported_version", "Unsupported version", f"Version {version} is not spoken here.",
                              versions=VERSIONS)
            if is_job:
                self.job(path[len("/jobs/"):])
            else:
                routes[path](body, url.query)
        except Problem as problem:
            self.answer(problem.status, problem.body, problem.headers, "application/problem+json")
        except Exception:  # nothing definite can be said
            traceback.print_exc()
            self.answer(500, Problem(500, "internal", "Internal error", "It failed inside.").body, {},
                        "application/problem+json")

    def read_body(self):
        """The bytes of the body, which are always taken off the connection, or the connection is closed."""
        length = self.headers.get("Content-Length")
        if "Transfer-Encoding" in self.headers or (length is not None and not length.isdigit()):
            self.close_connection = True
            raise Problem(411, None, "Length required", "A body needs its Content-Length.")
        if int(length or 0) > MAX_BODY:
            self.close_connection = True
            raise Problem(413, "too_large", "Too large", f"At most {MAX_BODY} bytes are taken.", max_body_bytes=MAX_BODY)
        body = self.rfile.read(int(length or 0))
        if len(body) != int(length or 0):
            raise ConnectionError("broken off inside a body")
        return body

    def events(self, body, _query):
        """POST /events."""
        if self.headers.get_content_type() != "application/json":
            raise Problem(415, "unsupported_media", "Unsupported media", "The body must be application/json.")
        coding = self.headers.get("Content-Encoding", "identity").strip().lower()
        if coding not in ("identity", "gzip"):
            raise Problem(415, "unsupported_media", "Unsupported media", f"Content-Encoding {coding} is not taken.")
        raw = self.unpack(body) if coding == "gzip" else body
        try:
            document = json.loads(raw.decode("utf-8"), parse_constant=lambda word: int(word))
        except (ValueError, RecursionError):
            raise malformed("The body is no JSON document.") from None
        items = document.get("events") if isinstance(document, dict) else None
        if not isinstance(items, list):
            raise malformed("The body has no list events.")
        if len(items) > MAX_BATCH:
            raise Problem(413, "too_large", "Too many items", f"{len(items)} items in one batch; at most {MAX_BATCH} are "
                          "taken.", max_batch=MAX_BATCH)
        keys = [item.get("key") if isinstance(item, dict) else None for item in items]
        if not all(isinstance(key, str) for key in keys) or len(set(keys)) < len(keys):
            raise malformed("An item has no key to answer it by, or a key stands twice in the batch.")
        batch = self.headers.get("Idempotency-Key", "") + " " + hashlib.sha256(raw).hexdigest()
        results, job = self.erp.post(items, batch, self.deadline)
        if job is None:
            self.answer(200, {"results": results})
        else:
            self.answer(202, {"job": job, "status": "processing"}, {"Location": f"{BASE}/jobs/{job}", **self.retry_after()})

    def unpack(self, body):
        """A gzip body, unpacked no further than the limit."""
        unpacker = zlib.decompressobj(wbits=31)
        try:
            raw = unpacker.decompress(body, MAX_BODY + 1)
        except zlib.error:
            raise malformed("The body is not gzip.") from None
        if len(raw) > MAX_BODY:
            raise Problem(413, "too_large", "Too large", f"At most {MAX_BODY} bytes are taken.", max_body_bytes=MAX_BODY)
        if not unpacker.eof or unpacker.unused_data:
            raise malformed("The gzip body is cut off, or more follows it.")
        return raw

    def lookup(self, _body, query):
        """GET /lookup."""
        keys = list(dict.fromkeys(parse_qs(query, keep_blank_values=True).get("key", [])))
        if len(keys) > MAX_LOOKUP:
            raise Problem(413, "too_large", "Too many keys", f"{len(keys)} keys; at most {MAX_LOOKUP} are taken.",
                          max_lookup=MAX_LOOKUP)
        if not keys or not all(UUID_FORM.fullmatch(key) for key in keys):
            raise malformed("A lookup wants keys, each a UUID in lower case.")
        self.answer(200, {"results": self.erp.lookup(keys)})

    def job(self, name):
        """GET /jobs/ID."""
        job = self.erp.job(name)
        if job is None:
            raise Problem(404, "unknown_job", "Unknown job", f"There is no job {name}.")
        self.answer(200, job, self.retry_after() if job["status"] == "processing" else {})

    def retry_after(self):
        """When to ask for a job."""
        return {"Retry-After": str(max(1, math.ceil(self.erp.job_seconds or 1)))}

    def contract(self, _body, _query):
        """GET /contract."""
        jobs = self.erp.job_seconds is not None
        answer = {
            "contract": "floorgate-posting", "versions": VERSIONS, "system": "Small ERP in one file",
            "test_system": self.test_system,
            "limits": {"max_batch": MAX_BATCH, "max_body_bytes": MAX_BODY, "max_lookup": MAX_LOOKUP,
                       "max_concurrent": MAX_CONCURRENT},
            "capabilities": {"ordered_batch": True, "jobs": jobs, "callback": False, "gzip": True, "definite_503": True},
            "dedup_horizon_s": None, "settle_delay_s": SETTLE_DELAY_S, "job_keep_s": JOB_KEEP_S if jobs else None,
            "tx_types": list(REQUIRED)}
        if self.test_system:
            answer["sample"] = SAMPLE
        self.answer(200, answer)

    def answer(self, status, body, headers=None, media="application/json"):
        """Sends one answer as JSON."""
        raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        self.send_response(status)
        for name, value in {"Content-Type": media, "Content-Length": str(len(raw)), **(headers or {})}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, form, *args):
        """One line to stderr for each answer."""
        sys.stderr.write(f"{self.log_date_time_string()} {form % args}\n")


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads, request_queue_size = True, 64

    def handle_error(self, request, client_address):
        """A connection that broke off is nothing to print a stack for."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def main():
    """Reads the options, opens the database, serves."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--port", type=int, required=True, help="0: any that is free")
    options.add_argument("--db", required=True)
    options.add_argument("--token-file", help="the bearer token that is wanted; without it, none")
    options.add_argument("--job-seconds", type=float, help="answer 202, and finish each batch after so many seconds")
    options.add_argument("--test-system", action="store_true")
    given = options.parse_args()
    if given.token_file:
        with open(given.token_file, encoding="utf-8") as file:
            Handler.token = file.read().strip()
    Handler.erp, Handler.test_system = Erp(given.db, given.job_seconds), given.test_system
    server = Server(("127.0.0.1", given.port), Handler)
    print("port", server.server_address[1], flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
