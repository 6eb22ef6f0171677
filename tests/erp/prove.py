#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proves this Tryton against docs/erp-contract.md: `prove.py HOME [NAME…]`.

Builds it in HOME if need be, starts a server of its own in a temporary folder for each proof, and ends with 1 if one failed.
NAME: only proofs whose name holds it.
"""
import sys
import tempfile
import time
import traceback
from inspect import isfunction
from pathlib import Path

from build import build
from conform import Failed
from proofs import documents, lost, page, refusals
from proofs.served import Tryton

PROOFS = [value for module in (page, documents, refusals, lost) for value in vars(module).values()
          if isfunction(value) and value.__module__ == module.__name__]


def main(home, *names):
    home = Path(home).absolute()
    build(home)
    failed = 0
    for proof in PROOFS:
        if names and not any(name in proof.__name__ for name in names):
            continue
        with tempfile.TemporaryDirectory() as folder:
            begun, tryton = time.monotonic(), None
            try:
                tryton = Tryton(home, Path(folder))
                proof(tryton)
                verdict = "ok"
            except Exception as why:
                failed += 1
                verdict = f"FAILED: {why}"
                if not isinstance(why, Failed):
                    traceback.print_exc()
                log = Path(folder, "log")
                print(log.read_text()[-2000:] if log.exists() else "no log", file=sys.stderr)
            finally:
                if tryton:
                    tryton.end()
            print(f"{proof.__name__.replace('_', ' ')}: {verdict} ({time.monotonic() - begun:.1f} s)", flush=True)
    print(f"{failed} failed" if failed else "all ok")
    return failed


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    sys.exit(bool(main(*sys.argv[1:])))
