# SPDX-License-Identifier: GPL-3.0-or-later
"""What Tryton itself refuses: a hold, a closed period, other users, an expired key, locks, too many requests."""
import datetime as dt
import sqlite3
import threading
import time

import conform
from conform import expect, want

from .served import all_are, order_of


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
