# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of keys, and a batch: each key is booked once, in the transaction that books its effect."""
import datetime as dt
import json
import logging
import re
import threading
from collections import Counter
from contextlib import contextmanager
from zoneinfo import ZoneInfo

from trytond import backend
from trytond.exceptions import ConcurrencyException, UserError, UserWarning
from trytond.model import ModelSQL, ModelView, Unique, fields
from trytond.pool import Pool
from trytond.tools import grouped_slice
from trytond.transaction import Transaction, TransactionError

from . import effects
from .errors import AlreadyDone, Edited, OnHold, Refused
from .finder import Finder
from .savepoint import Busy, begin, savepoint

logger = logging.getLogger(__name__)

# Members of `data` (and of its `lines`) that are texts and whole numbers wherever they stand.
TEXTS = {"shipment", "order", "item", "uom", "from", "to", "lot", "location", "po", "asn", "dock", "request", "tracking",
         "carrier", "reason", "reverses", "reference"}
WHOLE = {"line", "cycle", "as_of_seq"}

KEY = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FINGERPRINT = re.compile(r"[0-9a-f]{64}")

# How long a request waits for the one before it, in seconds.
PATIENCE = 30

TITLES = {
    "malformed": "Malformed item", "unknown_tx_type": "Unknown transaction type", "key_reused": "Key reused",
    "order_on_hold": "Order on hold", "period_closed": "Period closed", "bad_state": "Wrong state of the document",
    "concurrent": "Changed or locked by somebody", "lane_blocked": "Not tried", "internal": "Failed inside",
    "erp_error": "Refused by Tryton"}


def problem(reason, message, pointer=None, status=None, **more):
    """A problem document of RFC 9457."""
    body = {"type": f"urn:floorgate:problem:{reason}", "title": TITLES.get(reason, reason.replace("_", " ").capitalize())}
    body |= {"status": status} if status else {}
    body |= {"detail": message} | ({"pointer": pointer} if pointer else {}) | more
    return body


def not_booked(status, reason, message, pointer=None):
    return {"status": status, "reason": reason, "message": message, "problem": problem(reason, message, pointer)}


class Outstanding(Exception):
    """An earlier request with the same keys is still at work."""


class Desk:
    """One batch is booked at a time. Which keys that are, and which wait for their turn, is known to lookups."""

    def __init__(self):
        self._turn, self._door, self._keys = threading.Lock(), threading.Lock(), Counter()

    def has(self, key):
        return key in self._keys

    @contextmanager
    def sitting(self, keys, before=lambda: None):
        """From here on the keys are at work. `before` is called while others may still have their turn."""
        with self._door:
            known = any(key in self._keys for key in keys)
            self._keys.update(keys)
        try:
            before()
            if not self._turn.acquire(timeout=PATIENCE):
                raise Outstanding if known else Busy("another batch is being booked")
            try:
                yield
            finally:
                self._turn.release()
        finally:
            with self._door:
                self._keys.subtract(keys)
                self._keys += Counter()


desk = Desk()


