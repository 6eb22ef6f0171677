#!/usr/bin/env python3
"""An endpoint of the posting contract (docs/erp-contract.md) in memory, with faults on demand: standard library only.

Prints `port N`. Each line of its input is a JSON object of settings, each answer the state as one line: `fault` (a word, or
null), `test_system`. A line begins anew: nothing was booked. Credentials: `Authorization: Bearer open-sesame`.
"""

import gzip
import json
import re
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

LIMITS = {"max_batch": 20, "max_body_bytes": 1 << 20, "max_lookup": 10, "max_concurrent": 2}
SAMPLE = {"kind": "counted", "tx_type": "stock_count", "subject": "stock/A//B", "data": {"item": "A", "qty": "1"}}
UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

BOOKING = threading.Lock()


class World:
    """What is booked, and what is wrong with this endpoint."""

    def __init__(self, fault=None, test_system=True):
        self.fault, self.test_system = fault, test_system
        self.booked, self.at_work, self.refused, self.batches, self.jobs = {}, set(), {}, {}, {}
        self.times = {}
        self.count = self.put_off = 0

    def jobs_on(self):
        return self.fault is not None and self.fault.startswith("job")


WORLD = World()


class Problem(Exception):
    def __init__(self, status, word, **more):
        self.status, self.word, self.more = status, word, more


def refuse(item, reason):
    return {"key": item.get("key"), "status": "rejected", "reason": reason, "message": f"It is refused: {reason}."}


def effect(world, item):
    world.count += 1
    world.booked[item["key"]] = {"reference": f"DOC-{world.count}", "fingerprint": item["fingerprint"]}
    return {"key": item["key"], "status": "posted", "reference": f"DOC-{world.count}"}


def again(world, item, stored):
    fault = world.fault
    if stored["fingerprint"] != item["fingerprint"]:
        if fault == "clash-overwrites":
            stored["fingerprint"] = item["fingerprint"]
        if fault != "clash-is-duplicate":
            return refuse(item, "key_reused")
    if fault == "repeat-is-rejected":
        return refuse(item, "bad_state")
    reference = stored["reference"]
    if fault == "repeat-has-another-reference":
        reference += "-2"
    return {"key": item["key"], "status": "duplicate", "reference": reference}


def book(world, item):
    """One item, in its turn."""
    fault = world.fault
    if not all(isinstance(item.get(name), str) for name in ("key", "fingerprint", "tx_type", "lane", "time")):
        return refuse(item, "malformed")
    if not isinstance(item.get("data"), dict):
        if fault == "partial-books-the-bad-one":
            return effect(world, item)
        return refuse(item, "malformed")
    if fault == "refusal-is-remembered" and item["key"] in world.refused:
        return refuse(item, "bad_state")
    stored = world.booked.get(item["key"])
    if stored and fault != "effect-by-batch":
        return again(world, item, stored)
    if item["tx_type"] != SAMPLE["tx_type"] and fault != "any-type":
        world.refused[item["key"]] = item
        return refuse(item, "unknown_tx_type")
    if fault == "unknown-members-refused" and "floorgate_probe" in item:
        return refuse(item, "malformed")
    if fault == "answers-before-commit":
        threading.Timer(3, effect, (world, item)).start()
        return {"key": item["key"], "status": "posted", "reference": f"DOC-{item['key']}"}
    return effect(world, item)


def book_all(world, items, batch):
    fault = world.fault
    if fault == "effect-by-batch" and batch in world.batches:
        return [{**result, "status": "duplicate"} for result in world.batches[batch]]
    results, blocked = [], set()
    for item in items:
        booked = item["key"] in world.booked and fault != "booked-is-blocked"
        if item.get("lane") in blocked and not booked and fault != "order-is-ignored":
            message = "An item before it was not booked."
            results.append({"key": item["key"], "status": "retry", "reason": "lane_blocked", "message": message})
            if fault == "blocked-is-booked":
                effect(world, item)
            continue
        result = book(world, item)
        if result["status"] in ("rejected", "retry"):
            blocked.add(item.get("lane"))
        results.append(result)
    world.batches[batch] = results
    return results


