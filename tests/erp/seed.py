#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fills a new Tryton database: a company, a warehouse, items, partners, orders. Run by build.py.

    seed.py HOME DATABASE           the data, without the module floorgate
    seed.py HOME DATABASE gateway   the gateway's user and its key

The same data each time: one random generator with a fixed seed.
"""
import datetime as dt
import random
import sys
from decimal import Decimal
from pathlib import Path

from proteus import Model, Wizard, config

ITEMS, LOTTED_EVERY, CUSTOMERS, SUPPLIERS = 200, 5, 20, 5
SALES, PURCHASES, REPLENISHMENTS = 120, 40, 20

dice = random.Random(42)
today = dt.date.today()
# Stock is there long before the first order, so that postings of last month find it.
BEGINNING = today - dt.timedelta(days=90)


def gtin14(number):
    body = f"1{number:012d}"
    total = sum(int(digit) * (1 if place % 2 else 3) for place, digit in enumerate(body))
    return body + str(-total % 10)


def save(records):
    """40 at a time: SQLite's parser gives up on Tryton's checks of 200."""
    for begin in range(0, len(records), 40):
        type(records[0]).save(records[begin:begin + 40])
    return records


def create(model, values):
    """Records of plain values, where nothing has to be worked out on the client's side, which takes a minute."""
    model, context = Model.get(model), config.get_config().context
    return [model(number) for begin in range(0, len(values), 40)
            for number in model._proxy.create(values[begin:begin + 40], context)]


def company():
    Party, Currency = Model.get("party.party"), Model.get("currency.currency")
    party = Party(name="Floorgate Test Distribution")
    party.save()
    euro = Currency(name="Euro", symbol="€", code="EUR", numeric_code="978", digits=2, rounding=Decimal("0.01"))
    euro.rates.new(date=dt.date(2020, 1, 1), rate=Decimal(1))
    euro.save()
    wizard = Wizard("company.company.config")
    wizard.execute("company")
    wizard.form.party, wizard.form.currency, wizard.form.timezone = party, euro, "Europe/Berlin"
    wizard.execute("add")
    conf = config.get_config()
    conf._context = Model.get("res.user").get_preferences(True, {})
    return Model.get("company.company").find()[0]


def accounts(of):
    """A chart of accounts, so that a shipment makes an invoice: what is posted twice then shows twice."""
    Template, Data = Model.get("account.account.template"), Model.get("ir.model.data")
    chart = Wizard("account.create_chart")
    chart.execute("account")
    root = Data.get_id("account.account_template_root_en", config.get_config().context)
    chart.form.company, chart.form.account_template = of, Template(root)
    chart.execute("create_account")
    Account = Model.get("account.account")
    found = {kind: Account.find([(f"type.{kind}", "=", True), ("closed", "!=", True)])[0]
             for kind in ("receivable", "payable", "revenue", "expense")}
    chart.form.account_receivable, chart.form.account_payable = found["receivable"], found["payable"]
    chart.execute("create_properties")
    return found


def warehouse():
    """Zones A and B of ten bins each, and a bin PROBE that nothing else uses."""
    Location = Model.get("stock.location")
    storage, = Location.find([("code", "=", "STO")])
    zones = save([Location(name=f"Zone {zone}", code=f"STO-{zone}", type="storage", parent=storage) for zone in "AB"])
    bins = {zone: save([Location(name=f"Bin {zone.code[-1]}{n:02d}", code=f"{zone.code[-1]}-{n:02d}", type="storage",
                                 parent=zone) for n in range(1, 11)]) for zone in zones}
    Location(name="Probe", code="PROBE", type="storage", parent=storage).save()
    return zones, {zone.code[-1]: places for zone, places in bins.items()}


def items(books):
    """SKU-0001 and on, each with a GTIN-14; every fifth is tracked by lot."""
    Uom, Category = Model.get("product.uom"), Model.get("product.category")
    unit, = Uom.find([("name", "=", "Unit")])
    Uom(name="Case of 12", symbol="cs12", category=unit.category, factor=12., rate=round(1 / 12, 12), rounding=1.,
        digits=0).save()
    goods = Category(name="Goods", accounting=True, account_expense=books["expense"], account_revenue=books["revenue"])
    goods.save()
    values = []
    for n in range(1, ITEMS + 1):
        price = Decimal(dice.randrange(100, 20000)) / 100
        values.append({
            "name": f"Article {n:04d}", "type": "goods", "salable": True, "purchasable": True, "list_price": price,
            "account_category": goods.id, "default_uom": unit.id, "sale_uom": unit.id, "purchase_uom": unit.id,
            "lot_required": ["storage"] if n % LOTTED_EVERY == 0 else [],
            "products": [("create", [{
                "suffix_code": f"SKU-{n:04d}", "cost_price": (price / 2).quantize(Decimal("0.01")),
                "identifiers": [("create", [{"type": "ean", "code": gtin14(n)}])]}])]})
    return [template.products[0] for template in create("product.template", values)]


