# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions as a batch needs them: begun for certain, undone item by item."""
from contextlib import contextmanager

from trytond import backend
from trytond.pool import Pool
from trytond.transaction import Transaction, TransactionError


class Busy(Exception):
    """Somebody else holds the database; nothing was begun."""


def transact(database, user, work, readonly=False):
    """`work()` in a transaction of `user`, with the context of a logged-in one. Committed when this returns.

    Where Tryton asks for a lock at the start of the transaction, it is begun anew with that lock.
    """
    extras = {}
    while True:
        with Transaction().start(database, user, readonly=readonly, **extras) as transaction:
            transaction.tasks.clear()
            try:
                context = Pool().get("res.user").get_preferences(context_only=True) if user else {}
                with transaction.set_context(context, _check_access=False):
                    result = work()
                if readonly:
                    return result
                transaction.commit()
                return result
            except TransactionError as error:
                transaction.rollback()
                error.fix(extras)


def begin():
    """Opens the database's transaction and takes the write lock of SQLite, or raises `Busy`.

    Tryton leaves the beginning to Python, and its cache check puts the connection of one transaction in each
    `clean_timeout` into autocommit mode, where a savepoint would protect nothing.
    """
    connection = Transaction().connection
    if backend.name == "sqlite" and not connection.in_transaction:
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout = 2000")
        try:
            cursor.execute("BEGIN IMMEDIATE")
        except backend.DatabaseOperationalError as error:
            raise Busy(str(error)) from error


@contextmanager
def savepoint():
    """Undoes what the block did to the database, and what Tryton noted of it in memory, if it raises."""
    transaction = Transaction()
    cursor = transaction.connection.cursor()
    tasks, logs = len(transaction.tasks), len(transaction.log_records)
    created = {name: len(ids) for name, ids in transaction.create_records.items()}
    deleted = {name: set(ids) for name, ids in transaction.delete_records.items()}
    cursor.execute("SAVEPOINT floorgate_item")
    try:
        yield
    except BaseException:
        cursor.execute("ROLLBACK TO SAVEPOINT floorgate_item")
        cursor.execute("RELEASE SAVEPOINT floorgate_item")
        for cache in transaction.cache.values():
            cache.clear()
        del transaction.tasks[tasks:]
        del transaction.log_records[logs:]
        for name, ids in transaction.create_records.items():
            del ids[created.get(name, 0):]
        for name, ids in transaction.delete_records.items():
            ids.intersection_update(deleted.get(name, ()))
        raise
    cursor.execute("RELEASE SAVEPOINT floorgate_item")
