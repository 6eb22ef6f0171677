# SPDX-License-Identifier: GPL-3.0-or-later
"""From the codes of the floor to Tryton's records. Keeps ids for one batch; records are read afresh each time."""
from trytond.pool import Pool

from .errors import Refused

# UN/ECE Recommendation 20, where Tryton's symbol is another.
UNITS = {"EA": "u", "CS": "cs12", "KGM": "kg", "GRM": "g", "MTR": "m"}


class Finder:
    def __init__(self):
        self._ids = {}

    def _one(self, model, code, domain, reason, what, pointer, within=None):
        Model, place = Pool().get(model), (model, code, within)
        if not isinstance(code, str) or not code:
            raise Refused("malformed", f"{pointer[1:].replace('/', '.')} must name {what}.", pointer)
        if place not in self._ids:
            found = Model.search(domain, limit=2)
            if len(found) != 1:
                number = "no" if not found else "more than one"
                raise Refused(reason, f"There is {number} {what.split(' ', 1)[1]} {code}.", pointer)
            self._ids[place] = found[0].id
        return Model(self._ids[place])

    def item(self, code, pointer="/data/item"):
        """By code, or by GTIN or another identifier."""
        domain = ["OR", ("code", "=", code), ("identifiers.code", "=", code)]
        return self._one("product.product", code, domain, "unknown_item", "an item", pointer)

    def location(self, code, pointer="/data/location"):
        return self._one("stock.location", code, [("code", "=", code)], "unknown_location", "a location", pointer)

    def uom(self, code, item, pointer="/data/uom"):
        """The item's own unit where none is named."""
        if code is None:
            return item.default_uom
        name = UNITS.get(code, code)
        domain = ["OR", ("symbol", "=", name), ("name", "=", name)]
        unit = self._one("product.uom", code, domain, "unknown_uom", "a unit", pointer)
        if unit.category != item.default_uom.category:
            raise Refused("unknown_uom", f"{code} is no unit of {item.code}.", pointer)
        return unit

    def lot(self, number, item, pointer="/data/lot"):
        """None where none is named."""
        if number is None:
            return None
        domain = [("number", "=", number), ("product", "=", item.id)]
        return self._one("stock.lot", number, domain, "unknown_lot", f"a lot of {item.code}", pointer, item.id)

    def shipment(self, code, pointer="/data/shipment"):
        return self._document("stock.shipment.out", code, "unknown_shipment", "a shipment", pointer)

    def announcement(self, code, pointer="/data/asn"):
        return self._document("stock.shipment.in", code, "unknown_shipment", "an announced delivery", pointer)

    def request(self, code, pointer="/data/request"):
        return self._document("stock.shipment.internal", code, "unknown_request", "a replenishment", pointer)

    def purchase(self, code, pointer="/data/po"):
        return self._document("purchase.purchase", code, "unknown_purchase", "a purchase", pointer)

    def _document(self, model, code, reason, what, pointer):
        domain = ["OR", ("number", "=", code), ("reference", "=", code)]
        return self._one(model, code, domain, reason, what, pointer)
