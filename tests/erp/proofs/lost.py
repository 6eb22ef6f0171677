# SPDX-License-Identifier: GPL-3.0-or-later
"""No answer: kills before and after the commit, dropped connections, stalls, jobs."""
import threading
import time
from http.client import HTTPException

import conform
from conform import expect, want

from .served import all_are


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
            except (OSError, HTTPException):
                kills += 1
                want(kills < 100, "it does not end")
                tryton.restart()
        want({one["status"] for one in told} <= {"posted", "duplicate"}, f"{told}")
    tryton.switch()
    books = tryton.user.books()
    want(books["transfers"] == 36, f"{books['transfers']} transfers of 36 after {kills} kills")
    want(books["stock"]["B-01/SKU-0001/"] == "36", "the stock is another")
    print(f"    {kills} kills")
