#!/usr/bin/env python3
"""PLCs with event FIFOs, written from their register lists alone (README.md of devices/acme-sorter, acme-mailbox-plc and
acme-fc24-plc).

The PLC's side of the handshake, on pymodbus (3.16 or later), as a process of its own. Prints `port N` first; then
each line on stdin is a command, answered by one line on stdout:

    push N           N more events; JSON list of {"epoch", "seq", "sscc"}
    rate R           R events a second by itself, 0 stops
    restart          reboot: next epoch, counters 0, ring empty; JSON {"epoch", "dropped": ids that were never acknowledged}
    tear [N]         the next event's slot is torn in its next N reads (1), then right
    resend           the ack register goes back as far as the ring reaches
    ignore-ack N     the next N writes of the ack register are answered and forgotten
    refuse N         the next N requests are answered with an exception
    requests         JSON: requests since the last asking, as {"unit/function/address/count": how often}
    stall MS [N]     the next N requests (1) are answered MS milliseconds late
    state            JSON: counters, and the ids that were produced, queued, acknowledged, overwritten
    quit             the end; so is the end of stdin

Each write of the ack register is told on stderr with the numbers that it releases.
"""

import argparse
import asyncio
import collections
import json
import sys
import time

from pymodbus import FramerType
from pymodbus.pdu import ExceptionResponse
from pymodbus.pdu.file_message import ReadFifoQueueRequest, ReadFifoQueueResponse
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

HEAD, ACK, EPOCH, SLOTS_AT, SLOTS, WORDS = 100, 101, 102, 200, 32, 16
ONE_A_WORD = 8  # more words of a slot whose SSCC has one character in each
SIZE = SLOTS_AT + SLOTS * (WORDS + ONE_A_WORD)


def crc16(data):
    """CRC-16/MODBUS, bit by bit."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def sscc(serial):
    """18 digits: extension digit 3, a company prefix, the running number, GS1's check digit."""
    body = f"39521234{serial:09d}"
    total = sum(int(digit) * (3, 1)[i % 2] for i, digit in enumerate(reversed(body)))
    return body + str(-total % 10)


