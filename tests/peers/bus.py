#!/usr/bin/env python3
"""Sorter PLCs behind one bus that answer wrongly on demand: sockets and serial ports without a Modbus library.

    bus.py [--framing tcp|rtu] [--serial PATH] [--units 1,2,3] [--single]

Each unit is a sorter of its own (plc.py). Prints `port N` first; then each line on stdin is a command:

    unit U WORDS…    a command of plc.py for that unit
    behave U NAME [MS]   how it answers from now on: good, late (after MS), own-id (right, under an id of its own),
                     own-short (short, under such an id), wrong-id, wrong-unit, wrong-function, short, cut (half the
                     frame), garbage, slow (MS between bytes), never. What a wrong answer carries is the registers of
                     another sorter, whole and plausible: events that never happened.
    requests         JSON: how often each unit was asked
    connections      JSON: how many connections were served
    quit             the end; so is the end of stdin

With --single it serves one connection at a time, over TCP: who comes second waits until the first has closed.
Function 43/14 says vendor "ACME" and product code "unit U".
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tty

import plc as sorter

READ, WRITE, IDENTIFY = 3, 6, 0x2B


class Unit:
    def __init__(self, number):
        arguments = {"careless": False, "epoch": 1, "base_seq": 0, "first_serial": number * 1_000_000}
        self.plc = sorter.Plc(argparse.Namespace(**arguments))
        self.liar = sorter.Plc(argparse.Namespace(**{**arguments, "first_serial": 900_000_000 + number}))
        self.liar.push(32)
        self.number, self.behaviour, self.ms, self.requests = number, "good", 0, 0
        self.line = asyncio.Lock()  # a unit answers in order

    def answer(self, plc, pdu):
        word = lambda at: int.from_bytes(pdu[at : at + 2], "big")
        if pdu[0] == READ:
            at, count = word(1), word(3)
            if at + count > sorter.SIZE:
                return bytes([READ | 0x80, 2])
            plc.read(at, count)
            data = b"".join(register.to_bytes(2, "big") for register in plc.registers[at : at + count])
            return bytes([READ, len(data)]) + data
        if pdu[0] == WRITE and word(1) == sorter.ACK and plc is self.plc:
            plc.write_ack(word(3))
            return pdu
        if pdu[0] == IDENTIFY:
            objects = [(0, b"ACME"), (1, b"unit %d" % self.number)]
            body = b"".join(bytes([number, len(text)]) + text for number, text in objects)
            return bytes([IDENTIFY, 14, pdu[2], 2, 0, 0, len(objects)]) + body
        return bytes([pdu[0] | 0x80, 1])


class Bus:
    def __init__(self, framing, units):
        self.rtu = framing == "rtu"
        self.units = {number: Unit(number) for number in units}
        self.tasks = set()
        self.connections = 0

    def frame(self, tid, unit, pdu):
        body = bytes([unit]) + pdu
        if self.rtu:
            return body + sorter.crc16(body).to_bytes(2, "little")
        return tid.to_bytes(2, "big") + bytes(2) + len(body).to_bytes(2, "big") + body

    async def request(self, reader):
        """Transaction id, unit, PDU."""
        if not self.rtu:
            head = await reader.readexactly(6)
            body = await reader.readexactly(int.from_bytes(head[4:6], "big"))
            return int.from_bytes(head[:2], "big"), body[0], body[1:]
        head = await reader.readexactly(2)
        body = await reader.readexactly(3 if head[1] == IDENTIFY else 4)
        await reader.readexactly(2)
        return 0, head[0], head[1:] + body

    async def serve(self, reader, write):
        try:
            while True:
                asked = await self.request(reader)
                if asked[1] in self.units:
                    task = asyncio.ensure_future(self.reply(write, *asked))
                    self.tasks.add(task)
                    task.add_done_callback(self.tasks.discard)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    async def reply(self, write, tid, number, pdu):
        unit = self.units[number]
        unit.requests += 1
        async with unit.line:
            how, pause = unit.behaviour, unit.ms / 1000
            right = self.frame(tid, number, unit.answer(unit.plc, pdu)) if how in ("good", "late", "slow", "cut") else b""
            lie = unit.answer(unit.liar, pdu)
            try:
                if how == "late":
                    await asyncio.sleep(pause)
                if how in ("good", "late"):
                    write(right)
                elif how == "own-id":
                    write(self.frame((tid + 1000) & 0xFFFF, number, unit.answer(unit.plc, pdu)))
                elif how == "slow":
                    for byte in right:
                        write(bytes([byte]))
                        await asyncio.sleep(pause)
                elif how == "cut":
                    write(right[: len(right) // 2])
                elif how == "wrong-id":
                    write(self.frame((tid + 1000) & 0xFFFF, number, lie))
                elif how == "wrong-unit":
                    write(self.frame(tid, number + 40, lie))
                elif how == "wrong-function":
                    write(self.frame(tid, number, bytes([4]) + lie[1:]))
                elif how in ("short", "own-short"):
                    data = lie[2:-2]
                    own = (tid + 1000) & 0xFFFF if how == "own-short" else tid
                    write(self.frame(own, number, bytes([lie[0], len(data)]) + data))
                elif how == "garbage":
                    write(bytes((tid * 7 + i * 37 + 0x5A) & 0xFF | 0x40 for i in range(24)))
            except (ConnectionError, OSError):
                pass


def command(bus, words, tasks):
    if words[0] == "unit":
        return sorter.command(bus.units[int(words[1])].plc, words[2:], tasks)
    if words[0] == "behave":
        unit = bus.units[int(words[1])]
        unit.behaviour, unit.ms = words[2], float(words[3]) if len(words) > 3 else 0
        return {"ok": words[2]}
    if words[0] == "requests":
        return {str(number): unit.requests for number, unit in bus.units.items()}
    if words[0] == "connections":
        return {"connections": bus.connections}
    return {"error": f"no command {words[0]}"}


async def serve_serial(bus, path):
    port = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    tty.setraw(port)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()

    def come():
        try:
            reader.feed_data(os.read(port, 512))
        except BlockingIOError:
            pass

    loop.add_reader(port, come)
    bus.tasks.add(asyncio.ensure_future(bus.serve(reader, lambda frame: os.write(port, frame))))


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--framing", choices=("tcp", "rtu"), default="tcp")
    parser.add_argument("--serial")
    parser.add_argument("--units", default="1,2,3")
    parser.add_argument("--single", action="store_true")
    args = parser.parse_args()
    bus = Bus("rtu" if args.serial else args.framing, [int(unit) for unit in args.units.split(",")])
    if args.serial:
        await serve_serial(bus, args.serial)
        print("port 0", flush=True)
    else:
        turn = asyncio.Lock() if args.single else contextlib.nullcontext()

        async def connected(reader, writer):
            async with turn:
                bus.connections += 1
                await bus.serve(reader, writer.write)
                writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    tasks, loop = [], asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        words = line.split()
        if words == ["quit"]:
            break
        if words:
            print(json.dumps(command(bus, words, tasks)), flush=True)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