class Posting(ModelSQL, ModelView):
    __name__ = "floorgate.posting"

    key = fields.Char("Key", required=True)
    fingerprint = fields.Char("Fingerprint", required=True)
    tx_type = fields.Char("Transaction Type", required=True)
    lane = fields.Char("Lane")
    as_of_seq = fields.Integer("As of Sequence")
    reference = fields.Char("Reference", required=True)
    detail = fields.Char("Detail")
    trace = fields.Char("Trace")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints = [("key_unique", Unique(table, table.key), "floorgate.msg_key_unique")]

    @classmethod
    def known(cls, keys):
        """{key: posting} of those keys that are booked."""
        keys = {key for key in keys if isinstance(key, str)}
        return {row.key: row for some in grouped_slice(list(keys), 500) for row in cls.search([("key", "in", list(some))])}

    @classmethod
    def book(cls, items):
        """Books what of `items` can be booked, in order; a result for each. To be called in a transaction."""
        begin()
        # Tryton begins the transaction anew at each lock that it finds missing: take at once what will be asked for.
        Pool().get("stock.move").lock()
        for model, ids in effects.orders(items).items():
            Pool().get(model).lock(ids)
        known, find, blocked, new, results = cls.known(i.get("key") for i in items), Finder(), set(), [], []
        for item in items:
            outcome = cls._one(item, known, find, new, blocked)
            if outcome["status"] not in {"posted", "duplicate"} and isinstance(item.get("lane"), str):
                blocked.add(item["lane"])
            results.append({"key": item.get("key")} | outcome)
        cls.save(new)
        return results

    @classmethod
    def _one(cls, item, known, find, new, blocked):
        if refusal := wrong_key(item):
            return not_booked("rejected", "malformed", *refusal)
        key = item["key"]
        if row := known.get(key):  # before all else: whatever refuses an item says that its key has no effect
            if row.fingerprint != item["fingerprint"]:
                return not_booked("rejected", "key_reused", f"This key was booked as {row.reference} with other content.")
            return {"status": "duplicate", "reference": row.reference}
        if isinstance(item.get("lane"), str) and item["lane"] in blocked:
            return not_booked("retry", "lane_blocked", "An item before it in this batch was not booked.")
        if refusal := wrong_form(item):
            return not_booked("rejected", "malformed", *refusal)
        data = {name: value for name, value in item["data"].items() if value is not None}
        effect = effects.EFFECTS.get(item["tx_type"])
        if effect is None:
            return not_booked("rejected", "unknown_tx_type", f"{item['tx_type']} is not taken here.", "/tx_type")
        try:
            with savepoint():
                cls._refuse_old_count(item)
                reference, detail = effect(data, find, posting_date(item))
                run_tasks()
            outcome = {"status": "posted", "reference": reference}
        except AlreadyDone as done:
            outcome, detail = {"status": "duplicate", "reference": done.reference, "reason": "already_done",
                               "message": done.message}, {"already_done": True}
        except Refused as refused:
            return not_booked("rejected", refused.reason, refused.message, refused.pointer)
        except OnHold as error:
            return not_booked("rejected", "order_on_hold", error.message)
        except (Edited, ConcurrencyException) as error:
            return not_booked("retry", "concurrent", error.message)
        except (UserError, UserWarning) as error:
            return not_booked("rejected", "erp_error", error.message)
        except (TransactionError, backend.DatabaseOperationalError):
            raise  # of the whole transaction
        except Exception as error:
            logger.exception("item %s", key)
            return not_booked("retry", "internal", f"{type(error).__name__}: {error}")
        new.append(cls(
            key=key, fingerprint=item["fingerprint"], tx_type=item["tx_type"], lane=item["lane"],
            as_of_seq=data.get("as_of_seq"), reference=outcome["reference"], detail=json.dumps(detail),
            trace=item.get("traceparent")))
        known[key] = new[-1]
        return outcome

    @classmethod
    def _refuse_old_count(cls, item):
        seq = item["data"].get("as_of_seq")
        if item["tx_type"] != "stock_count" or seq is None:
            return
        newer = cls.search(
            [("lane", "=", item["lane"]), ("tx_type", "=", "stock_count"), ("as_of_seq", ">", seq)], limit=1)
        if newer:
            raise Refused("bad_state", f"A count as of {newer[0].as_of_seq} is booked, later than {seq}.", "/data/as_of_seq")


def wrong_key(item):
    """(sentence, pointer) of what is wrong with an item's key and fingerprint, or None."""
    for name, form in [("key", KEY), ("fingerprint", FINGERPRINT)]:
        if not isinstance(item.get(name), str) or not form.fullmatch(item[name]):
            return f"{name} is missing or has the wrong form.", f"/{name}"
    return None


def wrong_form(item):
    """(sentence, pointer) of what is wrong with the rest of an item's frame, or None."""
    for name in ["tx_type", "lane", "time"]:
        if not isinstance(item.get(name), str) or not item[name]:
            return f"{name} is missing or no text.", f"/{name}"
    if not isinstance(item.get("data"), dict):
        return "data is missing or no object.", "/data"
    if wrong := wrong_members(item["data"], "/data"):
        return wrong
    try:
        dt.datetime.fromisoformat(item["time"])
    except ValueError:
        return f"time is no RFC 3339 time: {item['time']}", "/time"
    return None


def wrong_members(data, within):
    for name, value in data.items():
        if value is None:
            continue
        if name in TEXTS and not isinstance(value, str):
            return f"{name} must be a text.", f"{within}/{name}"
        if name in WHOLE and (not isinstance(value, int) or isinstance(value, bool)):
            return f"{name} must be a whole number.", f"{within}/{name}"
        if name == "lines":
            if not isinstance(value, list) or not value or not all(isinstance(line, dict) for line in value):
                return "lines must be a list of objects.", f"{within}/lines"
            for number, line in enumerate(value):
                if wrong := wrong_members(line, f"{within}/lines/{number}"):
                    return wrong
    return None


def posting_date(item):
    """The date to post by: that of the event in the company's zone, today's where its clock was not set or is ahead."""
    Company, Date = map(Pool().get, ["company.company", "ir.date"])
    date = Date.today()
    company = Company(Transaction().context["company"])
    zone = ZoneInfo(company.timezone or "UTC")
    if item.get("time_quality") != "unsynced":
        date = min(dt.datetime.fromisoformat(item["time"]).astimezone(zone).date(), date)
    closed = Pool().get("stock.period").search(
        [("company", "=", company.id), ("state", "=", "closed"), ("date", ">=", date)], limit=1)
    if closed:
        raise Refused("period_closed", f"{date} lies in the stock period that was closed on {closed[0].date}.", "/time")
    return date


def run_tasks():
    """Runs what an effect left for after the commit (invoices, back orders): here it is undone with the effect."""
    transaction = Transaction()
    tasks = list(dict.fromkeys(transaction.tasks))
    transaction.tasks.clear()
    for task in Pool().get("ir.queue").browse(tasks):
        task.run()
