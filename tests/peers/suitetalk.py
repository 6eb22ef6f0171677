#!/usr/bin/env python3
"""An ERP that takes batches of records as SuiteTalk REST does, on the standard library alone.

A batch (PUT or POST of a collection) becomes a job; its records are made by a task each, in a random order, together with those of
other jobs. A request with a key that is known becomes the job of the first: HTTP 400 and its `Location`. A POST makes a new
record even where one has its external id, so that a doubled effect is seen; a PUT finds it.

Prints `port N` first. Each line on stdin is a JSON object with new settings, answered by the state as one line: the requests, the
records in the order in which they were made, the jobs that are not at their end, questions, and the most requests at once.

    "work": S        seconds until a job is at its end, at least; twice as long at most
    "lose": K        has the job, and cuts the connection instead of answering, at every Kth request; 0: never
    "bad": [...]     refuses records of these subjects
    "limit": N       more requests at once than these are refused with SSS_REQUEST_LIMIT_EXCEEDED
    "crowd": K       so is every Kth batch; 0: never
    "forget": "jobs" knows no job when asked, but knows the keys; "all": nor the keys
    "mute": [...]    has no task for records of these subjects in a job's list
    "extra": true    has one more task there, of a record that nobody sent
    "names": false   the result of a task does not say the external id of its record
"""

import hashlib
import json
import random
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RECORDS = "/services/rest/record/v1/customrecord_floor"
JOBS = "/services/rest/async/v1/job/"
COLLECTION = "application/vnd.oracle.resource+json; type=collection"
AGAIN = "A request with the same idempotency key is already submitted. See the \"Location\" header for a link to the previously submitted job"


def error(status, title, code, detail):
    details = [{"detail": detail, "o:errorCode": code, "o:errorPath": "item"}]
    return status, {"type": "https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html", "title": title, "status": status, "o:errorDetails": details}


