#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another user of the Tryton that server.py serves, by its JSON-RPC: `act.py HOME URL COMMAND …`. Standard library only.

    hold ORDER / release ORDER            an order on hold (WEB-00001 or Tryton's number), and not any more
    edit SHIPMENT NAME / leave SHIPMENT   an outgoing shipment that NAME has open, and not any more
    unassign SHIPMENT / assign SHIPMENT   takes an outgoing shipment back to waiting; gives it its goods again
    cancel SHIPMENT                       cancels an outgoing shipment
    close DATE / open                     closes the stock period that ends with DATE, or `today`; opens all again
    shut / let-in                         the gateway's key is cancelled; a new one with the same text is made
    rename ITEM CODE                      an item gets another code
    shipments                             JSON: {number: state} of the outgoing shipments
    work                                  JSON: orders, shipments, deliveries and requests that are open, for a test to post
    books                                 JSON: invoices of each order, stock by place, how many documents, postings
"""
import base64
import datetime as dt
import json
import sys
import urllib.request
from pathlib import Path
from zoneinfo import ZoneInfo

# Where the company is: its day begins an hour or two before that of UTC.
ZONE = ZoneInfo("Europe/Berlin")


class User:
    def __init__(self, home, url, login="admin"):
        self.home, self.url, self.session = Path(home), url.rstrip("/") + "/rpc/", None
        password = (self.home / "password").read_text().strip()
        told = self.call("common.db.login", login, {"password": password}, "en")
        number, token = told[:2]
        self.session = base64.b64encode(f"{login}:{number}:{token}".encode()).decode()
        self.context = self.call("model.res.user.get_preferences", True, {})

    def call(self, method, *parameters):
        headers = {"Content-Type": "application/json"}
        if self.session:
            headers["Authorization"] = f"Session {self.session}"
        body = json.dumps({"id": 1, "method": method, "params": parameters}).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url, body, headers), timeout=60) as answer:
            told = json.load(answer)
        if "error" in told:
            raise RuntimeError(f"{method}: {told['error']}")
        return told["result"]

    def model(self, name, method, *parameters):
        return self.call(f"model.{name}.{method}", *parameters, self.context)

    def search(self, name, domain, fields):
        return self.model(name, "search_read", domain, 0, None, [["id", "ASC"]], fields)

    def one(self, name, code):
        found = self.search(name, ["OR", ["number", "=", code], ["reference", "=", code]], ["id"])
        if len(found) != 1:
            raise RuntimeError(f"{len(found)} records of {name} for {code}")
        return [found[0]["id"]]

    # -- what one can do ------------------------------------------------------------------------------------------------
    def hold(self, order):
        self.model("sale.sale", "write", self.one("sale.sale", order), {"on_hold": True})

    def release(self, order):
        self.model("sale.sale", "write", self.one("sale.sale", order), {"on_hold": False})

    def edit(self, shipment, name):
        self.model("stock.shipment.out", "write", self.one("stock.shipment.out", shipment), {"edited_by": name})

    def leave(self, shipment):
        self.model("stock.shipment.out", "write", self.one("stock.shipment.out", shipment), {"edited_by": None})

    def unassign(self, shipment):
        self.model("stock.shipment.out", "wait", self.one("stock.shipment.out", shipment))

    def assign(self, shipment):
        self.model("stock.shipment.out", "assign_try", self.one("stock.shipment.out", shipment))

    def cancel(self, shipment):
        self.model("stock.shipment.out", "cancel", self.one("stock.shipment.out", shipment))

    def close(self, date):
        today = str(dt.datetime.now(ZONE).date())
        date = today if date == "today" else date
        year, month, day = map(int, date.split("-"))
        period = self.model("stock.period", "create", [
            {"date": {"__class__": "date", "year": year, "month": month, "day": day}}])
        if date < today:
            self.model("stock.period", "close", period)
        else:  # Tryton closes no day that is not over; who waits for that has no test
            self.model("stock.period", "write", period, {"state": "closed"})

    def open(self):
        closed = self.search("stock.period", [["state", "=", "closed"]], ["id"])
        self.model("stock.period", "draft", [row["id"] for row in closed])

    def shut(self):
        found = self.search("res.user.application", [["application", "=", "floorgate"], ["state", "=", "validated"]], ["id"])
        self.model("res.user.application", "cancel", [row["id"] for row in found])

    def let_in(self):
        user, = self.search("res.user", [["login", "=", "floorgate"]], ["id"])
        key = (self.home / "apikey").read_text().strip()
        self.model("res.user.application", "create", [
            {"key": key, "user": user["id"], "application": "floorgate", "state": "validated"}])

    def rename(self, item, code):
        found, = self.search("product.product", [["code", "=", item]], ["id"])
        self.model("product.product", "write", [found["id"]], {"suffix_code": code})

    def shipments(self):
        return {row["number"]: row["state"] for row in self.search("stock.shipment.out", [], ["number", "state"])}

    def work(self):
        """What is there to be done: enough to make postings of each type."""
        fields = ["product.code", "quantity", "unit.symbol", "from_location.code", "to_location.code", "lot.number", "state",
                  "shipment", "origin"]
        moves = self.search("stock.move", [["state", "in", ["draft", "assigned"]]], fields)

        def line(move):
            return {"item": move["product."]["code"], "qty": f"{move['quantity']:g}", "from": move["from_location."]["code"],
                    "to": move["to_location."]["code"], "lot": (move["lot."] or {}).get("number")}

        def of(model, states, more, belongs):
            return [{"number": row["number"], "reference": row["reference"], "lines": [
                line(move) for move in moves if move["shipment"] == f"{model},{row['id']}" and belongs(line(move))]} | {
                    name: row[name] for name in more}
                    for row in self.search(model, [["state", "in", states]], ["number", "reference", *more])]
        return {
            "shipments": of("stock.shipment.out", ["assigned"], ["origins"], lambda one: one["to"] == "OUT"),
            "deliveries": of("stock.shipment.in", ["draft"], [], lambda one: True),
            "requests": of("stock.shipment.internal", ["request", "draft", "waiting"], [], lambda one: True)}

    def books(self):
        """For an oracle: everything that a posting could leave, or leave twice."""
        sums = {}
        for move in self.search("stock.move", [["state", "=", "done"]], [
                "product.code", "internal_quantity", "from_location.code", "from_location.type", "to_location.code",
                "to_location.type", "lot.number"]):
            for end, sign in [("from_location.", -1), ("to_location.", 1)]:
                if move[end]["type"] == "storage":
                    place = f"{move[end]['code']}/{move['product.']['code']}/{(move['lot.'] or {}).get('number') or ''}"
                    sums[place] = sums.get(place, 0) + sign * move["internal_quantity"]
        sales = {row["reference"]: len(row["invoices"]) for row in self.search("sale.sale", [], ["reference", "invoices"])}
        return {
            "stock": {place: f"{amount:g}" for place, amount in sorted(sums.items()) if amount},
            "invoices": {order: number for order, number in sales.items() if number},
            "documents": {name: self.model(name, "search_count", []) for name in [
                "stock.move", "stock.inventory", "stock.shipment.in", "stock.shipment.internal", "stock.shipment.out",
                "stock.lot", "account.invoice"]},
            "transfers": len(self.search("stock.shipment.internal", [["state", "=", "done"]], ["id"])),
            "postings": {row["key"]: row["reference"] for row in self.search(
                "floorgate.posting", [], ["key", "reference"])}}


def main(home, url, command, *parameters):
    told = getattr(User(home, url), command.replace("-", "_"))(*parameters)
    if told is not None:
        print(json.dumps(told, indent=1))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
