#!/usr/bin/env python3
"""Divert lanes behind one address, on pymodbus (3.16 or later): bits and counters that commands change.

Each unit has 256 coils and discrete inputs and 1,200 holding and input registers, from address 0; beyond them it answers
with exception 2. On TCP, or with --serial on a serial port. Prints `port N` first (0 for a serial port); then each line on stdin is a command, answered by one line on stdout:

    count UNIT AT N      adds N to the 32-bit count (low word first) in input registers AT and AT + 1
    coil|input UNIT AT 0|1    sets a coil or a discrete input
    word UNIT AT N       sets a holding register
    requests             JSON: requests since the last asking, as {"unit/function/address/count": how often}
    quit                 the end; so is the end of stdin
"""

import argparse
import asyncio
import collections
import json
import sys

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from plc import counted

BITS, WORDS = 256, 1200


def device(unit):
    bits = lambda: [SimData(0, values=False, count=BITS, datatype=DataType.BITS)]
    words = lambda: [SimData(0, values=0, count=WORDS, datatype=DataType.REGISTERS)]
    return SimDevice(unit, (bits(), bits(), words(), words()))


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
            await self.context.async_setValues(unit, 4, at, [count & 0xFFFF, count >> 16])
        elif name in ("coil", "input"):
            await self.context.async_setValues(unit, 1 if name == "coil" else 2, at, [bool(value)])
        elif name == "word":
            await self.context.async_setValues(unit, 3, at, [value])
        else:
            return {"error": f"no command {name}"}
        return {"ok": name}


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=1)
    parser.add_argument("--serial", metavar="PORT")
    parser.add_argument("--port", type=int, default=0, help="listen there")
    args = parser.parse_args()
    requests = collections.Counter()
    devices = [device(unit) for unit in range(1, args.units + 1)]
    if args.serial:
        serial = {"port": args.serial, "baudrate": 19200, "framer": FramerType.RTU}
        server = ModbusSerialServer(devices, trace_pdu=counted(requests), **serial)
    else:
        server = ModbusTcpServer(devices, address=("127.0.0.1", args.port), trace_pdu=counted(requests))
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
