# SPDX-License-Identifier: GPL-3.0-or-later
"""How one item can fail without failing its batch."""
from trytond.model.exceptions import AccessError


class Refused(Exception):
    """Wrong as it stands: the same again gets the same answer, until somebody changes something."""

    def __init__(self, reason, message, pointer=None):
        super().__init__(message)
        self.reason, self.message, self.pointer = reason, message, pointer


class AlreadyDone(Exception):
    """The document is past this step, by somebody else's hand: nothing is left to do."""

    def __init__(self, reference, message):
        super().__init__(message)
        self.reference, self.message = reference, message


class OnHold(AccessError):
    """The order is on hold."""


class Edited(AccessError):
    """Somebody has the document open for editing."""
