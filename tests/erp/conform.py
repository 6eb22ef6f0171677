#!/usr/bin/env python3
"""Goes through the checklist of docs/erp-contract.md against an endpoint: `conform.py BASE_URL TOKEN_FILE [CHECK…]`.

Standard library only, no Tryton. Prints a line for each check; ends with 1 if one failed. The second half posts, and is left
out unless the endpoint says that it is a test system.
"""
import datetime as dt
import gzip
import http.client
import json
import socket
import sys
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

STATUSES = {"posted", "duplicate", "accepted", "rejected", "retry"}
FOUND = {"present", "absent", "processing"}
PROBLEM = "urn:floorgate:problem:"
TIMEOUT = 120


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def want(condition, what):
    if not condition:
        raise Failed(what)


def new_key():
    return str(uuid.uuid4())


class Endpoint:
    def __init__(self, base, token):
        self.at, self.token = urlsplit(base), token
        self.contract = None

    def connection(self):
        kind = http.client.HTTPSConnection if self.at.scheme == "https" else http.client.HTTPConnection
        return kind(self.at.hostname, self.at.port, timeout=TIMEOUT)

    def headers(self, **more):
        fixed = {"Authorization": f"Bearer {self.token}", "Accept": "application/json, application/problem+json",
                 "Floorgate-Contract": "1"}
        given = fixed | {name.replace("_", "-"): value for name, value in more.items()}
        return {name: value for name, value in given.items() if value is not None}

    def request(self, method, path, body=None, **headers):
        """(status, headers, body): JSON of the right type, whatever the status."""
        connection = self.connection()
        path = path if path.startswith(self.at.path) else self.at.path + path
        try:
            connection.request(method, path, body, self.headers(**headers))
            answer = connection.getresponse()
            text, kind = answer.read(), answer.headers.get_content_type()
        finally:
            connection.close()
        wanted = "application/json" if answer.status < 300 else "application/problem+json"
        want(kind == wanted, f"{method} {path}: {answer.status} came as {kind}, not {wanted}: {text[:200]!r}")
        return answer.status, answer.headers, json.loads(text)

    def get(self, path, **headers):
        return self.request("GET", path, **headers)

    def send(self, events, batch=None, **headers):
        body = json.dumps({"events": events}).encode()
        headers = {"Content_Type": "application/json", "Idempotency_Key": f'"{batch or new_key()}"'} | headers
        if headers.get("Content_Encoding") == "gzip":
            body = gzip.compress(body)
        return self.request("POST", "/events", body, **headers)

    def post(self, events, batch=None, **headers):
        """{key: result} of a batch, waited for where it is answered later."""
        status, told, body = self.send(events, batch, **headers)
        if status == 202:
            body = self.end_of_job(told, body)
        else:
            want(status == 200, f"a batch got {status}: {body}")
        return results(body, [event.get("key") for event in events], STATUSES)

    def end_of_job(self, told, body):
        place = told["Location"]
        want(place, "202 without Location")
        want(body.get("status") in {"processing", "done"}, f"202 with {body}")
        until = time.monotonic() + 1800
        while time.monotonic() < until:
            time.sleep(float(told["Retry-After"] or 5))
            status, told, body = self.get(place)
            want(status == 200, f"the job got {status}: {body}")
            if body["status"] == "done":
                want(self.get(place)[2] == body, "asked again, the job says something else")
                return body
            want(body["status"] == "processing" and "results" not in body, f"a job at work says {body}")
        raise Failed("the job does not end")

    def lookup(self, keys):
        status, _, body = self.get("/lookup?" + "&".join(f"key={key}" for key in keys))
        want(status == 200, f"a lookup got {status}: {body}")
        return results(body, keys, FOUND)

    def settled(self, key):
        """What a lookup of one key says once nothing is at work with it."""
        until = time.monotonic() + 300
        while time.monotonic() < until:
            found = self.lookup([key])[key]
            if found["status"] != "processing":
                return found
            time.sleep(0.2)
        raise Failed("the key stays at work")

    def item(self, lane=None, key=None, **changed):
        sample, now = self.contract["sample"], dt.datetime.now(dt.timezone.utc)
        event = new_key()
        fixed = {
            "key": key or new_key(), "id": event, "kind": sample["kind"], "tx_type": sample["tx_type"],
            "lane": lane or f"CHECK/{new_key()}", "source": "/sites/CHECK/devices/CHECK", "subject": sample["subject"],
            "time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"), "time_quality": "synced",
            "epoch": "d:CHECK", "seq": "1", "fingerprint": uuid.uuid4().hex * 2,
            "traceparent": f"00-{event.replace('-', '')}-{uuid.uuid4().hex[:16]}-01", "data": sample["data"]}
        return {name: value for name, value in (fixed | changed).items() if value is not None}

    def bad(self, lane=None, key=None):
        return self.item(lane, key, tx_type="floorgate_probe")


