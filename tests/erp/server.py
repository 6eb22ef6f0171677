#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serves a Tryton that build.py made: `server.py HOME WORK [--port N] [--stay]`.

The first start in a folder WORK copies the seeded database there; later ones go on with it, on the same port. Prints
`ready http://127.0.0.1:PORT/erp` when it answers, and ends with its standard input (not with --stay). It is one process: kill
it as you like, and start it again. WORK/switches.json turns faults on (module/switches.py has them), WORK/log tells errors.
"""
import argparse
import os
import sys
import threading
from pathlib import Path

HOST, DATABASE = "127.0.0.1", "erp"
CONFIG = """\
[database]
uri = sqlite://
path = {work}/db
[session]
authentications = password
[cache]
# The check for changes of other processes breaks one transaction in each period; here is only one process.
clean_timeout = 315360000
"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--stay", action="store_true")
    options = parser.parse_args()
    options.home, options.work = options.home.absolute(), options.work.absolute()
    return options


def prepare(options):
    from build import copy
    (options.work / "db").mkdir(parents=True, exist_ok=True)
    if not (options.work / "db" / f"{DATABASE}.sqlite").exists():
        copy(options.home / "seeded.sqlite", options.work / "db" / f"{DATABASE}.sqlite")
    (options.work / "trytond.conf").write_text(CONFIG.format(work=options.work))
    log = os.open(options.work / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 2)
    os.environ.setdefault("FLOORGATE_ERP_SWITCHES", str(options.work / "switches.json"))


def serve(options):
    import logging

    from trytond import config
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s %(name)s %(message)s")
    config.update_etc([str(options.work / "trytond.conf")])
    from trytond.pool import Pool
    from trytond.wsgi import app
    from werkzeug.serving import make_server
    Pool.start()
    Pool(DATABASE).init()
    remembered = options.work / "port"
    port = options.port or (int(remembered.read_text()) if remembered.exists() else 0)
    server = make_server(HOST, port, app, threaded=True)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    remembered.write_text(str(server.server_port))
    print(f"ready http://{HOST}:{server.server_port}/{DATABASE}", flush=True)
    if not options.stay:
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    options = arguments()
    python = options.home / "venv" / "bin" / "python"
    if Path(sys.prefix) != options.home / "venv":
        os.execv(python, [python, __file__, *sys.argv[1:]])
    prepare(options)
    serve(options)
