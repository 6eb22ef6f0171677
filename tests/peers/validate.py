#!/usr/bin/env python3
"""Checks TOML files against a JSON Schema, with jsonschema.

    validate.py SCHEMA FILE…

Prints a JSON object: "invalid" has a line for each fault of a file as it is; "unnoticed" names each key that may be misspelled
without a fault, "misspelled" is how many keys were tried. Keys below OPEN are names that people choose.
"""

import json
import sys
import tomllib

from jsonschema import Draft7Validator

OPEN = {"param", "params", "poll", "field", "fields", "enum", "bits", "payload", "coil", "discrete", "input", "holding"}


def tables(value, path=()):
    """Every table with its path."""
    if isinstance(value, dict):
        yield path, value
        for key, inner in value.items():
            yield from tables(inner, path + (key,))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from tables(inner, path + (index,))


def misspelled(validator, document):
    """How many keys were tried, and those whose misspelling is no fault."""
    tried, unnoticed = 0, []
    for path, table in list(tables(document)):
        if path and path[-1] in OPEN and not (path[-1] == "poll" and len(path) > 1):
            continue
        for key in list(table):
            before = dict(table)
            table[key + "x"] = table.pop(key)
            tried += 1
            if validator.is_valid(document):
                unnoticed.append(".".join(map(str, path + (key,))))
            table.clear()
            table.update(before)
    return tried, unnoticed


def main():
    schema_file, *files = sys.argv[1:]
    with open(schema_file, encoding="utf-8") as file:
        schema = json.load(file)
    Draft7Validator.check_schema(schema)
    validator = Draft7Validator(schema)
    told = {"invalid": [], "unnoticed": [], "misspelled": 0}
    for name in files:
        with open(name, "rb") as file:
            document = tomllib.load(file)
        told["invalid"] += [f"{name}: {fault.json_path}: {fault.message}" for fault in validator.iter_errors(document)]
        tried, unnoticed = misspelled(validator, document)
        told["misspelled"] += tried
        told["unnoticed"] += [f"{name}: {key}" for key in unnoticed]
    print(json.dumps(told))


if __name__ == "__main__":
    main()
