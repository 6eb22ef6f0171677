# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP. The contract is under /<database>/floorgate/v1, the older form under /<database>/floorgate/kinds/v1."""
import gzip
import json
import logging
import zlib
from functools import wraps

from trytond import __version__
from trytond.pool import Pool
from trytond.protocols.wrappers import Response, set_max_request_size, with_pool
from trytond.wsgi import app
from werkzeug.exceptions import RequestEntityTooLarge

from . import effects, kinds, switches
from .job import worker
from .posting import KEY, Outstanding, desk, problem
from .savepoint import Busy, transact

logger = logging.getLogger(__name__)

CONTRACT, KINDS = "/<database_name>/floorgate/v1", "/<database_name>/floorgate/kinds/v1"
VERSIONS = ["1"]
MAX_BATCH, MAX_BODY, MAX_LOOKUP = 200, 4 << 20, 50
LOGGED_IN = "floorgate"  # the kind of API key


class Problem(Exception):
    """An answer to the whole request."""

    def __init__(self, status, reason, message, headers=None, **more):
        super().__init__(message)
        self.status, self.headers = status, headers or {}
        self.body = problem(reason, message, status=status, **more)


def reply(body, status=200, headers=None, content_type="application/json"):
    return Response(json.dumps(body), status=status, headers=headers, content_type=content_type)


def route(path, method):
    """A handler gets the request, the database's name and the user's id; what it raises becomes a problem document."""
    def decorator(handler):
        @wraps(handler)
        def answer(request, pool, **parts):
            try:
                return handler(request, pool.database_name, authorized(request, pool.database_name), **parts)
            except Problem as error:
                fault = error
            except Busy as error:
                fault = Problem(503, "busy", f"The database is busy: {error}", {"Retry-After": "1"})
            except Outstanding:
                fault = Problem(409, "outstanding", "An earlier request with these keys is still at work.", {"Retry-After": "5"})
            except Exception as error:
                logger.exception("%s %s", request.method, request.path)
                fault = Problem(500, "internal", f"{type(error).__name__}: {error}")
            return reply(fault.body, fault.status, fault.headers, "application/problem+json")
        return app.route(path, methods={method})(set_max_request_size(MAX_BODY)(with_pool(answer)))
    return decorator