class Plc:
    """The sorter: a ring of 32 slots."""

    slots, words, slots_at = SLOTS, WORDS, SLOTS_AT

    def __init__(self, args):
        self.careless = args.careless
        self.chars = getattr(args, "chars", None)  # "high", "low": one in each word
        self.words += ONE_A_WORD if self.chars else 0
        self.serial = args.first_serial
        self.epoch = args.epoch
        self.seq = args.base_seq  # of the newest event, produced or queued
        self.first = args.base_seq  # nothing older was ever in the ring
        self.head = args.base_seq  # of the newest slot; these count on without wrapping
        self.ack = args.base_seq
        self.ack_register = args.base_seq & 0xFFFF
        self.registers = [0] * SIZE
        self.queue = collections.deque()
        self.ring = {}  # number -> id, while it is not acknowledged
        self.produced, self.acked, self.overwritten = [], [], []
        self.tear_reads = 0  # for the next slot
        self.torn = {}  # slot index -> [reads left, right words]
        self.ignore_acks = self.refusals = self.stalls = 0
        self.requests = collections.Counter()
        self.stall = 0.0
        self.started = time.monotonic()
        self.publish()

    def publish(self):
        self.registers[HEAD] = self.head & 0xFFFF
        self.registers[ACK] = self.ack_register
        self.registers[EPOCH] = self.epoch & 0xFFFF

    def push(self, count):
        made = []
        for _ in range(count):
            self.seq += 1
            self.serial += 1
            event = {"epoch": self.epoch, "seq": self.seq & 0xFFFF, "sscc": sscc(self.serial)}
            self.queue.append((self.seq, event))
            self.produced.append(event)
            made.append(event)
        self.fill()
        return made

    def fill(self):
        """Moves events into the ring while there is room; a careless PLC does not look."""
        while self.queue and (self.careless or self.head - self.ack < self.slots):
            seq, event = self.queue.popleft()
            lost = self.ring.pop(seq - self.slots, None)
            if lost:
                self.overwritten.append(lost)
            self.ring[seq] = event
            self.write_slot(seq, event)
            self.head = seq
            self.publish()

    def before_sscc(self, seq):
        """The words of a slot before the SSCC."""
        millis = int((time.monotonic() - self.started) * 1000) & 0xFFFFFFFF
        return [seq & 0xFFFF, millis & 0xFFFF, millis >> 16, 1 + self.serial % 40, (1, 2, 3, 9)[self.serial % 4]]

    def encode(self, seq, event):
        words = self.before_sscc(seq)
        text = event["sscc"].encode("ascii")
        if self.chars:  # the other byte of each word is whatever was there before
            words += [char << 8 | 0xA5 if self.chars == "high" else 0xA500 | char for char in text]
        else:
            text = text.ljust(20, b"\0")
            words += [text[i] << 8 | text[i + 1] for i in range(0, 20, 2)]
        words.append(crc16(b"".join(word.to_bytes(2, "big") for word in words)))
        return words

    def write_slot(self, seq, event):
        words = self.encode(seq, event)
        index = (seq - 1) % self.slots
        self.torn.pop(index, None)
        if self.tear_reads:
            self.torn[index] = [self.tear_reads, list(words)]
            self.tear_reads = 0
            words[-1 if seq % 2 else 0] ^= 0x0101
        first = self.slots_at + index * self.words
        self.registers[first : first + self.words] = words

    def read(self, address, count):
        """After a torn slot was read often enough the PLC finishes writing it."""
        for index, torn in list(self.torn.items()):
            first = self.slots_at + index * self.words
            if address < first + self.words and first < address + count:
                if torn[0] == 0:
                    self.registers[first : first + self.words] = torn[1]
                    del self.torn[index]
                else:
                    torn[0] -= 1

    def write_ack(self, value):
        if self.ignore_acks:
            self.ignore_acks -= 1
            print(f"ack {value} ignored", file=sys.stderr, flush=True)
            return
        self.ack_register = value
        ahead = (value - self.ack) & 0xFFFF
        released = []
        if ahead <= self.head - self.ack:
            for seq in range(self.ack + 1, self.ack + ahead + 1):
                event = self.ring.pop(seq, None)
                if event:
                    self.acked.append(event)
                    released.append(seq & 0xFFFF)
            self.ack += ahead
            print(f"ack {value} epoch {self.epoch} releases {released}", file=sys.stderr, flush=True)
        else:
            print(f"ack {value} epoch {self.epoch} is not between {self.ack} and {self.head}", file=sys.stderr, flush=True)
        self.publish()
        self.fill()

    def restart(self):
        dropped = [event for _, event in sorted(self.ring.items())] + [event for _, event in self.queue]
        self.epoch = (self.epoch + 1) & 0xFFFF
        self.seq = self.first = self.head = self.ack = self.ack_register = 0
        self.queue.clear()
        self.ring.clear()
        self.torn.clear()
        self.registers = [0] * SIZE
        self.publish()
        return {"epoch": self.epoch, "dropped": dropped}

    def resend(self):
        back = max(self.head - self.slots, self.first)
        self.ack_register = min(back, self.ack) & 0xFFFF
        self.publish()
        return {"ack": self.ack_register}

    def state(self):
        return {
            "head": self.head & 0xFFFF,
            "ack": self.ack & 0xFFFF,
            "ack_register": self.ack_register,
            "epoch": self.epoch,
            "produced": self.produced,
            "queued": [event for _, event in self.queue],
            "acked": self.acked,
            "overwritten": self.overwritten,
        }

    async def serve(self, function, _start, address, count, registers, values):
        """pymodbus calls this for each request, before it answers from `registers`."""
        if self.stalls:
            self.stalls -= 1
            await asyncio.sleep(self.stall)
        if self.refusals:
            self.refusals -= 1
            return ExcCodes.DEVICE_BUSY
        if values is None:
            self.read(address, count)
        elif function == 6 and address == ACK:
            self.write_ack(values[0])
            values[0] = self.ack_register
        else:
            return ExcCodes.ILLEGAL_ADDRESS
        registers[:] = self.registers
        return None


class Mailbox(Plc):
    """The checkweigher (devices/acme-mailbox-plc/README.md): one slot."""

    slots, words, slots_at = 1, 16, 110

    def before_sscc(self, seq):
        grams = 900 + self.serial % 200
        return [seq & 0xFFFF, 1 + self.serial % 4, (1, 2, 3, 9)[self.serial % 4], grams & 0xFFFF, grams >> 16]