def spoil(world, results):
    """What is wrong with the answer alone."""
    fault = world.fault
    for result in results:
        if fault == "no-reference":
            result.pop("reference", None)
        if fault == "word-of-its-own" and result["status"] == "posted":
            result["status"] = "OK"
        if fault == "no-message":
            result.pop("message", None)
    if fault == "missing-result" and len(results) > 1:
        results.pop()
    if fault == "long-batches-are-cut":
        del results[10:]
    if fault == "full-batches-book-nothing" and len(results) > 10:
        results = [refuse(result, "bad_state") for result in results]
    if fault == "two-results" and results:
        results.append(dict(results[0]))
    if fault == "result-of-another":
        results.append({"key": str(uuid.uuid4()), "status": "posted", "reference": "X"})
    return results


class Endpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer leaves in one piece

    def log_message(self, *_):
        pass

    def answer(self, status, body, kind="application/json", **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def serve(self, work):
        self.world = WORLD
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        try:
            fault = self.world.fault
            anyone = fault == "lets-anyone-in" or (fault == "lets-anyone-ask" and "contract" not in self.path)
            anyone |= fault == "lets-the-unnamed-in" and "Authorization" not in self.headers
            anyone |= fault == "jobs-for-anyone" and "/v1/work/" in self.path
            refused = fault == "refuses-us" or (fault == "lookups-refuse-us" and "lookup" in self.path)
            if refused or (self.headers.get("Authorization") != "Bearer open-sesame" and not anyone):
                raise Problem(401, "unauthorized")
            any_version = fault == "any-version" or (fault == "any-version-posts" and self.command == "POST")
            if self.headers.get("Floorgate-Contract", "1") != "1" and not any_version:
                raise Problem(400, "unsupported_version", **({} if fault == "versions-untold" else {"versions": ["1"]}))
            if fault == "leave-us-alone" and "lookup" in self.path:
                raise Problem(429, "throttled")
            if fault == "wait-a-second" and self.world.put_off == 0:
                self.world.put_off = 1
                raise Problem(429, "throttled")
            work(urlsplit(self.path))
        except Problem as problem:
            kind = "application/json" if self.world.fault == "problems-are-json" else "application/problem+json"
            word = "error" if self.world.fault == "problems-have-no-type" else problem.word
            body = {"type": f"urn:floorgate:problem:{word}", "title": word, "status": problem.status, **problem.more}
            if self.world.fault == "problems-have-no-title":
                del body["title"]
            self.answer(problem.status, body, kind, **self.later(problem))

    def later(self, problem):
        seconds = "1" if self.world.fault == "wait-a-second" else "3600"
        return {"Retry-After": seconds} if problem.status == 429 else {}

    def do_GET(self):
        self.serve(self.get)

    def do_POST(self):
        self.serve(self.post)

    def get(self, url):
        if url.path == "/v1/contract":
            return self.contract()
        if url.path == "/v1/lookup":
            return self.lookup([value for name, value in parse_qsl(url.query) if name == "key"])
        job = self.world.jobs.get(url.path.removeprefix("/v1/work/"))
        if job is None:
            if self.world.fault == "job-unknown-is-a-page":
                return self.answer(404, b"<html>not here</html>", "text/html")
            if self.world.fault == "job-unknown-is-done":
                return self.answer(200, {"job": "x", "status": "done", "results": []})
            raise Problem(404, "unknown_job")
        job["asked"] += 1
        done = {"job": job["job"], "status": "done", "results": job["results"]}
        if job["asked"] == 1:
            return self.answer(200, {"job": job["job"], "status": "processing"}, **{"Retry-After": "0"})
        if job["asked"] > 2 and self.world.fault == "job-is-forgotten":
            raise Problem(404, "unknown_job")
        if job["asked"] > 2 and self.world.fault == "job-changes":
            done["results"] = [{**result, "status": "duplicate"} for result in job["results"]]
        self.answer(200, done)

    def contract(self):
        world = self.world
        body = {
            "contract": "floorgate-posting",
            "versions": ["1"],
            "system": "tests/peers/contract.py",
            "test_system": world.test_system,
            "limits": LIMITS,
            "capabilities": {
                "ordered_batch": True,
                "jobs": world.jobs_on() and world.fault != "job-without-saying",
                "callback": False,
                "gzip": world.fault != "packed-anyway",
                "definite_503": False,
            },
            "dedup_horizon_s": 0 if world.fault == "horizon-is-none" else 86_400,
            "settle_delay_s": 0 if world.fault == "absent-while-at-work" else 1,
            "job_keep_s": 86_400 if world.jobs_on() else None,
            "tx_types": [SAMPLE["tx_type"]],
            "sample": SAMPLE,
        }
        if world.fault == "discovery-lacks-members":
            del body["limits"], body["settle_delay_s"]
        if world.fault == "discovery-is-a-page":
            return self.answer(200, b"<html>sign in</html>", "text/html")
        self.answer(200, body)

    def lookup(self, keys):
        world, fault = self.world, self.world.fault
        if not keys or (fault != "bad-key-is-absent" and not all(UUID.fullmatch(key) for key in keys)):
            raise Problem(400, "malformed")
        if len(keys) > LIMITS["max_lookup"] and fault != "lookup-without-limit":
            raise Problem(413, "too_large")
        if fault == "unknown-key-is-404" and not (world.booked or world.at_work or world.refused):
            raise Problem(404, "unknown_posting")
        results = []
        for key in keys[:5] if fault == "lookup-is-cut" else keys:
            stored = world.booked.get(key)
            if stored:
                print_of = {} if fault == "no-fingerprint" else {"fingerprint": stored["fingerprint"]}
                results.append({"key": key, "status": "present", "reference": stored["reference"], **print_of})
            elif key in world.refused and fault == "refused-is-present":
                results.append({"key": key, "status": "present", "reference": "X", "fingerprint": "0" * 64})
            elif key in world.at_work and fault != "absent-while-at-work":
                results.append({"key": key, "status": "processing"})
            else:
                results.append({"key": key, "status": "absent"})
        self.answer(200, {"results": results})

    def post(self, _):
        world, fault = self.world, self.world.fault
        kind = self.headers.get("Content-Type", "")
        if kind.split(";")[0] != "application/json" and fault != "any-media":
            raise Problem(415, "unsupported_media")
        body = self.body
        if self.headers.get("Content-Encoding") == "gzip" and fault != "gzip-is-not-unpacked":
            body = gzip.decompress(body)
        try:
            items = json.loads(body)["events"]
        except (ValueError, KeyError):
            if fault == "bad-body-is-500":
                raise Problem(500, "internal") from None
            raise Problem(400, "malformed") from None
        if not items and fault == "empty-is-refused":
            raise Problem(400, "malformed")
        if len(items) > LIMITS["max_batch"] and fault != "takes-too-many":
            if fault == "too-many-books-some":
                book_all(world, items[: LIMITS["max_batch"]], "-")
            raise Problem(413, "too_large")
        if fault == "all-or-nothing" and any("data" not in item for item in items):
            raise Problem(400, "malformed")
        batch = self.headers.get("Idempotency-Key")
        keys = {item.get("key") for item in items}
        world.at_work |= keys
        if fault == "race-has-no-constraint":
            known = {key: world.booked.get(key) for key in keys}
            time.sleep(0.3)  # both have looked by now
            with BOOKING:
                for key in keys:
                    if known[key] is None:
                        world.booked.pop(key, None)
                results = book_all(world, items, batch)
        else:
            with BOOKING:
                time.sleep(1.5 if fault == "absent-while-at-work" else 0.02)
                results = book_all(world, items, batch)
        if fault == "race-posts-neither":
            world.times.setdefault(batch, []).append(time.monotonic())
            time.sleep(0.3)
            *_, before, last = [0, *world.times[batch]]
            if last - before < 0.2:  # two of them at once
                results = [{**result, "status": "duplicate"} for result in results]
        world.at_work -= keys
        if world.jobs_on() and items:
            at_work = (name for name, job in world.jobs.items() if job["batch"] == [batch, body] and job["asked"] < 2)
            name = next(at_work, None)
            if name is None:
                name = str(uuid.uuid4())
                world.jobs[name] = {"job": name, "batch": [batch, body], "results": results, "asked": 0}
            where = {"Location": f"/v1/work/{name}", "Retry-After": "0"}
            if fault == "job-elsewhere":
                where["Location"] = f"http://localhost.invalid/v1/work/{name}"
            if fault == "job-without-location":
                del where["Location"]
            return self.answer(202, {"job": name, "status": "processing"}, **where)
        if fault == "answers-are-html":
            return self.answer(200, {"results": results}, "text/html")
        self.answer(200, {"results": spoil(world, results)})


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # whose connection is closed is no fault of ours


def main():
    global WORLD
    server = Server(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"port {server.server_port}", flush=True)
    for line in sys.stdin:
        WORLD = World(**json.loads(line))
        print(json.dumps({"fault": WORLD.fault}), flush=True)


if __name__ == "__main__":
    main()