def results(body, keys, words):
    """{key: result}: one for each key, known words, what belongs to them."""
    want(isinstance(body.get("results"), list), f"no list of results: {str(body)[:200]}")
    by_key = {result.get("key"): result for result in body["results"]}
    want(len(by_key) == len(body["results"]) and set(by_key) == set(keys), "not one result for each key")
    for result in by_key.values():
        status = result.get("status")
        want(status in words, f"an unknown status: {result}")
        if status in {"posted", "duplicate", "present"}:
            want(isinstance(result.get("reference"), str) and result["reference"], f"no reference: {result}")
        if status == "present":
            want(isinstance(result.get("fingerprint"), str), f"no fingerprint: {result}")
        if status in {"rejected", "retry"}:
            want(result.get("reason") and result.get("message"), f"no reason or no message: {result}")
    return by_key


def expect(result, status, reason=None):
    """What it says; a duplicate is one of this key, unless another reason is asked for."""
    told = (result["status"], result.get("reason"))
    loose = reason is None and status != "duplicate"
    want(told == (status, reason) or (loose and told[0] == status), f"wanted {status} {reason or ''}, got {result}")
    return result


def refused(answer, status, reason):
    want(answer[0] == status, f"wanted {status}, got {answer[0]}: {answer[2]}")
    want(answer[2].get("type") == PROBLEM + reason, f"wanted {reason}, got {answer[2]}")
    want(answer[2].get("title"), f"no title: {answer[2]}")
    return answer


# -- the first half: reads, and what every endpoint refuses ---------------------------------------------------------------
def discovery(erp):
    status, _, body = erp.get("/contract")
    want(status == 200, f"{status}: {body}")
    want(body.get("contract") == "floorgate-posting" and "1" in body.get("versions", []), f"not version 1: {body}")
    want(isinstance(body.get("system"), str) and isinstance(body.get("test_system"), bool), "system, test_system")
    for name in ["max_batch", "max_body_bytes", "max_lookup", "max_concurrent"]:
        want(isinstance(body["limits"].get(name), int) and body["limits"][name] > 0, f"limits.{name}")
    for name in ["ordered_batch", "jobs", "callback", "gzip", "definite_503"]:
        want(isinstance(body["capabilities"].get(name), bool), f"capabilities.{name}")
    for name in ["dedup_horizon_s", "settle_delay_s", "job_keep_s", "tx_types"]:
        want(name in body, name)
    if body["test_system"]:
        want({"kind", "tx_type", "subject", "data"} <= set(body.get("sample", {})), "a test system needs a sample")
        want(body["sample"]["tx_type"] in body["tx_types"], "the sample's type is not among tx_types")
    erp.contract = body


def wrong_credentials(erp):
    for shown in ["Bearer wrong", None]:
        for path in ["/contract", f"/lookup?key={new_key()}"]:
            refused(erp.get(path, Authorization=shown), 401, "unauthorized")
        refused(erp.send([], Authorization=shown), 401, "unauthorized")


def lookup_absent(erp):
    key = new_key()
    expect(erp.lookup([key])[key], "absent")


def lookup_many(erp):
    erp.lookup([new_key() for _ in range(erp.contract["limits"]["max_lookup"])])


def lookup_too_many(erp):
    keys = "&".join(f"key={new_key()}" for _ in range(erp.contract["limits"]["max_lookup"] + 1))
    refused(erp.get(f"/lookup?{keys}"), 413, "too_large")


def lookup_bad_key(erp):
    refused(erp.get("/lookup?key=x"), 400, "malformed")
    refused(erp.get("/lookup"), 400, "malformed")


def empty_batch(erp):
    status, _, body = erp.send([])
    want(status == 200 and body == {"results": []}, f"{status}: {body}")


def bad_body(erp):
    for body in [b'{"events":[{"key":', b"{}", b'{"events":{}}']:
        refused(erp.request("POST", "/events", body, Content_Type="application/json"), 400, "malformed")


