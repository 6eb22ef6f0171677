#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proves this Tryton against docs/erp-contract.md: `prove.py HOME [NAME…]`.

Builds it in HOME if need be, starts servers of its own in a temporary folder, and ends with 1 if something failed: the
checklist of the page, answered at once and later; then what only Tryton itself can do (an order on hold, a closed period,
another user, a killed server). NAME: only proofs whose name holds it.
"""
import datetime as dt
import json
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

import conform
from act import User
from build import build
from conform import Endpoint, Failed, expect, new_key, want

HERE = Path(__file__).resolve().parent


class Tryton:
    """A server with a fresh copy of the seeded database, and what a test does with it."""

    def __init__(self, home, work):
        self.home, self.work, self.process = home, work, None
        self.start()

    def start(self):
        begun = time.monotonic()
        self.process = subprocess.Popen([HERE / "server.py", self.home, self.work], stdin=subprocess.PIPE,
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
        except OSError:
            return
        except conform.http.client.HTTPException:
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


# -- the page -------------------------------------------------------------------------------------------------------------
def the_checklist_holds_with_answers_at_once(tryton):
    want(conform.run(tryton.erp.at.geturl(), tryton.erp.token, tell=lambda line: print("   ", line)), "see above")


def the_checklist_holds_with_answers_that_come_later(tryton):
    tryton.switch(jobs={"delay": 0.3})
    want(conform.run(tryton.erp.at.geturl(), tryton.erp.token, tell=lambda line: print("   ", line)), "see above")


def nothing_is_posted_where_it_is_no_test_system(tryton):
    tryton.switch(test_system=False)
    lines = []
    want(conform.run(tryton.erp.at.geturl(), tryton.erp.token, tell=lines.append), "see above")
    want(sum("SKIPPED: not a test system" in line for line in lines) == len(conform.POSTING), f"{lines}")
    want(not tryton.user.books()["postings"], "something was posted")


# -- documents ------------------------------------------------------------------------------------------------------------
def a_shipment_goes_from_pick_to_one_invoice_however_often_it_is_sent(tryton):
    shipment = tryton.shipment("4")
    batch = tryton.picks(shipment) + tryton.closing(shipment)
    all_are(tryton.post(*batch), "posted")
    before = tryton.user.books()
    for size in (len(batch), 1):
        for begin in range(0, len(batch), size):
            all_are(tryton.post(*batch[begin:begin + size]), "duplicate")
    want(tryton.user.books() == before, "a repetition changed the books")
    want(before["invoices"] == {order_of(shipment): 1}, f"{before['invoices']}")
    want(tryton.user.shipments()["4"] == "done", "the shipment is not done")


def a_short_pick_leaves_a_back_order(tryton):
    shipment = tryton.shipment("4")
    line = max(shipment["lines"], key=lambda line: float(line["qty"]))
    picks = []
    for one, item in zip(shipment["lines"], tryton.picks(shipment)):
        if one is line:
            data = {name: value for name, value in item["data"].items() if name != "qty"}
            item = item | {"kind": "short_picked", "data": data | {
                "qty_expected": one["qty"], "qty_picked": f"{float(one['qty']) - 1:g}", "reason": "empty_location"}}
        picks.append(item)
    pack, issue = tryton.closing(shipment)
    wrong = issue | {"key": new_key()}
    issue = issue | {"data": {"shipment": "4", "cycle": 1}}
    number = len(tryton.user.shipments())
    all_are(tryton.post(*picks, pack), "posted")
    expect(tryton.post(wrong)[0], "rejected", "wrong_quantity")
    expect(tryton.post(issue)[0], "posted")
    want(len(tryton.user.shipments()) == number + 1, "no back order was made")


def a_line_may_be_picked_in_parts(tryton):
    shipment = next(one for one in tryton.user.work()["shipments"] if float(one["lines"][0]["qty"]) >= 2)
    whole, *rest = tryton.picks(shipment)
    part = whole | {"key": new_key(), "data": whole["data"] | {"qty": "1"}}
    left = whole | {"key": new_key(), "data": whole["data"] | {"qty": f"{float(whole['data']['qty']) - 1:g}"}}
    expect(tryton.post(part)[0], "posted")
    expect(tryton.post(whole)[0], "rejected", "wrong_quantity")
    all_are(tryton.post(left, *rest, *tryton.closing(shipment)), "posted")


def order_and_line_find_the_pick(tryton):
    shipment = tryton.shipment("4")
    pick = tryton.picks(shipment)[0]

    def named(**more):
        return pick | {"key": new_key(), "data": pick["data"] | more}
    expect(tryton.post(named(order="WEB-99999"))[0], "rejected", "unknown_order")
    expect(tryton.post(named(order=order_of(shipment), line=999))[0], "rejected", "unknown_line")
    words = [tryton.post(named(order=order_of(shipment), line=10 * (n + 1)))[0]["status"] for n in range(len(shipment["lines"]))]
    want(words.count("posted") == 1 and set(words) <= {"posted", "rejected"}, f"{words}")


def each_wrong_code_has_its_reason(tryton):
    shipment = tryton.shipment("4")
    pick = tryton.picks(shipment)[0]["data"]
    move = {"item": "SKU-0001", "from": "A-02", "to": "B-01", "qty": "1"}
    before = tryton.user.books()
    for tx_type, data, reason in [
            ("pick_confirm", pick | {"shipment": "999"}, "unknown_shipment"),
            ("pick_confirm", pick | {"item": "SKU-9999"}, "unknown_item"),
            ("pick_confirm", pick | {"qty": "9999"}, "wrong_quantity"),
            ("pick_confirm", pick | {"qty": 1}, "bad_quantity"),
            ("pick_confirm", pick | {"from": "Z-99"}, "unknown_location"),
            ("pick_confirm", pick | {"uom": "XX"}, "unknown_uom"),
            ("pick_confirm", {"item": "SKU-0001", "qty": "1"}, "malformed"),
            ("pick_confirm", pick | {"order": ["WEB-00004"]}, "malformed"),
            ("pick_confirm", pick | {"order": "WEB-00004", "line": "10"}, "malformed"),
            ("goods_receipt", {"asn": "ASN-PO-0001", "lines": ["all"]}, "malformed"),
            ("goods_receipt", {"asn": "ASN-PO-0001", "lines": [{"item": 5, "qty": "1"}]}, "malformed"),
            ("stock_count", {"item": "SKU-0001", "location": "A-02", "qty": "1", "as_of_seq": "20"}, "malformed"),
            ("shipment_tracking", {"shipment": "4"}, "malformed"),
            ("pack_confirm", {"shipment": "4"}, "bad_state"),
            ("goods_issue", {"shipment": "4"}, "bad_state"),
            ("goods_receipt", {"po": "PO-9999", "item": "SKU-0001", "qty": "1"}, "unknown_purchase"),
            ("goods_receipt", {"asn": "ASN-9999", "item": "SKU-0001", "qty": "1"}, "unknown_shipment"),
            ("stock_transfer", move | {"qty": "1000000"}, "no_stock"),
            ("stock_transfer", move | {"request": "REPL-999"}, "unknown_request"),
            ("stock_transfer", move | {"lot": "L0"}, "unknown_lot"),
            ("stock_transfer", move | {"qty": "0.5"}, "uom_not_whole"),
            ("stock_adjustment", {"item": "SKU-0001", "location": "A-02", "qty": "-601", "reason": "damage"}, "no_stock"),
            ("stock_transfer_reversal", move | {"reverses": new_key(), "reference": "x", "reason": "x"}, "unknown_posting")]:
        expect(tryton.post(tryton.make(tx_type, "check", data))[0], "rejected", reason)
    want(tryton.user.books() == before, "something of it stayed")


def what_was_done_by_hand_is_a_suspected_duplicate(tryton):
    shipment = tryton.shipment("4")
    all_are(tryton.post(*tryton.picks(shipment), *tryton.closing(shipment)), "posted")
    pack, issue = tryton.closing(shipment)
    expect(tryton.post(pack)[0], "duplicate", "already_done")
    expect(tryton.post(issue)[0], "duplicate", "already_done")
    expect(tryton.found(issue), "present")


def deliveries_are_received_and_put_away(tryton):
    work = tryton.user.work()
    delivery = max(work["deliveries"], key=lambda one: len(one["lines"]))
    asn, lines = delivery["reference"], delivery["lines"]
    told = [{"item": line["item"], "qty": line["qty"]} | lot(line["item"]) for line in lines]
    stranger = told + [{"item": next(f"SKU-{n:04d}" for n in range(1, 200) if f"SKU-{n:04d}" not in
                                     {line["item"] for line in lines}), "qty": "1"}]
    expect(tryton.post(tryton.make("goods_receipt", "receipt_counted", {"asn": asn, "lines": stranger}))[0],
           "rejected", "unexpected_item")
    expect(tryton.post(tryton.make("goods_receipt", "receipt_counted", {"asn": asn, "lines": told, "final": True}))[0], "posted")
    lane = f"T/inbound/{asn}"
    away = [tryton.make("stock_transfer", "inventory_moved", {
        "asn": asn, "from": "IN", "to": "B-10", "uom": "EA"} | one, lane) for one in told]
    all_are(tryton.post(*away), "posted")
    stock = tryton.user.books()["stock"]
    for one in told:
        want(stock.get(f"B-10/{one['item']}/{one.get('lot', '')}") == one["qty"], f"{one} is not in B-10")


def a_purchase_is_received_line_by_line(tryton):
    # The last ten purchases have no announcement.
    rows = tryton.user.search("purchase.purchase", [["reference", "=", "PO-0040"]], ["lines"])
    lines = tryton.user.model("purchase.line", "read", rows[0]["lines"], ["product.code", "quantity"])
    for line in lines:
        item, qty = line["product."]["code"], line["quantity"]
        for part in (1, qty - 1):
            data = {"po": "PO-0040", "item": item, "qty": f"{part:g}", "uom": "EA", "dock": "IN"} | lot(item)
            expect(tryton.post(tryton.make("goods_receipt", "receipt_counted", data))[0], "posted")
    data = {"po": "PO-0040", "item": item, "qty": "1"} | lot(item)
    expect(tryton.post(tryton.make("goods_receipt", "receipt_counted", data))[0], "duplicate", "already_done")
    want(tryton.user.books()["stock"].get(f"IN/{item}/{lot(item).get('lot', '')}") == f"{qty:g}", "not received in full")


def a_count_sets_and_an_adjustment_adds(tryton):
    place = {"item": "SKU-0001", "location": "A-02"}

    def stock():
        return tryton.user.books()["stock"].get("A-02/SKU-0001/")
    lane = "T/stock/SKU-0001//A-02"
    expect(tryton.post(tryton.make("stock_count", "counted", place | {"qty": "590", "as_of_seq": 20}, lane))[0], "posted")
    want(stock() == "590", stock())
    expect(tryton.post(tryton.make("stock_count", "counted", place | {"qty": "1", "as_of_seq": 19}, lane))[0],
           "rejected", "bad_state")
    expect(tryton.post(tryton.make("stock_count", "counted", place | {"qty": "4", "uom": "CS", "as_of_seq": 21}, lane))[0],
           "posted")
    want(stock() == "48", stock())
    change = tryton.make("stock_adjustment", "adjusted", place | {"qty": "-8", "reason": "damage"})
    reference = expect(tryton.post(change)[0], "posted")["reference"]
    want(stock() == "40", stock())
    back = change["data"] | {"reverses": change["key"], "reference": reference, "reason": "error"}
    expect(tryton.post(tryton.make("stock_adjustment_reversal", "adjusted", back))[0], "posted")
    want(stock() == "48", stock())
    move = tryton.moved(qty="8")
    reference = expect(tryton.post(move)[0], "posted")["reference"]
    want(stock() == "40", stock())
    back = move["data"] | {"reverses": move["key"], "reference": reference, "reason": "error"}
    expect(tryton.post(tryton.make("stock_transfer_reversal", "inventory_moved", back))[0], "posted")
    want(stock() == "48", stock())


# -- Tryton itself refuses ------------------------------------------------------------------------------------------------
def an_order_on_hold_is_refused_until_it_is_released(tryton):
    shipment = tryton.shipment("4")
    picks, closing = tryton.picks(shipment), tryton.closing(shipment)
    tryton.user.hold(order_of(shipment))
    told = expect(tryton.post(picks[0])[0], "rejected", "order_on_hold")
    want(order_of(shipment) in told["message"], told)
    expect(tryton.found(picks[0]), "absent")
    tryton.user.release(order_of(shipment))
    all_are(tryton.post(*picks, closing[0]), "posted")
    tryton.user.hold(order_of(shipment))
    expect(tryton.post(closing[1])[0], "rejected", "order_on_hold")
    tryton.user.release(order_of(shipment))
    expect(tryton.post(closing[1])[0], "posted")


def a_posting_date_in_a_closed_period_is_refused(tryton):
    today = dt.date.today()
    tryton.user.close(str(today - dt.timedelta(days=30)))
    then = f"{today - dt.timedelta(days=40)}T10:00:00.000Z"
    old, unset = tryton.moved(time=then), tryton.moved(time=then, time_quality="unsynced")
    expect(tryton.post(old)[0], "rejected", "period_closed")
    expect(tryton.post(unset)[0], "posted")
    shipment = tryton.shipment("4")
    pick = tryton.picks(shipment)[0] | {"time": then}
    expect(tryton.post(pick)[0], "rejected", "period_closed")
    tryton.user.open()
    reference = expect(tryton.post(old)[0], "posted")["reference"]
    row, = tryton.user.model("stock.shipment.internal", "read", [int(reference.split(",")[1])], ["effective_date"])
    date = row["effective_date"]
    want((date["year"], date["month"], date["day"]) == tuple(map(int, then[:10].split("-"))), f"posted by {date}")


def a_document_that_somebody_edits_is_tried_again(tryton):
    shipment = tryton.shipment("4")
    pick = tryton.picks(shipment)[0]
    tryton.user.edit("4", "M. Weber")
    told = expect(tryton.post(pick)[0], "retry", "concurrent")
    want("M. Weber" in told["message"], told)
    expect(tryton.found(pick), "absent")
    tryton.user.leave("4")
    expect(tryton.post(pick)[0], "posted")


def another_user_changes_the_shipment(tryton):
    shipment = tryton.shipment("4")
    first, *rest = tryton.picks(shipment)
    tryton.user.unassign("4")
    expect(tryton.post(first)[0], "rejected", "bad_state")
    other = tryton.shipment("5")
    tryton.user.cancel("5")
    told = tryton.post(*tryton.picks(other))
    expect(told[0], "rejected", "bad_state")
    all_are(told[1:], "retry", "lane_blocked")


def two_users_change_a_shipment_at_once(tryton):
    shipment = tryton.shipment("4")
    batch, faults = tryton.picks(shipment) + tryton.closing(shipment), []

    def meddle():
        for n in range(20):
            try:
                tryton.user.edit("4", "nobody") if n % 2 == 0 else tryton.user.leave("4")
            except Exception as error:
                faults.append(error)
        tryton.user.leave("4")
    thread = threading.Thread(target=meddle)
    thread.start()
    until = time.monotonic() + 60
    left = list(batch)
    while left:
        want(time.monotonic() < until, "it does not end")
        told = tryton.post(left[0])[0]
        if told["status"] in {"posted", "duplicate"}:
            left.pop(0)
        else:
            expect(told, "retry", "concurrent")
    thread.join()
    want(tryton.user.books()["invoices"] == {order_of(shipment): 1}, "not one invoice")


def a_session_that_expired_is_401_and_nothing_is_lost(tryton):
    item = tryton.moved()
    tryton.user.shut()
    conform.refused(tryton.erp.send([item]), 401, "unauthorized")
    conform.refused(tryton.erp.get(f"/lookup?key={item['key']}"), 401, "unauthorized")
    tryton.user.let_in()
    expect(tryton.found(item), "absent")
    expect(tryton.post(item)[0], "posted")


def a_database_that_somebody_locks_is_503_without_effect(tryton):
    item = tryton.moved()
    database = sqlite3.connect(tryton.work / "db" / "erp.sqlite", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    answer = conform.refused(tryton.erp.send([item]), 503, "busy")
    want(answer[1]["Retry-After"], "no Retry-After")
    database.rollback()
    database.close()
    expect(tryton.found(item), "absent")
    expect(tryton.post(item)[0], "posted")


def too_many_requests_are_429_with_their_limits(tryton):
    tryton.switch(throttle={"requests": 2, "seconds": 3})
    answers = [tryton.erp.send([tryton.moved()]) for _ in range(2)]
    want([answer[0] for answer in answers] == [200, 200], "refused too early")
    want(answers[1][1]["RateLimit"].startswith('"postings";r=0;t='), answers[1][1]["RateLimit"])
    item = tryton.moved()
    answer = conform.refused(tryton.erp.send([item]), 429, "throttled")
    want(answer[1]["RateLimit-Policy"] == '"postings";q=2;w=3', answer[1]["RateLimit-Policy"])
    expect(tryton.found(item), "absent")
    time.sleep(int(answer[1]["Retry-After"]))
    expect(tryton.post(item)[0], "posted")


# -- no answer ------------------------------------------------------------------------------------------------------------
def killed_between_commit_and_answer_it_is_there_once(tryton):
    items = [tryton.moved(), tryton.moved()]
    tryton.switch(after_commit={"do": "exit"})
    tryton.lost(*items)
    tryton.restart()
    for item in items:
        expect(tryton.found(item), "present")
    all_are(tryton.post(*items), "duplicate")
    want(tryton.user.books()["transfers"] == 2, "not two transfers")


def killed_before_the_commit_it_is_not_there(tryton):
    items = [tryton.moved(), tryton.moved()]
    tryton.switch(before_commit={"do": "exit"})
    tryton.lost(*items)
    tryton.restart()
    for item in items:
        expect(tryton.found(item), "absent")
    want(tryton.user.books()["transfers"] == 0, "something stayed")
    all_are(tryton.post(*items), "posted")


def without_an_answer_or_with_a_500_after_the_commit_it_is_there(tryton):
    item = tryton.moved()
    tryton.switch(after_commit={"do": "drop"})
    tryton.lost(item)
    expect(tryton.found(item), "present")
    expect(tryton.post(item)[0], "duplicate")
    item = tryton.moved()
    tryton.switch(after_commit={"do": "fail"})
    conform.refused(tryton.erp.send([item]), 500, "internal")
    expect(tryton.post(item)[0], "duplicate")
    want(tryton.user.books()["transfers"] == 2, "not two transfers")


def while_it_works_a_lookup_says_so_and_a_repetition_waits(tryton):
    item, told = tryton.moved(), []
    tryton.switch(before_work={"do": "stall", "seconds": 2})
    thread = threading.Thread(target=lambda: told.extend(tryton.post(item)))
    thread.start()
    until = time.monotonic() + 2
    while tryton.found(item)["status"] == "absent" and time.monotonic() < until:
        pass
    expect(tryton.found(item), "processing")
    again = tryton.post(item)[0]
    thread.join()
    want({told[0]["status"], again["status"]} == {"posted", "duplicate"}, f"{told[0]} and {again}")
    want(tryton.user.books()["transfers"] == 1, "not one transfer")


def a_job_survives_a_kill_and_is_done_once(tryton):
    tryton.switch(jobs={"delay": 3})
    items = [tryton.moved(), tryton.moved(qty="1000000"), tryton.moved()]
    status, headers, body = tryton.erp.send(items)
    want(status == 202, f"{status}: {body}")
    expect(tryton.found(items[0]), "processing")
    tryton.process.kill()
    tryton.restart()
    expect(tryton.found(items[0]), "processing")
    again = tryton.erp.send(items)
    want(again[0] == 202, f"{again[0]}")
    done = conform.results(tryton.erp.end_of_job(headers, body), [item["key"] for item in items], conform.STATUSES)
    expect(done[items[0]["key"]], "posted")
    expect(done[items[1]["key"]], "rejected", "no_stock")
    tryton.switch()
    expect(tryton.erp.settled(items[2]["key"]), "present")
    tryton.erp.end_of_job(again[1], again[2])
    want(tryton.user.books()["transfers"] == 2, "not two transfers")


def random_kills_lose_nothing_and_double_nothing(tryton):
    batches = [[tryton.moved(lane=f"T/{n}/{m}") for m in range(3)] for n in range(12)]
    tryton.switch(before_commit={"do": "exit", "chance": 0.15}, after_commit={"do": "exit", "chance": 0.25})
    kills = 0
    for batch in batches:
        while True:
            try:
                told = tryton.post(*batch)
                break
            except (OSError, conform.http.client.HTTPException):
                kills += 1
                want(kills < 100, "it does not end")
                tryton.restart()
        want({one["status"] for one in told} <= {"posted", "duplicate"}, f"{told}")
    tryton.switch()
    books = tryton.user.books()
    want(books["transfers"] == 36, f"{books['transfers']} transfers of 36 after {kills} kills")
    want(books["stock"]["B-01/SKU-0001/"] == "36", "the stock is another")
    print(f"    {kills} kills")


# -- the older form -------------------------------------------------------------------------------------------------------
def the_older_form_of_eight_kinds_is_served(tryton):
    erp = Endpoint(f"{tryton.url}/floorgate/kinds/v1", tryton.erp.token)
    shipment = tryton.shipment("4")

    def words(*events):
        status, _, body = erp.send(list(events))
        want(status == 200, f"{status}: {body}")
        want([one["key"] for one in body["results"]] == [event["key"] for event in events], "another order")
        return [(one["status"], one.get("reason")) for one in body["results"]]

    def event(kind, key=None, **data):
        return {"key": key or f"{kind}-{new_key()}", "lane": "ship-4", "kind": kind, "data": data}
    picks = [event("pick_confirmed", shipment="4", item=line["item"], quantity=float(line["qty"]), **lot(line["item"]))
             for line in shipment["lines"]]
    longest = max(range(len(picks)), key=lambda n: picks[n]["data"]["quantity"])
    short = picks[longest]["data"] | {"quantity": picks[longest]["data"]["quantity"] - 1}
    want(words(event("pick_confirmed", **short)) == [("rejected", "wrong_quantity")], "a partial pick of the older form")
    picks[longest] = event("short_pick", **short)
    batch = [*picks, event("packed", shipment="4"), event("shipped", shipment="4", tracking="T-1")]
    want(words(*batch) == [("posted", None)] * len(batch), words(*batch))
    want(words(*batch) == [("duplicate", None)] * len(batch), "not all are duplicates")
    other = batch[0] | {"data": batch[0]["data"] | {"quantity": 0}}
    want(words(other) == [("rejected", "key_reused")], words(other))
    want(words(event("packed", shipment="4")) == [("duplicate", "already_done")], "packed again")
    want(words(event("dance")) == [("rejected", "unknown_kind")], "an unknown kind")
    more = [event("moved", item="SKU-0001", quantity=2, **{"from": "A-02", "to": "B-01"}), event("moved", shipment="REPL-001"),
            event("counted", location="A-02", item="SKU-0001", quantity=500)]
    want(words(*more) == [("posted", None)] * 3, words(*more))
    delivery = tryton.user.work()["deliveries"][0]
    lines = [{"item": line["item"], "quantity": float(line["qty"])} | lot(line["item"]) for line in delivery["lines"]]
    inbound = [event("receipt", shipment=delivery["reference"], lines=lines), event("putaway", shipment=delivery["reference"])]
    want(words(*inbound) == [("posted", None)] * 2, words(*inbound))
    body = erp.get(f"/lookup?key={batch[0]['key']}&key=never")[2]
    want([one["status"] for one in body["results"]] == ["posted", "unknown"], body)


PROOFS = [value for value in list(globals().values()) if callable(value) and getattr(value, "__module__", "") == __name__
          and "_" in value.__name__ and value.__name__ not in {"order_of", "all_are"}]


def main(home, *names):
    home = Path(home).absolute()
    build(home)
    failed = 0
    for proof in PROOFS:
        if names and not any(name in proof.__name__ for name in names):
            continue
        with tempfile.TemporaryDirectory() as folder:
            begun, tryton = time.monotonic(), None
            try:
                tryton = Tryton(home, Path(folder))
                proof(tryton)
                verdict = "ok"
            except Exception as why:
                failed += 1
                verdict = f"FAILED: {why}"
                if not isinstance(why, Failed):
                    traceback.print_exc()
                log = Path(folder, "log")
                print(log.read_text()[-2000:] if log.exists() else "no log", file=sys.stderr)
            finally:
                if tryton:
                    tryton.end()
            print(f"{proof.__name__.replace('_', ' ')}: {verdict} ({time.monotonic() - begun:.1f} s)", flush=True)
    print(f"{failed} failed" if failed else "all ok")
    return failed


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    sys.exit(bool(main(*sys.argv[1:])))
