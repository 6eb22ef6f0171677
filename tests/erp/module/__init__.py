# SPDX-License-Identifier: GPL-3.0-or-later
"""Tryton module `floorgate`: the posting contract (docs/erp-contract.md) on Tryton's documents.

routes     HTTP: errors as problem documents, throttling, discovery
posting    the table of keys, and a batch: each item in its savepoint
job        batches that are answered later
effects    what each transaction type does to Tryton's documents
kinds      the older form: eight kinds instead of transaction types
documents  what Tryton's own documents learn: orders on hold, shipments that somebody edits
switches   faults on demand, for tests
"""
from . import routes

__all__ = ["routes"]
