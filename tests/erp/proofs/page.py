# SPDX-License-Identifier: GPL-3.0-or-later
"""The checklist of docs/erp-contract.md."""
import conform
from conform import want


def the_checklist_holds_with_answers_at_once(tryton):
    want(conform.run(tryton.erp.at.geturl(), tryton.erp.token, tell=lambda line: print("   ", line)), "see above")


def the_checklist_holds_with_answers_that_come_later(tryton):
    tryton.switch(jobs={"delay": 0.3})
    want(conform.run(tryton.erp.at.geturl(), tryton.erp.token, tell=lambda line: print("   ", line)), "see above")


def nothing_is_posted_where_it_is_no_test_system(tryton):
    tryton.switch(test_system=False)
    lines = []
    want(conform.run(tryton.erp.at.geturl(), tryton.erp.token, tell=lines.append), "see above")
    want(sum("SKIPPED: not a test system" in line for line in lines) == len(conform.POSTING), f"{lines}")
    want(not tryton.user.books()["postings"], "something was posted")