def wrong_media(erp):
    refused(erp.request("POST", "/events", b'{"events":[]}', Content_Type="text/plain"), 415, "unsupported_media")
    if not erp.contract["capabilities"]["gzip"]:
        refused(erp.send([], Content_Encoding="gzip"), 415, "unsupported_media")


def other_version(erp):
    for answer in [erp.get("/contract", Floorgate_Contract="999"), erp.send([], Floorgate_Contract="999")]:
        refused(answer, 400, "unsupported_version")
        want("1" in answer[2].get("versions", []), "versions is missing")


# -- the second half: posts -----------------------------------------------------------------------------------------------
def unknown_type(erp):
    item = erp.bad()
    expect(erp.post([item])[item["key"]], "rejected", "unknown_tx_type")
    expect(erp.lookup([item["key"]])[item["key"]], "absent")


def post(erp):
    item = erp.item()
    reference = expect(erp.post([item])[item["key"]], "posted")["reference"]
    found = expect(erp.lookup([item["key"]])[item["key"]], "present")
    want((found["reference"], found["fingerprint"]) == (reference, item["fingerprint"]), f"the lookup says {found}")
    return item, reference


def repeat(erp):
    item, batch = erp.item(), new_key()
    reference = expect(erp.post([item], batch)[item["key"]], "posted")["reference"]
    again = erp.post([item], batch)[item["key"]]
    # A job that is asked for again tells what it told.
    want(again["status"] in {"posted", "duplicate"} and again["reference"] == reference, f"the same bytes again: {again}")
    if erp.send([item], new_key())[0] == 200:
        expect(again, "duplicate")


def regroup(erp):
    (old, reference), item = post(erp), erp.item()
    told = erp.post([old, item])
    want(expect(told[old["key"]], "duplicate")["reference"] == reference, "another reference")
    expect(told[item["key"]], "posted")


def key_clash(erp):
    item, _ = post(erp)
    other = item | {"fingerprint": uuid.uuid4().hex * 2, "data": item["data"] | {"probe": "other"}}
    expect(erp.post([other])[item["key"]], "rejected", "key_reused")
    want(erp.lookup([item["key"]])[item["key"]]["fingerprint"] == item["fingerprint"], "the lookup has the other fingerprint")


def partial(erp):
    first, second, third = erp.item(), erp.item(data=None), erp.item()
    told = erp.post([first, second, third])
    expect(told[first["key"]], "posted")
    expect(told[second["key"]], "rejected", "malformed")
    expect(told[third["key"]], "posted")
    found = erp.lookup([first["key"], second["key"], third["key"]])
    want([found[item["key"]]["status"] for item in (first, second, third)] == ["present", "absent", "present"],
         f"the lookup says {found}")


def free_key(erp):
    item = erp.bad()
    expect(erp.post([item])[item["key"]], "rejected", "unknown_tx_type")
    expect(erp.post([erp.item(key=item["key"])])[item["key"]], "posted")


def order(erp):
    if not erp.contract["capabilities"]["ordered_batch"]:
        raise Skipped("without ordered_batch a batch has one item of a lane")
    lane = f"CHECK/{new_key()}"
    bad, good, other = erp.bad(lane), erp.item(lane), erp.item()
    told = erp.post([bad, good, other])
    expect(told[bad["key"]], "rejected", "unknown_tx_type")
    expect(told[good["key"]], "retry", "lane_blocked")
    expect(told[other["key"]], "posted")
    expect(erp.post([good])[good["key"]], "posted")
    bad = erp.bad(lane)  # refused, the other would be said to have no effect
    told = erp.post([bad, good])
    expect(told[bad["key"]], "rejected", "unknown_tx_type")
    expect(told[good["key"]], "duplicate")


def race(erp):
    item, told = erp.item(), []

    def one():
        try:
            told.append(erp.send([item]))
        except Exception as error:
            told.append(error)
    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answer in told:
        want(isinstance(answer, tuple), f"{answer}")
        want(answer[0] in {200, 202, 409}, f"{answer[0]}: {answer[2]}")
        if answer[0] == 409:
            refused(answer, 409, "outstanding")
    words = [answer[2]["results"][0]["status"] for answer in told if answer[0] == 200]
    want(words.count("posted") <= 1 and set(words) <= {"posted", "duplicate", "accepted"}, f"two at once: {words}")
    expect(erp.settled(item["key"]), "present")


