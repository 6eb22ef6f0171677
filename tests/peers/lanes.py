#!/usr/bin/env python3
"""Divert lanes behind one address, on pymodbus (3.16 or later): bits and counters that commands change.

Each unit has 256 coils and discrete inputs and 1,200 holding and input registers, from address 0; beyond them it answers
with exception 2. On TCP, or with --serial on a serial port. Prints `port N` first (0 for a serial port); then each line on stdin is a command, answered by one line on stdout:

    count UNIT AT N      adds N to the 32-bit count (low word first) in input registers AT and AT + 1
    coil|input UNIT AT 0|1    sets a coil or a discrete input
    word UNIT AT N       sets a holding register
    requests             JSON: requests since the last asking, as {"unit/function/address/count": how often}
    quit                 the end; so is the end of stdin

With --quirk it departs from the protocol, once or more: coils-from-zero (coils from another address: exception 2),
one-request-per-tag (more than one bit or two registers: exception 3), no-transaction-echo (answers count their own ids).
"""

import argparse
import asyncio
import collections
import itertools
import json
import sys

from pymodbus import FramerType
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from plc import counted

BITS, WORDS = 256, 1200


def refusing(quirks):
    async def action(function, _start, at, count, _registers, _values):
        if "coils-from-zero" in quirks and function == 1 and at > 0:
            return ExcCodes.ILLEGAL_ADDRESS
        if "one-request-per-tag" in quirks and count > (1 if function in (1, 2) else 2):
            return ExcCodes.ILLEGAL_VALUE
        return None

    return action


def with_own_ids(trace):
    ids = itertools.count(700)

    def traced(sending, pdu):
        if sending:
            pdu.transaction_id = next(ids) & 0xFFFF
        return trace(sending, pdu)

    return traced


def device(unit, quirks):
    bits = lambda: [SimData(0, values=False, count=BITS, datatype=DataType.BITS)]
    words = lambda: [SimData(0, values=0, count=WORDS, datatype=DataType.REGISTERS)]
    return SimDevice(unit, (bits(), bits(), words(), words()), action=refusing(quirks))


class Lanes:
    def __init__(self, server, requests):
        self.context, self.requests, self.counts = server.context, requests, collections.Counter()

    async def command(self, words):
        if words[0] == "requests":
            told = dict(self.requests)
            self.requests.clear()
            return told
        name, (unit, at, value) = words[0], [int(word) for word in words[1:]]
        if name == "count":
            self.counts[unit, at] += value
            count = self.counts[unit, at]
            await self.context.async_setValues(unit, 4, at, [count & 0xFFFF, count >> 16 & 0xFFFF])
        elif name in ("coil", "input"):
            await self.context.async_setValues(unit, 5 if name == "coil" else 2, at, [bool(value)])
        elif name == "word":
            await self.context.async_setValues(unit, 3, at, [value])
        else:
            return {"error": f"no command {name}"}
        return {"ok": name}


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=1)
    parser.add_argument("--serial", metavar="PORT")
    parser.add_argument("--quirk", action="append", default=[])
    parser.add_argument("--port", type=int, default=0, help="listen there")
    args = parser.parse_args()
    requests = collections.Counter()
    trace = counted(requests)
    if "no-transaction-echo" in args.quirk:
        trace = with_own_ids(trace)
    devices = [device(unit, args.quirk) for unit in range(1, args.units + 1)]
    if args.serial:
        serial = {"port": args.serial, "baudrate": 19200, "framer": FramerType.RTU}
        server = ModbusSerialServer(devices, trace_pdu=trace, **serial)
    else:
        server = ModbusTcpServer(devices, address=("127.0.0.1", args.port), trace_pdu=trace)
    await server.serve_forever(background=True)
    lanes = Lanes(server, requests)
    print(f"port {0 if args.serial else server.transport.sockets[0].getsockname()[1]}", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        words = line.split()
        if words == ["quit"]:
            break
        if words:
            print(json.dumps(await lanes.command(words)), flush=True)
    await server.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
