# SPDX-License-Identifier: GPL-3.0-or-later
"""What Tryton's own documents learn: a hold on an order, and a shipment that somebody is editing.

Both bind everybody, in Tryton's client as well as over the contract.
"""
from trytond.i18n import gettext
from trytond.model import fields
from trytond.pool import PoolMeta

from .errors import Edited, OnHold


class UserApplication(metaclass=PoolMeta):
    __name__ = "res.user.application"

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.application.selection.append(("floorgate", "floorgate"))


class Sale(metaclass=PoolMeta):
    __name__ = "sale.sale"

    on_hold = fields.Boolean("On Hold", help="Nothing of it is picked, packed or shipped.")


class ShipmentOut(metaclass=PoolMeta):
    __name__ = "stock.shipment.out"

    edited_by = fields.Char("Edited By", help="Who has it open; others wait.")

    @property
    def sales(self):
        return {move.sale for move in self.outgoing_moves if move.sale}

    @classmethod
    def refuse_blocked(cls, shipments):
        for shipment in shipments:
            for sale in shipment.sales:
                if sale.on_hold:
                    raise OnHold(gettext("floorgate.msg_on_hold", order=sale.reference or sale.number))
            if shipment.edited_by:
                raise Edited(gettext(
                    "floorgate.msg_edited", shipment=shipment.number, user=shipment.edited_by))

    @classmethod
    def pick(cls, shipments):
        cls.refuse_blocked(shipments)
        super().pick(shipments)

    @classmethod
    def pack(cls, shipments):
        cls.refuse_blocked(shipments)
        super().pack(shipments)

    @classmethod
    def do(cls, shipments):
        cls.refuse_blocked(shipments)
        super().do(shipments)