def broken_off(erp):
    item, batch = erp.item(), new_key()
    body = json.dumps({"events": [item]}).encode()
    head = {"Content-Type": "application/json", "Content-Length": len(body), "Idempotency-Key": f'"{batch}"',
            "Host": erp.at.netloc, "Connection": "close"} | erp.headers()
    connection = erp.connection()
    connection.connect()
    lines = [f"POST {erp.at.path}/events HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    connection.sock.sendall("\r\n".join(lines).encode() + body)
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
    time.sleep(erp.contract["settle_delay_s"])
    found = erp.settled(item["key"])
    again = erp.post([item], batch)[item["key"]]
    if found["status"] == "absent":
        expect(again, "posted")
    else:
        want(again["status"] in {"posted", "duplicate"}, f"present, and then {again}")
        want(again["reference"] == found["reference"], f"{found}, and then {again}")


def unknown_members(erp):
    item = erp.item(probe={"of": ["things", None]}, data=erp.contract["sample"]["data"] | {"probe": "unknown"})
    expect(erp.post([item])[item["key"]], "posted")


def too_many(erp):
    items = [erp.item() for _ in range(erp.contract["limits"]["max_batch"] + 1)]
    refused(erp.send(items), 413, "too_large")
    for found in erp.lookup([items[0]["key"], items[-1]["key"]]).values():
        expect(found, "absent")


def full_batch(erp):
    items = [erp.item() for _ in range(erp.contract["limits"]["max_batch"])]
    for result in erp.post(items).values():
        expect(result, "posted")


def packed(erp):
    if not erp.contract["capabilities"]["gzip"]:
        raise Skipped("it takes no gzip")
    item = erp.item()
    expect(erp.post([item], Content_Encoding="gzip")[item["key"]], "posted")


def job(erp):
    if not erp.contract["capabilities"]["jobs"]:
        raise Skipped("it never answers later")
    good, bad, batch = erp.item(), erp.bad(), new_key()
    status, told, body = erp.send([good, bad], batch)
    if status != 202:
        raise Skipped("it may answer later, and did not now")
    again = erp.send([good, bad], batch)
    if erp.get(told["Location"])[2]["status"] == "processing":  # it was at work when the batch came again
        want(again[0] == 202 and again[1]["Location"] == told["Location"], "the same batch again got another job")
    found = erp.lookup([good["key"]])[good["key"]]["status"]
    want(found in {"processing", "present"}, f"a lookup while the job is at work: {found}")
    told = results(erp.end_of_job(told, body), [good["key"], bad["key"]], STATUSES - {"accepted"})
    expect(told[good["key"]], "posted")
    expect(told[bad["key"]], "rejected", "unknown_tx_type")
    expect(erp.lookup([good["key"]])[good["key"]], "present")


def unknown_job(erp):
    if not erp.contract["capabilities"]["jobs"]:
        raise Skipped("it never answers later")
    status, told, body = erp.send([erp.item()])
    if status != 202:
        raise Skipped("it may answer later, and did not now")
    erp.end_of_job(told, body)
    refused(erp.get(told["Location"].rsplit("/", 1)[0] + f"/{new_key()}"), 404, "unknown_job")


HARMLESS = [discovery, wrong_credentials, lookup_absent, lookup_many, lookup_too_many, lookup_bad_key, empty_batch, bad_body,
            wrong_media, other_version]
POSTING = [unknown_type, post, repeat, regroup, key_clash, partial, free_key, order, race, broken_off, unknown_members, too_many,
           full_batch, packed, job, unknown_job]
NAMES = {"packed": "gzip"}


def name_of(check):
    return NAMES.get(check.__name__, check.__name__).replace("_", "-")


def run(base, token, only=(), tell=print):
    """Goes through the checks. True if none failed."""
    erp, well = Endpoint(base, token), True
    for check in HARMLESS + POSTING:
        if only and check is not discovery and name_of(check) not in only:
            continue
        begun = time.monotonic()
        try:
            if check in POSTING and not erp.contract["test_system"]:
                raise Skipped("not a test system")
            check(erp)
            verdict = "ok"
        except Skipped as why:
            verdict = f"SKIPPED: {why}"
        except (Failed, OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as why:
            verdict, well = f"FAILED: {why if isinstance(why, Failed) else repr(why)}", False
        tell(f"{name_of(check):18} {verdict}  ({time.monotonic() - begun:.1f} s)")
        if check is discovery and not well:
            break
    return well


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(not run(sys.argv[1].rstrip("/"), Path(sys.argv[2]).read_text().strip(), sys.argv[3:]))
