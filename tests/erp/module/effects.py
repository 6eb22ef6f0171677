# SPDX-License-Identifier: GPL-3.0-or-later
"""What each transaction type does to Tryton's documents: one function each.

It gets the item's `data`, the batch's Finder and the posting date, works in the open transaction, and returns the
document that it made or changed ("model,id") with what is worth keeping of it. It raises Refused, AlreadyDone, or
whatever Tryton raises; posting.py makes results of these.
"""
import re
from decimal import Decimal

from trytond.pool import Pool

from .errors import AlreadyDone, Refused

DECIMAL = re.compile(r"-?\d{1,15}(\.\d{1,6})?")
OPEN = {"staging", "draft", "assigned"}
# States of an outgoing shipment in their order.
OUT = ["draft", "waiting", "assigned", "picked", "packed", "shipped", "done"]


def quantity(data, item, find, unit, name="qty", within="/data", signed=False):
    """`data[name]`, in `data["uom"]`, as a number of `unit`."""
    text = data.get(name)
    if not isinstance(text, str) or not DECIMAL.fullmatch(text) or (not signed and text.startswith("-")):
        raise Refused("bad_quantity", f"{name} must be a decimal in a text, not {text!r}.", f"{within}/{name}")
    sign = -1 if text.startswith("-") else 1
    asked = find.uom(data.get("uom"), item, f"{within}/uom")
    exact = Pool().get("product.uom").compute_qty(asked, float(abs(Decimal(text))), unit, round=False)
    whole = unit.round(exact)
    if abs(whole - exact) > 1e-6:
        raise Refused("uom_not_whole", f"{text} {asked.symbol} of {item.code} is {exact:g} {unit.symbol}.", f"{within}/{name}")
    return sign * whole


def ready(shipment, wanted, begins):
    """Refuses a shipment that is not at `begins`; tells one that is at `wanted` or past it."""
    if shipment.state == begins:
        return
    if shipment.state in OUT and OUT.index(shipment.state) >= OUT.index(wanted):
        raise AlreadyDone(str(shipment), f"Shipment {shipment.number} is {shipment.state} already.")
    raise Refused("bad_state", f"Shipment {shipment.number} is {shipment.state}; this needs {begins}.", "/data/shipment")


def pick_confirm(data, find, date):
    """Picks one line. The shipment is picked with its last open line."""
    Shipment, Move = map(Pool().get, ["stock.shipment.out", "stock.move"])
    short = "qty_picked" in data
    shipment = find.shipment(data.get("shipment"))
    ready(shipment, "picked", "assigned")
    Shipment.refuse_blocked([shipment])
    item = find.item(data.get("item"))
    lot = find.lot(data.get("lot"), item)
    lines = ordered(shipment, data, [move for move in shipment.inventory_moves if move.product == item])
    lines = [move for move in lines if not lot or not move.lot or move.lot == lot]
    if not lines:
        raise Refused("unexpected_item", f"{item.code} is not on shipment {shipment.number}.", "/data/item")
    still_open = [move for move in lines if move.state in OPEN and move.quantity]
    if not still_open:
        raise AlreadyDone(str(lines[0]), f"{item.code} of shipment {shipment.number} is picked already.")
    move, name = still_open[0], "qty_picked" if short else "qty"
    picked, expected = quantity(data, item, find, move.unit, name), move.quantity
    partly = picked < expected and not short
    if picked > expected or (partly and (not picked or data.get("exact"))):
        raise Refused("wrong_quantity", f"{picked:g} picked of {item.code}, {expected:g} expected.", f"/data/{name}")
    source = find.location(data["from"], "/data/from") if data.get("from") else None
    if item.lot_is_required(move.from_location, move.to_location) and picked and not (lot or move.lot):
        raise Refused("lot_required", f"{item.code} is tracked by lot.", "/data/lot")
    if picked != expected or (lot and not move.lot) or (source and source != move.from_location):
        Move.draft([move])
        if partly:
            rest, = Move.copy([move], {"quantity": expected - picked})
            Move.assign([rest])
        move.quantity = picked
        move.lot = lot or move.lot
        move.from_location = source or move.from_location
        move.save()
    if picked:
        done(date, [move])
    shipment = Shipment(shipment.id)
    if not any(other.state in OPEN and other.quantity for other in shipment.inventory_moves):
        Shipment.pick([shipment])
    return str(move), {"expected": expected, "picked": picked}


