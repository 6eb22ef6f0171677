#!/usr/bin/env python3
"""Proves docs/erp-contract.md and its OpenAPI document: `page.py`. Needs openapi-spec-validator (with it PyYAML, jsonschema).

The OpenAPI document is valid; every example of the page fits the schema of its place; the words of the page, of the document
and of Tryton's module are the same. Ends with 1 if not, with 77 if a package is missing.
"""
import ast
import json
import re
import sys
from pathlib import Path

try:
    import yaml
    from jsonschema import Draft202012Validator
    from openapi_spec_validator import validate
except ImportError as missing:
    print(f"SKIPPED: {missing}; pip install openapi-spec-validator")
    sys.exit(77)

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent.parent / "docs"
PAGE = (DOCS / "erp-contract.md").read_text()
SPEC = yaml.safe_load((DOCS / "erp-contract.openapi.yaml").read_text())


def schema_of(body):
    if "events" in body:
        return "Batch"
    if "contract" in body:
        return "Contract"
    if "type" in body:
        return "Problem"
    if "job" in body:
        return "Job"
    return "Found" if body["results"][0]["status"] in {"present", "absent", "processing"} else "Results"


def examples():
    """Every JSON body of the page."""
    for language, block in re.findall(r"```(http|json)\n(.*?)```", PAGE, re.S):
        text = block if language == "json" else block.partition("\n\n")[2]
        if text.strip():
            yield json.loads(text)


KINDS = {"pick_confirmed": "PickConfirmed", "short_picked": "ShortPicked", "packing_completed": "PackConfirm",
         "labelled": "ShipmentTracking", "shipment_closed": "GoodsIssue", "receipt_counted": "GoodsReceipt",
         "inventory_moved": "StockTransfer", "counted": "StockCount", "adjusted": "StockAdjustment"}


def section(title):
    return PAGE.split(f"\n### {title}\n")[1].split("\n##")[0]


def reasons_of_module():
    """Every reason that stands in the module's source: the first text of Refused(…), the second of not_booked(…)."""
    found = {"already_done"}
    for path in (HERE / "module").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(getattr(node, "func", None), "id", getattr(getattr(node, "func", None), "attr", None))
            place = {"Refused": 0, "not_booked": 1, "_one": 3, "_document": 2}.get(name)
            if place is not None and len(node.args) > place and isinstance(node.args[place], ast.Constant):
                found.add(node.args[place].value)
    return found


def main():
    faults = []

    def same(what, one, other):
        if one != other:
            faults.append(f"{what}: {sorted(one ^ other)} only on one side")
    validate(SPEC)
    number = 0
    for number, body in enumerate(examples(), 1):
        parts = [(KINDS[kind], data) for kind, data in body.items()] if body.keys() <= KINDS.keys() else [(schema_of(body), body)]
        for name, part in parts:
            place = {"$ref": f"#/components/schemas/{name}", "components": SPEC["components"]}
            faults += [f"example {number}: {error.message}" for error in Draft202012Validator(place).iter_errors(part)]
    reasons = {word for row in section("Reasons").splitlines() if row.startswith("|")
               for word in re.findall(r"`(\w+)`", row.split("|")[2])} - {"reason"}
    same("reasons of page and OpenAPI", reasons, set(SPEC["components"]["schemas"]["Result"]["properties"]["reason"]["examples"]))
    unknown = {word for word in reasons_of_module() if isinstance(word, str)} - reasons
    faults += [f"the module says {sorted(unknown)}, the page does not"] if unknown else []
    checks = re.findall(r"^\| `([a-z-]+)` \|", PAGE.split("\n## What is checked\n")[1], re.M)
    sys.path.insert(0, str(HERE))
    import conform
    same("checks of page and conform.py", set(checks), {conform.name_of(check) for check in conform.HARMLESS + conform.POSTING})
    limits = set(re.findall(r"`(?:limits|capabilities)\.(\w+)`", PAGE))
    contract = SPEC["components"]["schemas"]["Contract"]["properties"]
    same("limits and capabilities", limits, set(contract["limits"]["required"]) | set(contract["capabilities"]["required"]))
    for fault in faults:
        print(fault)
    print(f"{number} examples, {len(reasons)} reasons, {len(checks)} checks: {'ok' if not faults else 'FAILED'}")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
