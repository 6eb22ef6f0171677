# SPDX-License-Identifier: GPL-3.0-or-later
"""The older form: eight kinds with JSON numbers and text keys, instead of transaction types, under a path of its own."""
import hashlib
import json
import uuid

NAMESPACE = uuid.UUID("3f0d4b1e-5f0b-4a54-9d8e-2b7d1c9a6e10")

# kind -> transaction type, and members that have another name there
KINDS = {
    "pick_confirmed": ("pick_confirm", {"quantity": "qty"}),
    "short_pick": ("pick_confirm", {"quantity": "qty_picked"}),
    "packed": ("pack_confirm", {}),
    "shipped": ("goods_issue", {}),
    "receipt": ("goods_receipt", {"shipment": "asn"}),
    "putaway": ("stock_transfer", {"shipment": "asn"}),
    "moved": ("stock_transfer", {"quantity": "qty", "shipment": "request"}),
    "counted": ("stock_count", {"quantity": "qty"}),
}


def key(text):
    """The contract's key for a key of any text."""
    return str(uuid.uuid5(NAMESPACE, text)) if isinstance(text, str) and 0 < len(text) <= 200 else None


def item(event):
    """The contract's item for an event of this form."""
    kind, data = event.get("kind"), event.get("data")
    tx_type, names = KINDS.get(kind, (f"kind {kind}", {}))
    said = json.dumps([kind, data], sort_keys=True)
    if isinstance(data, dict):
        data = {names.get(name, name): decimal(value) if name == "quantity" else value for name, value in data.items()}
        data |= {"exact": True} if kind == "pick_confirmed" else {}
        if isinstance(data.get("lines"), list):
            data["lines"] = [
                {("qty" if name == "quantity" else name): decimal(value) if name == "quantity" else value
                 for name, value in line.items()} if isinstance(line, dict) else line for line in data["lines"]]
    return {"key": key(event.get("key")), "fingerprint": hashlib.sha256(said.encode()).hexdigest(), "tx_type": tx_type,
            "lane": event.get("lane") or f"alone/{event.get('key')}", "time": "1970-01-01T00:00:00Z",
            "time_quality": "unsynced", "data": data}


def decimal(value):
    """A JSON number as the contract writes it; anything else as it is, to be refused there."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f"{value:.6f}".rstrip("0").rstrip(".") if number else value


def result(event, outcome):
    words = {"unknown_tx_type": "unknown_kind"}
    told = {name: value for name, value in outcome.items() if name != "problem"}
    return told | {"key": event.get("key")} | ({"reason": words.get(told["reason"], told["reason"])} if "reason" in told else {})