def done(date, moves):
    Move = Pool().get("stock.move")
    Move.write(moves, {"effective_date": date})
    Move.do(moves)


def ordered(shipment, data, moves):
    """Those of `moves` that belong to the order and line that `data` names, if it names them."""
    if data.get("order") is None:
        return moves
    sales = [sale for sale in shipment.sales if data["order"] in {sale.number, sale.reference}]
    if not sales:
        raise Refused("unknown_order", f"Shipment {shipment.number} has no order {data['order']}.", "/data/order")

    def line(move):
        origin = move.origin.origin if move.origin and move.origin.__name__ == "stock.move" else move.origin
        return origin if origin and origin.__name__ == "sale.line" else None
    moves = [move for move in moves if line(move) and line(move).sale == sales[0]]
    if data.get("line") is None:
        return moves
    if data["line"] not in {one.sequence for one in sales[0].lines}:
        raise Refused("unknown_line", f"Order {data['order']} has no line {data['line']}.", "/data/line")
    return [move for move in moves if line(move).sequence == data["line"]]


def pack_confirm(data, find, date):
    Shipment = Pool().get("stock.shipment.out")
    shipment = find.shipment(data.get("shipment"))
    ready(shipment, "packed", "picked")
    Shipment.pack([shipment])
    return str(shipment), {"cartons": data.get("cartons") or []}


def shipment_tracking(data, find, date):
    Shipment = Pool().get("stock.shipment.out")
    shipment = find.shipment(data.get("shipment"))
    if "tracking" not in data:
        raise Refused("malformed", "tracking is missing.", "/data/tracking")
    Shipment.write([shipment], {"reference": data["tracking"]})
    return str(shipment), {}


def goods_issue(data, find, date):
    """Closes the shipment. Tryton makes the invoice, and a back order of what is short."""
    Shipment = Pool().get("stock.shipment.out")
    shipment = find.shipment(data.get("shipment"))
    ready(shipment, "shipped", "packed")
    check_lines(shipment, data.get("lines"), find)
    values = {"effective_date": date} | ({"reference": data["tracking"]} if data.get("tracking") else {})
    Shipment.write([shipment], values)
    Shipment.do([Shipment(shipment.id)])
    return str(shipment), {}


def check_lines(shipment, lines, find):
    """The quantities that are said to leave, item by item, against those that will."""
    if not lines:
        return
    said, leaving = {}, {}
    for move in shipment.outgoing_moves:
        leaving[move.product] = leaving.get(move.product, 0) + move.internal_quantity
    for number, line in enumerate(lines):
        within = f"/data/lines/{number}"
        item = find.item(line.get("item"), f"{within}/item")
        if item not in leaving:
            raise Refused("unexpected_item", f"{item.code} is not on shipment {shipment.number}.", f"{within}/item")
        said[item] = said.get(item, 0) + quantity(line, item, find, item.default_uom, within=within)
    for item, expected in leaving.items():
        if abs(said.get(item, 0) - expected) > 1e-6:
            raise Refused(
                "wrong_quantity", f"{said.get(item, 0):g} of {item.code} leave, {expected:g} are packed.", "/data/lines")


def goods_receipt(data, find, date):
    """Receives an announced delivery, or what is open of a purchase, with what was counted."""
    Shipment, Move, Lot = map(Pool().get, ["stock.shipment.in", "stock.move", "stock.lot"])
    lines = data["lines"] if "lines" in data else [data]
    within = "/data/lines/{}" if "lines" in data else "/data"
    counted = {}
    for number, line in enumerate(lines):
        item = find.item(line.get("item"), within.format(number) + "/item")
        counted.setdefault(item, []).append((number, line))
    shipment = delivery(data, find, counted)
    announced = {move.product: move for move in shipment.incoming_moves}
    for item in counted.keys() - announced.keys():
        raise Refused("unexpected_item", f"{item.code} is not announced on {shipment.number}.", "/data/item")
    absent, differences = [], []
    for item, move in announced.items():
        places = [(quantity(line, item, find, move.unit, within=within.format(number)), line.get("lot"))
                  for number, line in counted.get(item, [])]
        received = sum(place[0] for place in places)
        if received != move.quantity:
            differences.append({"item": item.code, "expected": move.quantity, "received": received})
        if not received:
            absent.append(move)
            continue
        for number, (part, lot) in enumerate(places):
            target = move if number == 0 else Move.copy([move], {"quantity": part})[0]
            target.quantity = part
            if lot:
                known = Lot.search([("number", "=", lot), ("product", "=", item.id)])
                target.lot = known[0] if known else Lot.create([{"number": lot, "product": item.id}])[0]
            target.save()
    if len(absent) == len(announced):
        raise Refused("bad_quantity", "Nothing was received.", "/data")
    Move.write(absent, {"shipment": None})  # they wait for the next delivery of their purchase
    shipment = Shipment(shipment.id)
    Move.write(list(shipment.incoming_moves), {"effective_date": date})
    Shipment.receive([Shipment(shipment.id)])
    return str(shipment), {"differences": differences}


