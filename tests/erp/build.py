#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds a Tryton with the module floorgate and test data in a folder: `build.py HOME`.

Needs Python 3.11 or later with venv, and PyPI. What is there and still fits is left as it is, so it can be called before
each test. Two at a time wait for each other. Makes, in HOME:

    venv/          Tryton, exactly as in requirements.txt
    seeded.sqlite  the database that server.py copies
    apikey         the gateway's key, for `Authorization: Bearer`
    password       of the Tryton users admin and floorgate
"""
import fcntl
import hashlib
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULES = ["ir", "res", "sale", "purchase", "stock_lot", "account_invoice_stock"]

# Orders are planned for the day of the seeding; after so many days it is done anew.
FRESH_DAYS = 7
BEGUN = time.monotonic()


def say(what):
    print(f"[tryton {time.monotonic() - BEGUN:5.1f} s] {what}", flush=True)


def digest(*paths):
    text = hashlib.sha256()
    for path in paths:
        for file in sorted(path.glob("*")) if path.is_dir() else [path]:
            if file.is_file():
                text.update(file.name.encode() + b"\0" + file.read_bytes())
    return text.hexdigest()[:16]


def holds(stamp, value):
    return stamp.exists() and stamp.read_text() == value


def environment(home):
    stamp, value = home / "venv" / "stamp", digest(HERE / "requirements.txt")
    python = home / "venv" / "bin" / "python"
    if not holds(stamp, value):
        say("installing Tryton")
        subprocess.run([sys.executable, "-m", "venv", "--clear", home / "venv"], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
                        "-r", HERE / "requirements.txt"], check=True)
        stamp.write_text(value)
    # A link: what is changed in the module needs only a restart.
    modules = subprocess.run([python, "-c", "import trytond.modules as m; print(m.__path__[0])"], check=True,
                             capture_output=True, text=True).stdout.strip()
    link = Path(modules, "floorgate")
    if not link.is_symlink() or link.resolve() != HERE / "module":
        link.unlink(missing_ok=True)
        link.symlink_to(HERE / "module")
    return python


def secret(path):
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(24))


def copy(source, target):
    """A whole copy, with what is still in the log, that appears at once."""
    new = target.with_suffix(".new")
    new.unlink(missing_ok=True)
    with sqlite3.connect(source) as a, sqlite3.connect(new) as b:
        a.backup(b)
    a.close(), b.close()
    new.replace(target)


def database(home, python):
    """In two steps, as the first takes a minute and seldom changes: Tryton with its data; then our module."""
    week = str(int(time.time() // 86400 // FRESH_DAYS))
    base = digest(HERE / "requirements.txt", HERE / "seed.py") + week
    whole = base + digest(HERE / "module")
    (home / "build.conf").write_text(f"[database]\nuri = sqlite://\npath = {home}/build\n")
    variables = os.environ | {"TRYTONPASSFILE": str(home / "password")}

    def make(name, begins, modules, part):
        folder = home / "build"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        work = folder / f"{name}.sqlite"
        copy(begins, work) if begins else work.touch()
        say(f"{name}: modules")
        subprocess.run([home / "venv/bin/trytond-admin", "-c", home / "build.conf", "--email", "erp@example.com",
                        "--activate-dependencies", "-d", name, "-u", *modules], check=True, env=variables)
        say(f"{name}: data")
        subprocess.run([python, HERE / "seed.py", home, name, part], check=True, env=variables)
        copy(work, home / f"{name}.sqlite")
        shutil.rmtree(folder)
    for name, begins, modules, part, value in [
            ("base", None, MODULES, "data", base), ("seeded", home / "base.sqlite", ["floorgate"], "gateway", whole)]:
        if not holds(home / f"{name}.stamp", value):
            make(name, begins, modules, part)
            (home / f"{name}.stamp").write_text(value)


def build(home):
    home.mkdir(parents=True, exist_ok=True)
    with open(home / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        python = environment(home)
        secret(home / "password")
        secret(home / "apikey")
        database(home, python)
    say(f"ready: {home}")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    build(Path(sys.argv[1]).absolute())