class Queue(Plc):
    """The stretch wrapper (devices/acme-fc24-plc/README.md): what function 24 shows at 300; room for 64 events."""

    slots, words, at = 64, 13, 300

    def before_sscc(self, seq):
        return [seq & 0xFFFF, (1, 2, 9)[self.serial % 3]]

    def publish(self):
        super().publish()
        self.registers[HEAD] = 0  # there is no such register

    def write_slot(self, seq, event):
        self.torn[seq] = [self.tear_reads, self.encode(seq, event)]
        self.tear_reads = 0

    def read(self, address, count):
        pass

    def show(self):
        """The oldest events that are not acknowledged, as many as function 24 holds."""
        words = []
        for seq in range(self.ack + 1, min(self.head, self.ack + 31 // self.words) + 1):
            torn = self.torn[seq]
            event = list(torn[1])
            if torn[0]:
                torn[0] -= 1
                event[5] ^= 0x0101
            words += event
        return words


def counted(requests):
    """For pymodbus's trace: counts requests as they come off the wire, as "unit/function/address/count"; functions 6 and 5
    have a count of 1, 24 has none."""

    def note(sending, pdu):
        if not sending:
            function = pdu.function_code
            count = "" if function == 24 else f"/{1 if function in (5, 6) else pdu.count}"
            requests[f"{pdu.dev_id}/{function}/{pdu.address}{count}"] += 1
        return pdu

    return note


STYLES = {"ring": Plc, "mailbox": Mailbox, "fc24": Queue}


def read_queue_of(plc):
    """pymodbus has the function's frames, but no memory behind it."""

    class ReadQueue(ReadFifoQueueRequest):
        async def datastore_update(self, _context, device_id):
            if plc.stalls:
                plc.stalls -= 1
                await asyncio.sleep(plc.stall)
            if not isinstance(plc, Queue) or self.address != plc.at:
                return ExceptionResponse(self.function_code, ExcCodes.ILLEGAL_ADDRESS)
            return ReadFifoQueueResponse(plc.show(), dev_id=device_id, transaction_id=self.transaction_id)

    return ReadQueue


async def by_itself(plc, rate):
    """Pushes `rate` events a second."""
    begin, made = time.monotonic(), 0
    while True:
        await asyncio.sleep(0.01)
        due = int((time.monotonic() - begin) * rate)
        if due > made:
            plc.push(due - made)
            made = due


def command(plc, words, tasks):
    name, numbers = words[0], [float(word) for word in words[1:]]
    first = int(numbers[0]) if numbers else 1
    if name == "push":
        return plc.push(first)
    if name == "rate":
        for task in tasks:
            task.cancel()
        tasks[:] = [asyncio.ensure_future(by_itself(plc, numbers[0]))] if numbers[0] else []
    elif name == "restart":
        return plc.restart()
    elif name == "tear":
        plc.tear_reads = first
    elif name == "resend":
        return plc.resend()
    elif name == "ignore-ack":
        plc.ignore_acks = first
    elif name == "refuse":
        plc.refusals = first
    elif name == "stall":
        plc.stall, plc.stalls = numbers[0] / 1000, int(numbers[1]) if len(numbers) > 1 else 1
    elif name == "state":
        return plc.state()
    elif name == "requests":
        told = dict(plc.requests)
        plc.requests.clear()
        return told
    else:
        return {"error": f"no command {name}"}
    return {"ok": name}


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--unit", type=int, default=1)
    parser.add_argument("--epoch", type=int, default=1)
    parser.add_argument("--base-seq", type=int, default=0, help="counters start here: 65500 is near the wrap")
    parser.add_argument("--first-serial", type=int, default=0, help="running number of the SSCCs")
    parser.add_argument("--style", choices=STYLES, default="ring")
    parser.add_argument("--chars", choices=["high", "low"], help="one character in each register of a text, in that byte")
    parser.add_argument("--rtu", action="store_true", help="RTU frames over TCP, as a device server forwards them")
    parser.add_argument("--serial", help="RTU on this serial port, 19200 baud, parity none; prints port 0")
    parser.add_argument("--careless", action="store_true", help="overwrites slots that are not acknowledged")
    args = parser.parse_args()
    plc = STYLES[args.style](args)
    device = SimDevice(args.unit, SimData(0, count=SIZE, datatype=DataType.REGISTERS), action=plc.serve)
    if args.serial:
        server = ModbusSerialServer(device, port=args.serial, baudrate=19200, parity="N", framer=FramerType.RTU)
        await server.serve_forever(background=True)
        print("port 0", flush=True)
    else:
        framer = FramerType.RTU if args.rtu else FramerType.SOCKET
        server = ModbusTcpServer(device, address=("127.0.0.1", args.port), framer=framer, custom_pdu=[read_queue_of(plc)], trace_pdu=counted(plc.requests))
        await server.serve_forever(background=True)
        print(f"port {server.transport.sockets[0].getsockname()[1]}", flush=True)
    tasks = []
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        words = line.split()
        if words == ["quit"]:
            break
        if words:
            print(json.dumps(command(plc, words, tasks)), flush=True)
    await server.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