def authorized(request, database):
    """The user's id. Read in a transaction of its own: a cancelled key ends here at once."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")

    def check():
        application = Pool().get("res.user.application").check(token, LOGGED_IN) if kind.lower() == "bearer" else None
        return application.user.id if application else None
    user = transact(database, 0, check, readonly=True)
    if user is None:
        raise Problem(401, "unauthorized", "This key is not, or no longer, valid.", {"WWW-Authenticate": "Bearer"})
    version = request.headers.get("Floorgate-Contract", VERSIONS[0])
    if version not in VERSIONS:
        raise Problem(400, "unsupported_version", f"Version {version} is not spoken here.", versions=VERSIONS)
    return user


def batch_of(request):
    """The list `events` of the body."""
    if request.mimetype != "application/json":
        raise Problem(415, "unsupported_media", f"{request.mimetype or 'no type'} is not taken; send application/json.")
    try:
        body = request.get_data()
        coding = request.headers.get("Content-Encoding", "identity")
        if coding == "gzip":
            body = unpacked(body)
        elif coding != "identity":
            raise Problem(415, "unsupported_media", f"{coding} is not taken; send gzip or plain.")
        events = json.loads(body)["events"]
    except (RequestEntityTooLarge, OverflowError):
        raise Problem(413, "too_large", f"A body may have {MAX_BODY} bytes.", max_body_bytes=MAX_BODY) from None
    except (ValueError, KeyError, TypeError, EOFError, OSError, zlib.error) as error:
        raise Problem(400, "malformed", f"The body is no batch of events: {type(error).__name__} {error}") from None
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise Problem(400, "malformed", "events must be a list of objects.")
    if len(events) > MAX_BATCH:
        raise Problem(413, "too_large", f"{len(events)} items in one batch; at most {MAX_BATCH} are taken.", max_batch=MAX_BATCH)
    return events


def unpacked(body):
    """Bounded, whatever the packed size."""
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    text = unpacker.decompress(body, MAX_BODY + 1)
    if len(text) > MAX_BODY:
        raise OverflowError
    if not unpacker.eof:
        raise gzip.BadGzipFile("not whole")
    return text


def limits():
    """RateLimit headers of a posting request; refuses it where there is nothing left."""
    if busy := switches.read().get("busy"):
        raise Problem(503, "busy", "Maintenance.", {"Retry-After": str(busy.get("retry_after", 1))})
    limit = switches.throttled()
    if limit is None:
        return {}
    quota, seconds, left, until = limit
    until = max(1, int(until + 0.999))
    headers = {"RateLimit-Policy": f'"postings";q={quota};w={seconds}', "RateLimit": f'"postings";r={max(0, left)};t={until}'}
    if left < 0:
        raise Problem(429, "throttled", f"{quota} requests in {seconds} s; the next in {until} s.",
                      headers | {"Retry-After": str(until)})
    return headers


def post(request, database, user, items, tell):
    """Books a batch, now or later. `tell` makes the body of an answer from the results."""
    headers = limits()

    def waiting():
        return bool(Pool().get("floorgate.job").open(limit=1))

    def store():
        job = Pool().get("floorgate.job").store(items, request.headers.get("Idempotency-Key"))
        return job.answer()

    def book():
        results = Pool().get("floorgate.posting").book(items)
        switches.strike("before_commit", request)
        return results
    if items and ("jobs" in switches.read() or transact(database, user, waiting, readonly=True)):
        answer = transact(database, user, store)
        switches.strike("after_commit", request)
        worker.wake(database)
        place = f"{request.path.rsplit('/', 1)[0]}/jobs/{answer['job']}"
        return reply(answer, 202, headers | {"Location": place, "Retry-After": "1"})
    with desk.sitting({item.get("key") for item in items}, before=lambda: switches.strike("before_work", request)):
        results = transact(database, user, book) if items else []
    switches.strike("after_commit", request)
    return reply(tell(results), headers=headers)


@route(f"{CONTRACT}/contract", "GET")
def contract(request, database, user):
    return reply({
        "contract": "floorgate-posting", "versions": VERSIONS, "system": f"Tryton {__version__}, database {database}",
        "test_system": switches.read().get("test_system", True),
        "limits": {"max_batch": MAX_BATCH, "max_body_bytes": MAX_BODY, "max_lookup": MAX_LOOKUP, "max_concurrent": 1},
        "capabilities": {"ordered_batch": True, "jobs": True, "callback": False, "gzip": True, "definite_503": True},
        "dedup_horizon_s": None, "settle_delay_s": 5, "job_keep_s": 86400, "tx_types": list(effects.EFFECTS),
        "sample": {"kind": "counted", "tx_type": "stock_count", "subject": "stock/SKU-0001//PROBE",
                   "data": {"item": "SKU-0001", "location": "PROBE", "qty": "0", "uom": "EA"}}})


@route(f"{CONTRACT}/events", "POST")
def events(request, database, user):
    return post(request, database, user, batch_of(request), lambda results: {"results": results})


@route(f"{CONTRACT}/lookup", "GET")
def lookup(request, database, user):
    keys = request.args.getlist("key")
    if not keys or not all(KEY.fullmatch(key) for key in keys):
        raise Problem(400, "malformed", "A lookup needs one key or more, each a UUID in lower case.")
    if len(keys) > MAX_LOOKUP:
        raise Problem(413, "too_large", f"{len(keys)} keys; at most {MAX_LOOKUP} are looked up.", max_lookup=MAX_LOOKUP)
    # What is at work is noted before the table is read: it may be booked in between, but not missed.
    busy = {key for key in keys if desk.has(key)}

    def find():
        pool = Pool()
        return pool.get("floorgate.job").keys(), {
            key: {"key": key, "status": "present", "reference": row.reference, "fingerprint": row.fingerprint}
            for key, row in pool.get("floorgate.posting").known(keys).items()}
    queued, known = transact(database, user, find, readonly=True)
    if queued:
        worker.wake(database)
    return reply({"results": [
        known.get(key) or {"key": key, "status": "processing" if key in busy | queued else "absent"} for key in keys]})


@route(f"{CONTRACT}/jobs/<name>", "GET")
def jobs(request, database, user, name):
    def find():
        return [job.answer() for job in Pool().get("floorgate.job").search([("name", "=", name)], limit=1)]
    found = transact(database, user, find, readonly=True)
    if not found:
        raise Problem(404, "unknown_job", f"There is no job {name}.")
    if "results" not in found[0]:
        worker.wake(database)
    return reply(found[0], headers={} if "results" in found[0] else {"Retry-After": "1"})


@route(f"{KINDS}/events", "POST")
def kinds_events(request, database, user):
    batch = batch_of(request)

    def tell(results):
        return {"results": [kinds.result(event, outcome) for event, outcome in zip(batch, results)]}
    return post(request, database, user, [kinds.item(event) for event in batch], tell)


@route(f"{KINDS}/lookup", "GET")
def kinds_lookup(request, database, user):
    keys = request.args.getlist("key")[:MAX_BATCH]

    def find():
        rows = Pool().get("floorgate.posting").known([kinds.key(key) for key in keys])
        return {key: rows[kinds.key(key)].reference for key in keys if kinds.key(key) in rows}
    known = transact(database, user, find, readonly=True)
    return reply({"results": [
        {"key": key} | ({"status": "posted", "reference": known[key]} if key in known else {"status": "unknown"})
        for key in keys]})