def delivery(data, find, counted):
    """The draft shipment to receive: the announced one, or one of what the purchase still waits for."""
    Shipment, Move = map(Pool().get, ["stock.shipment.in", "stock.move"])
    if data.get("asn") is not None:
        shipment = find.announcement(data["asn"])
    else:
        purchase = find.purchase(data.get("po"))
        waiting = [move for move in purchase.moves if move.state == "draft" and move.product in counted]
        if not waiting:
            gone = {move.product for move in purchase.moves if move.state == "done"}
            if gone >= counted.keys():
                raise AlreadyDone(str(purchase), f"Nothing of this is open on {data['po']}.")
            raise Refused("unexpected_item", f"Nothing of this is open on {data['po']}.", "/data/po")
        shipment = waiting[0].shipment
        if not shipment:
            place = purchase.warehouse
            shipment, = Shipment.create([{
                "supplier": purchase.party.id, "reference": data["po"], "warehouse": place.id,
                "warehouse_input": place.input_location.id, "warehouse_storage": place.storage_location.id}])
            Move.write([move for move in waiting if not move.shipment], {"shipment": str(shipment)})
            shipment = Shipment(shipment.id)
    if shipment.state in {"received", "done"}:
        raise AlreadyDone(str(shipment), f"Delivery {shipment.number} is {shipment.state} already.")
    if shipment.state != "draft":
        raise Refused("bad_state", f"Delivery {shipment.number} is {shipment.state}; this needs draft.", "/data/asn")
    return shipment


def stock_transfer(data, find, date):
    if data.get("asn") is not None:
        return put_away(data, find, date)
    Shipment = Pool().get("stock.shipment.internal")
    if data.get("request") is not None:
        shipment = find.request(data["request"])
        if shipment.state == "done":
            raise AlreadyDone(str(shipment), f"Replenishment {shipment.number} is done already.")
    else:
        item = find.item(data.get("item"))
        shipment = transfer(
            item, quantity(data, item, find, item.default_uom), find.lot(data.get("lot"), item),
            find.location(data.get("from"), "/data/from"), find.location(data.get("to"), "/data/to"), date)
    if shipment.state == "request":
        Shipment.draft([shipment])
    if shipment.state != "assigned":
        Shipment.wait([Shipment(shipment.id)])
        Shipment.assign_try([Shipment(shipment.id)])
    shipment = Shipment(shipment.id)
    if shipment.state != "assigned":
        raise Refused("no_stock", f"{shipment.from_location.rec_name} does not hold enough.", "/data/qty")
    Shipment.write([shipment], {"effective_date": date})
    Shipment.do([Shipment(shipment.id)])
    return str(shipment), {}


def transfer(item, amount, lot, source, target, date):
    if amount <= 0:
        raise Refused("bad_quantity", "qty must be more than nothing.", "/data/qty")
    move = {"product": item.id, "unit": item.default_uom.id, "quantity": amount, "lot": lot.id if lot else None,
            "from_location": source.id, "to_location": target.id}
    return Pool().get("stock.shipment.internal").create([{
        "from_location": source.id, "to_location": target.id, "moves": [("create", [move])]}])[0]


