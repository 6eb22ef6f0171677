# SPDX-License-Identifier: GPL-3.0-or-later
"""What each transaction type does, once; and the older form."""
from conform import Endpoint, expect, new_key, want

from .served import all_are, lot, order_of


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