class Erp:
    def __init__(self):
        self.settings = {"work": 0.2, "lose": 0, "bad": [], "limit": 100, "crowd": 0, "forget": "", "mute": [], "extra": False, "names": False}
        self.lock = threading.RLock()
        self.requests, self.records, self.jobs, self.keys = [], [], {}, {}
        self.now, self.most, self.polls = 0, 0, 0

    def submit(self, method, headers, body):
        """Status, body and location; a status of None: the answer is lost."""
        with self.lock:
            key, items = headers["X-NetSuite-idempotency-key"], json.loads(body)["items"]
            entry = {"key": key, "method": method, "hash": hashlib.sha256(body).hexdigest(), "rows": [i["externalId"] for i in items]}
            entry["subjects"] = [item["custrecord_subject"] for item in items]
            self.requests.append(entry)
            entry["again"], entry["job"], entry["lost"], entry["crowded"] = key in self.keys, self.keys.get(key), False, False
            if headers["Prefer"] != "respond-async" or headers["Content-Type"] != COLLECTION or not 0 < len(items) <= 100:
                return *error(400, "Bad Request", "INVALID_REQUEST", "not a batch"), None
            crowd = self.settings["crowd"]
            if self.now > self.settings["limit"] or (crowd and len(self.requests) % crowd == 0):
                entry["crowded"] = True
                return *error(400, "Bad Request", "SSS_REQUEST_LIMIT_EXCEEDED", "Request Limit Exceeded"), None
            if entry["again"]:
                return *error(400, "Conflict", "IDEMPOTENCY_ERROR", AGAIN), JOBS + entry["job"]
            job = entry["job"] = self.keys[key] = str(len(self.jobs) + 1)
            tasks = [{"item": item, "upsert": method == "PUT", "result": None} for item in items]
            self.jobs[job] = {"tasks": tasks, "due": time.monotonic() + self.settings["work"] * random.uniform(1, 2)}
            lose = self.settings["lose"]
            entry["lost"] = bool(lose) and len(self.requests) % lose == 0
            return None if entry["lost"] else 202, {}, JOBS + job

    def work(self):
        """Makes the records of jobs whose time has come, in any order."""
        while True:
            time.sleep(0.02)
            with self.lock:
                due = [job for job in self.jobs.values() if job["due"] <= time.monotonic()]
                tasks = [task for job in due for task in job["tasks"] if task["result"] is None]
                for task in random.sample(tasks, len(tasks)):
                    self.make(task)

    def make(self, task):
        item = task["item"]
        if item["custrecord_subject"] in self.settings["bad"]:
            task["result"] = *error(400, "Bad Request", "CREDIT_HOLD", "the order is on credit hold"), None
            return
        known = [record for record in self.records if record["key"] == item["externalId"]] if task["upsert"] else []
        if known:
            known[0]["times"] += 1
        else:
            record = {"key": item["externalId"], "subject": item["custrecord_subject"], "seq": int(item["custrecord_seq"]), "times": 1}
            self.records.append(record)
        body = {"externalId": item["externalId"]} if self.settings["names"] else {}
        number = [record["key"] for record in self.records].index(item["externalId"]) + 1
        task["result"] = 200, body, f"{RECORDS}/{number}"

    def job(self, path):
        """Status, body and location of what is asked below a job."""
        with self.lock:
            number, *rest = path.strip("/").split("/")
            job = self.jobs.get(number)
            self.polls += not rest
            if job is None or self.settings["forget"]:
                return *error(404, "Not Found", "NONEXISTENT_ID", "That record does not exist."), None
            at, tasks = f"http://{self.host}{JOBS}{number}", job["tasks"]
            done = all(task["result"] for task in tasks)
            if not rest:
                links = [{"rel": "self", "href": f"{at}/task"}]
                progress = "succeeded" if done else "processing"
                return 200, {"id": number, "completed": done, "progress": progress, "task": {"links": links}}, None
            if rest == ["task"]:
                mute = self.settings["mute"]
                shown = [n for n, task in enumerate(tasks, 1) if task["item"]["custrecord_subject"] not in mute]
                shown = random.sample(shown, len(shown)) + ([0] if self.settings["extra"] else [])
                link = lambda n: {"links": [{"rel": "self", "href": f"{at}/task/{n}"}]}
                return 200, {"links": [{"rel": "self", "href": f"{at}/task/"}], "count": len(shown), "items": [link(n) for n in shown]}, None
            n = int(rest[1])
            return tasks[n - 1]["result"] if n else (200, {"externalId": "00000000-0000-8000-8000-000000000000"}, f"{RECORDS}/0")

    def record(self, number):
        with self.lock:
            return 200, {"id": number, "externalId": self.records[int(number) - 1]["key"]}, None

    def tell(self):
        with self.lock:
            open_jobs = sum(any(task["result"] is None for task in job["tasks"]) for job in self.jobs.values())
            return {"requests": self.requests, "records": self.records, "open": open_jobs, "polls": self.polls, "most": self.most}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    erp = None

    def handle_one(self, answer):
        with self.erp.lock:
            self.erp.now += 1
            self.erp.most = max(self.erp.most, self.erp.now)
        try:
            self.answer(*answer())
        finally:
            with self.erp.lock:
                self.erp.now -= 1

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.handle_one(lambda: self.erp.submit(self.command, self.headers, body))

    do_PUT = do_POST

    def do_GET(self):
        path, _, asked = self.path.partition("?")
        if path.startswith(JOBS):
            self.handle_one(lambda: self.erp.job(path[len(JOBS) :]))
        else:
            assert asked == "fields=externalId", asked
            self.handle_one(lambda: self.erp.record(path.rsplit("/", 1)[1]))

    def answer(self, status, body, location):
        if status is None:
            self.close_connection = True
            self.connection.shutdown(2)
            return
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Retry-After", "1")
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def main():
    erp = Handler.erp = Erp()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    erp.host = "127.0.0.1:%d" % server.server_address[1]
    for run in (server.serve_forever, erp.work):
        threading.Thread(target=run, daemon=True).start()
    print("port", server.server_address[1], flush=True)
    for line in sys.stdin:
        with erp.lock:
            erp.settings.update(json.loads(line))
            if erp.settings["forget"] == "all":
                erp.keys.clear()
            print(json.dumps(erp.tell()), flush=True)


if __name__ == "__main__":
    main()
