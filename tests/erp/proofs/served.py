# SPDX-License-Identifier: GPL-3.0-or-later
"""A Tryton that is served for one proof, and what a proof does with it."""
import json
import subprocess
import time
from http.client import HTTPException
from pathlib import Path

import conform
from act import User
from conform import Endpoint, Failed, expect, want

SERVER = Path(__file__).resolve().parent.parent / "server.py"


class Tryton:
    """A server with a fresh copy of the seeded database, and what a test does with it."""

    def __init__(self, home, work):
        self.home, self.work, self.process = home, work, None
        self.start()

    def start(self):
        begun = time.monotonic()
        self.process = subprocess.Popen([SERVER, self.home, self.work], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        told = self.process.stdout.readline().split()
        want(told[:1] == ["ready"], f"the server did not start; see {self.work}/log")
        self.url, self.took = told[1], time.monotonic() - begun
        self.erp = Endpoint(f"{self.url}/floorgate/v1", (self.home / "apikey").read_text().strip())
        conform.discovery(self.erp)
        self.user = User(self.home, self.url)

    def end(self):
        self.process.kill()
        self.process.communicate()

    def restart(self):
        self.process.communicate()  # until it is gone
        self.start()

    def switch(self, **switches):
        (self.work / "switches.json").write_text(json.dumps(switches))

    def post(self, *items):
        """The results, in the order of the items."""
        told = self.erp.post(list(items))
        return [told[item["key"]] for item in items]

    def lost(self, *items):
        """Posts, and must get no answer."""
        try:
            answer = self.erp.send(list(items))
        except (OSError, HTTPException):
            return
        raise Failed(f"an answer came: {answer[0]} {answer[2]}")

    def found(self, item):
        return self.erp.lookup([item["key"]])[item["key"]]

    def moved(self, qty="1", **more):
        data = {"item": "SKU-0001", "from": "A-02", "to": "B-01", "qty": qty, "uom": "EA"}
        return self.make("stock_transfer", "inventory_moved", data, **more)

    def make(self, tx_type, kind, data, lane=None, **more):
        return self.erp.item(lane, kind=kind, tx_type=tx_type, data=data, **more)

    def shipment(self, number):
        return next(one for one in self.user.work()["shipments"] if one["number"] == number)

    def picks(self, shipment):
        """A pick of each line in full, with the first lot where one is needed."""
        lane = f"T/outbound/{shipment['number']}"
        return [self.make("pick_confirm", "pick_confirmed", {
            "shipment": shipment["number"], "item": line["item"], "qty": line["qty"], "uom": "EA", "from": line["from"]} | lot(
                line["item"]), lane) for line in shipment["lines"]]

    def closing(self, shipment):
        lane, number = f"T/outbound/{shipment['number']}", shipment["number"]
        lines = [{"item": line["item"], "qty": line["qty"], "uom": "EA"} for line in shipment["lines"]]
        return [self.make("pack_confirm", "packing_completed", {"shipment": number, "cartons": ["340123450000000017"]}, lane),
                self.make("goods_issue", "shipment_closed", {"shipment": number, "lines": lines, "cycle": 1}, lane)]


def lot(item):
    number = int(item[4:])
    return {"lot": f"L{number:04d}-A"} if number % 5 == 0 else {}


def order_of(shipment):
    """`1 [WEB-00001]` -> `WEB-00001`"""
    return shipment["origins"].split("[")[1].rstrip("]")


def all_are(results, status, reason=None):
    for result in results:
        expect(result, status, reason)