def put_away(data, find, date):
    """Brings what was received to its bin. Without an item, all of the delivery to where Tryton wants it."""
    Shipment, Move = map(Pool().get, ["stock.shipment.in", "stock.move"])
    shipment = find.announcement(data["asn"])
    if shipment.state == "done":
        raise AlreadyDone(str(shipment), f"Delivery {shipment.number} is put away already.")
    if shipment.state != "received":
        raise Refused("bad_state", f"Delivery {shipment.number} is {shipment.state}; this needs received.", "/data/asn")
    if "item" in data:
        item = find.item(data["item"])
        moves = [move for move in shipment.inventory_moves if move.product == item]
        if not moves:
            raise Refused("unexpected_item", f"{item.code} is not on delivery {shipment.number}.", "/data/item")
        moves = [move for move in moves if move.state in OPEN]
        if not moves:
            raise AlreadyDone(str(shipment), f"{item.code} of delivery {shipment.number} is put away already.")
        move, amount = moves[0], quantity(data, item, find, moves[0].unit)
        if not 0 < amount <= move.quantity:
            raise Refused("wrong_quantity", f"{amount:g} of {item.code}, {move.quantity:g} are there.", "/data/qty")
        if amount < move.quantity:
            Move.copy([move], {"quantity": move.quantity - amount})
        Move.write([move], {"quantity": amount, "to_location": find.location(data.get("to"), "/data/to").id})
        done(date, [Move(move.id)])
        shipment = Shipment(shipment.id)
    if "item" not in data or not any(move.state in OPEN for move in shipment.inventory_moves):
        Shipment.write([shipment], {"effective_date": date})
        Shipment.do([Shipment(shipment.id)])
    return str(shipment), {}


def stock_count(data, find, date):
    """Sets the stock of one item and lot in one place to what was counted."""
    item, location = find.item(data.get("item")), find.location(data.get("location"))
    lot = find.lot(data.get("lot"), item)
    return inventory(item, lot, location, date, lambda _: quantity(data, item, find, item.default_uom))


def stock_adjustment(data, find, date):
    item, location = find.item(data.get("item")), find.location(data.get("location"))
    lot = find.lot(data.get("lot"), item)
    change = quantity(data, item, find, item.default_uom, signed=True)

    def changed(stock):
        if stock + change < 0:
            raise Refused("no_stock", f"{location.code} holds {stock:g} of {item.code}.", "/data/qty")
        return stock + change
    return inventory(item, lot, location, date, changed)


def inventory(item, lot, location, date, wanted):
    Inventory, Line = map(Pool().get, ["stock.inventory", "stock.inventory.line"])
    made, = Inventory.create([{"location": location.id, "date": date, "lines": [
        ("create", [{"product": item.id, "lot": lot.id if lot else None}])]}])
    line, = Inventory(made.id).lines
    stock = line.expected_quantity or 0.
    Line.write([line], {"quantity": wanted(stock)})
    Inventory.confirm([Inventory(made.id)])
    return str(made), {"expected": stock}


def reversal(original):
    """A reversal of a type whose opposite is a posting of the same type."""
    def reverse(data, find, date):
        known = Pool().get("floorgate.posting").known([data.get("reverses")])
        row = known.get(data.get("reverses"))
        if not row or row.tx_type != original.__name__:
            raise Refused("unknown_posting", f"No {original.__name__} was booked under {data.get('reverses')}.", "/data/reverses")
        back = dict(data)
        if original is stock_transfer:
            back |= {"from": data.get("to"), "to": data.get("from")}
        else:
            text = str(data.get("qty"))
            back["qty"] = text[1:] if text.startswith("-") else f"-{text}"
        return original(back, find, date)
    return reverse


def orders(items):
    """The sales and purchases that these items will make Tryton work on: {model: [ids]}."""
    found = {}
    for tx_types, member, model, moves, origin in [
            ({"goods_issue"}, "shipment", "stock.shipment.out", "outgoing_moves", "sale"),
            ({"goods_receipt", "stock_transfer"}, "asn", "stock.shipment.in", "incoming_moves", "purchase")]:
        codes = [item["data"].get(member) for item in items
                 if item.get("tx_type") in tx_types and isinstance(item.get("data"), dict)]
        codes = [code for code in codes if isinstance(code, str)]
        documents = Pool().get(model).search(["OR", ("number", "in", codes), ("reference", "in", codes)]) if codes else []
        for move in [move for document in documents for move in getattr(document, moves)]:
            if order := getattr(move, origin):
                found.setdefault(order.__name__, set()).add(order.id)
    return {name: sorted(ids) for name, ids in found.items()}


EFFECTS = {effect.__name__: effect for effect in (
    pick_confirm, pack_confirm, shipment_tracking, goods_issue, goods_receipt, stock_transfer, stock_count, stock_adjustment)}
EFFECTS |= {f"{effect.__name__}_reversal": reversal(effect) for effect in (stock_transfer, stock_adjustment)}