def stock(of, bins):
    """600 of each item in a bin of zone A; of those with lots, two lots of 300 in one of zone B."""
    tracked = [item for n, item in enumerate(of, 1) if n % LOTTED_EVERY == 0]
    numbers = [f"L{item.code[4:]}-{half}" for item in tracked for half in "AB"]
    made = create("stock.lot", [
        {"number": number, "product": item.id} for number, item in zip(numbers, [item for item in tracked for _ in "AB"])])
    lots = {item.id: [lot.id for lot in made[2 * place:2 * place + 2]] for place, item in enumerate(tracked)}
    counts = {}
    for n, item in enumerate(of, 1):
        zone, number = ("B", n // LOTTED_EVERY) if item.id in lots else ("A", n)
        lines = counts.setdefault(bins[zone][number % 10].id, [])
        lines += [{"product": item.id, "lot": lot, "quantity": 300. if lot else 600.} for lot in lots.get(item.id, [None])]
    made = create("stock.inventory", [
        {"location": place, "date": BEGINNING, "lines": [("create", lines)]} for place, lines in counts.items()])
    Model.get("stock.inventory").click(made, "confirm")
    return lots


def partners():
    Party = Model.get("party.party")
    customers = []
    for n in range(1, CUSTOMERS + 1):
        party = Party(name=f"Customer {n:02d}")
        party.addresses.pop()
        party.addresses.new(party_name=party.name, street_unstructured=f"Dock Road {n}", city="Basel",
                            postal_code=f"40{n:02d}", delivery=True, invoice=True)
        customers.append(party)
    suppliers = [Party(name=f"Supplier {n}") for n in range(1, SUPPLIERS + 1)]
    save(customers + suppliers)
    return customers, suppliers


def sales(home, customers, of):
    """WEB-00001 and on, lines 10, 20 …; Tryton makes an outgoing shipment of each. The last five stay unassigned."""
    Sale, Shipment = Model.get("sale.sale"), Model.get("stock.shipment.out")
    values = []
    for n in range(SALES):
        customer = dice.choice(customers)
        address = customer.addresses[0].id
        lines = [{"type": "line", "sequence": 10 * (place + 1), "product": item.id, "unit": item.default_uom.id,
                  "quantity": float(dice.randint(1, 12)), "unit_price": item.template.list_price}
                 for place, item in enumerate(dice.sample(of, dice.randint(1, 6)))]
        values.append({
            "party": customer.id, "company": home.id, "currency": home.currency.id, "reference": f"WEB-{n + 1:05d}",
            "invoice_method": "fulfillment", "shipment_method": "order", "invoice_address": address,
            "shipment_address": address, "lines": [("create", lines)]})
    made = create("sale.sale", values)
    Sale.click(made, "quote")
    Sale.click(made, "confirm")
    waiting = Shipment.find([("state", "=", "waiting")], order=[("id", "ASC")])
    Shipment.click(waiting[:-5], "assign_try")


def purchases(home, suppliers, of):
    """PO-0001 and on, each announced by a delivery ASN-PO-0001, except the last ten."""
    Purchase, Location = Model.get("purchase.purchase"), Model.get("stock.location")
    place, = Location.find([("type", "=", "warehouse")])
    values = []
    for n in range(PURCHASES):
        supplier = dice.choice(suppliers)
        lines = [{"type": "line", "product": item.id, "unit": item.default_uom.id,
                  "quantity": float(dice.randint(10, 60)), "unit_price": Decimal("5.0000")}
                 for item in dice.sample(of, dice.randint(1, 5))]
        values.append({
            "party": supplier.id, "company": home.id, "currency": home.currency.id, "reference": f"PO-{n + 1:04d}",
            "invoice_method": "fulfillment", "invoice_address": supplier.addresses[0].id, "warehouse": place.id,
            "lines": [("create", lines)]})
    made = create("purchase.purchase", values)
    Purchase.click(made, "quote")
    Purchase.click(made, "confirm")
    for purchase in made[:-10]:
        purchase.reload()
    create("stock.shipment.in", [{
        "supplier": purchase.party.id, "reference": f"ASN-{purchase.reference}", "company": home.id,
        "planned_date": today + dt.timedelta(days=2), "warehouse": place.id, "warehouse_input": place.input_location.id,
        "warehouse_storage": place.storage_location.id,
        "incoming_moves": [("add", [move.id for move in purchase.moves])]} for purchase in made[:-10]])


def replenishments(of, lots, zones, bins):
    """REPL-001 and on: 24 of a loose item from zone A to the first bin of zone B."""
    Shipment = Model.get("stock.shipment.internal")
    made = []
    for n, item in enumerate([item for item in of if item.id not in lots][:REPLENISHMENTS], 1):
        ends = {"from_location": zones[0], "to_location": bins["B"][0]}
        request = Shipment(planned_date=today, reference=f"REPL-{n:03d}", **ends)
        request.moves.new(product=item, quantity=24., **ends)
        made.append(request)
    Shipment.click(save(made), "wait")


def gateway(folder):
    User, Group, Application = (Model.get(n) for n in ("res.user", "res.group", "res.user.application"))
    of, = Model.get("company.company").find()
    user = User(name="floorgate", login="floorgate", company=of, password=(folder / "password").read_text().strip())
    user.companies.append(of)
    for group in Group.find([("name", "in", ["Stock", "Sales", "Purchase"])]):
        user.groups.append(group)
    user.save()
    Application(key=(folder / "apikey").read_text().strip(), user=user, application="floorgate", state="validated").save()


def main(folder, database, part="data"):
    folder = Path(folder)
    config.set_trytond(f"sqlite:///{database}", config_file=str(folder / "build.conf"))
    if part == "gateway":
        return gateway(folder)
    home = company()
    books = accounts(home)
    zones, bins = warehouse()
    of = items(books)
    lots = stock(of, bins)
    customers, suppliers = partners()
    sales(home, customers, of)
    purchases(home, suppliers, of)
    replenishments(of, lots, zones, bins)


if __name__ == "__main__":
    main(*sys.argv[1:])
