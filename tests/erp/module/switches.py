# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults on demand, for tests: a JSON file, read anew for each request.

FLOORGATE_ERP_SWITCHES names it. Without the variable, or without the file, everything is off.

    "jobs": {"delay": 1.5}                     batches are answered with 202 and booked so many seconds later
    "throttle": {"requests": 5, "seconds": 2}  more posting requests in a window get 429
    "busy": {"retry_after": 1}                 posting requests get 503 before any work
    "test_system": false                       discovery says that this is no test system
    "before_work", "before_commit", "after_commit": a fault at that moment of a posting request:
        {"do": "exit"}                         the process ends as by kill -9
        {"do": "stall", "seconds": 5}          it waits
        {"do": "drop"}                         the connection is closed without an answer
        {"do": "fail"}                         500
      with "times": N (it then switches itself off; 1 if neither is given) or "chance": 0 to 1
"""
import json
import os
import random
import signal
import socket
import threading
import time
from pathlib import Path

_lock = threading.Lock()
_window = {"begun": 0.0, "seen": 0}


class Failed(Exception):
    """A fault that was asked for."""


def _path():
    name = os.environ.get("FLOORGATE_ERP_SWITCHES")
    return Path(name) if name else None


def read():
    path = _path()
    try:
        return json.loads(path.read_text()) if path else {}
    except FileNotFoundError:
        return {}


def _due(moment):
    """The fault of this moment, if it strikes now. Counted down in the file, so that it survives its own exit."""
    with _lock:
        switches = read()
        fault = switches.get(moment)
        if not fault:
            return None
        if "chance" in fault:
            return fault if random.random() < fault["chance"] else None
        left = fault.get("times", 1) - 1
        if left > 0:
            switches[moment] = fault | {"times": left}
        else:
            del switches[moment]
        temporary = _path().with_suffix(".new")
        temporary.write_text(json.dumps(switches))
        temporary.replace(_path())
        return fault


def strike(moment, request):
    fault = _due(moment)
    match fault and fault["do"]:
        case "exit":
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
        case "stall":
            time.sleep(fault["seconds"])
        case "drop":
            connection = request.environ.get("werkzeug.socket")
            if connection:
                connection.shutdown(socket.SHUT_RDWR)
        case "fail":
            raise Failed(moment)


def throttled():
    """(quota, seconds of the window, what is left, seconds until it begins anew), or None where there is no limit."""
    limit = read().get("throttle")
    if not limit:
        return None
    with _lock:
        now, seconds = time.monotonic(), limit["seconds"]
        if now - _window["begun"] >= seconds:
            _window.update(begun=now, seen=0)
        _window["seen"] += 1
        left = limit["requests"] - _window["seen"]
        return limit["requests"], seconds, left, _window["begun"] + seconds - now
