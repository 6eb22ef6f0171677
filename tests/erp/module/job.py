# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches that are answered later: stored, booked by a thread of their own in the order in which they came."""
import json
import logging
import threading
import time
import uuid

from trytond.model import ModelSQL, ModelView, fields
from trytond.pool import Pool
from trytond.transaction import Transaction

from . import switches
from .posting import Outstanding, desk
from .savepoint import Busy, begin, transact

logger = logging.getLogger(__name__)


class Job(ModelSQL, ModelView):
    __name__ = "floorgate.job"

    name = fields.Char("Name", required=True)
    batch = fields.Char("Batch", help="The Idempotency-Key it came with.")
    items = fields.Text("Items", required=True)
    results = fields.Text("Results")
    user = fields.Many2One("res.user", "User", required=True)

    @classmethod
    def store(cls, items, batch):
        """The job of these items: the one that is at work on this batch already, or a new one.

        One that is done is no answer: what it refused may be right by now.
        """
        begin()
        text = json.dumps(items)
        same = cls.search([("batch", "=", batch), ("items", "=", text), ("results", "=", None)], limit=1) if batch else []
        return same[0] if same else cls.create([{
            "name": uuid.uuid4().hex, "batch": batch, "items": text, "user": Transaction().user}])[0]

    @classmethod
    def open(cls, limit=None):
        return cls.search([("results", "=", None)], order=[("id", "ASC")], limit=limit)

    @classmethod
    def keys(cls):
        """Keys of all jobs that are not done."""
        return {item.get("key") for job in cls.open() for item in json.loads(job.items)}

    def answer(self):
        body = {"job": self.name, "status": "processing" if self.results is None else "done"}
        return body | ({} if self.results is None else {"results": json.loads(self.results)})


class Worker:
    """One thread for each database, begun when there is something to do: by the next request after a restart as well."""

    def __init__(self):
        self._lock, self._threads = threading.Lock(), {}

    def wake(self, database):
        with self._lock:
            thread = self._threads.get(database)
            if not thread or not thread.is_alive():
                self._threads[database] = threading.Thread(target=self._run, args=[database], daemon=True)
                self._threads[database].start()

    def _run(self, database):
        try:
            while self._one(database):
                pass
        except Exception:
            logger.exception("jobs of %s", database)

    def _one(self, database):
        def look():
            return [(job.id, job.user.id, json.loads(job.items)) for job in Pool().get("floorgate.job").open(limit=1)]
        for number, user, items in transact(database, 0, look, readonly=True):
            time.sleep(switches.read().get("jobs", {}).get("delay", 0))

            def book():
                pool = Pool()
                results = pool.get("floorgate.posting").book(items)
                pool.get("floorgate.job").write([pool.get("floorgate.job")(number)], {"results": json.dumps(results)})
            try:
                with desk.sitting({item.get("key") for item in items}):
                    transact(database, user, book)
            except (Busy, Outstanding):
                time.sleep(0.5)
            return True
        return False


worker = Worker()
