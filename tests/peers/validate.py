#!/usr/bin/env python3
"""Checks TOML files against a JSON Schema, with jsonschema.

    validate.py SCHEMA FILE…

Prints a JSON object: "invalid" has a line for each fault of a file as it is; "unnoticed" names each key that may be misspelled
without a fault, "misspelled" is how many keys were tried. Keys below OPEN are names that people choose. Where the schema
lists words or numbers, another one is tried: "taken" names those that are no fault, "untried" the choices that stand in no file.
"""

import json
import sys
import tomllib

from jsonschema import Draft7Validator

OPEN = {"for", "param", "params", "poll", "field", "fields", "member", "enum", "bits", "payload", "coil", "discrete", "input", "holding"}


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
            if "override" in path and isinstance(table[key], int):
                continue  # the loop's own name
            before = dict(table)
            table[key + "x"] = table.pop(key)
            tried += 1
            if validator.is_valid(document):
                unnoticed.append(".".join(map(str, path + (key,))))
            table.clear()
            table.update(before)
    return tried, unnoticed


def ways(schema):
    return [schema] + [inner for way in schema.get("anyOf", []) for inner in ways(way)]


def choices(schema, path=""):
    """Where a word or number of several is expected."""
    for way in ways(schema):
        if "enum" in way:
            yield path
        for key, inner in way.get("properties", {}).items():
            yield from choices(inner, f"{path}.{key}".strip("."))
        for key in ("items", "additionalProperties"):
            if isinstance(way.get(key), dict):
                yield from choices(way[key], path + (".*" if key != "items" else "[]"))


def chosen(schema, value, path="", holder=None, key=None):
    """The values of a document that stand where one of several is expected: place, and the table or list and its key."""
    for way in ways(schema):
        if "enum" in way and not isinstance(value, (dict, list)):
            yield path, holder, key
        if isinstance(value, dict):
            for name, inner in value.items():
                if name in way.get("properties", {}):
                    yield from chosen(way["properties"][name], inner, f"{path}.{name}".strip("."), value, name)
                elif isinstance(way.get("additionalProperties"), dict):
                    yield from chosen(way["additionalProperties"], inner, f"{path}.*", value, name)
        if isinstance(value, list) and isinstance(way.get("items"), dict):
            for index, inner in enumerate(value):
                yield from chosen(way["items"], inner, f"{path}[]", value, index)


def wrongly_chosen(validator, document):
    """The choices that were tried with something else, and those where that is no fault."""
    tried, taken = set(), []
    for path, holder, key in list(chosen(validator.schema, document)):
        before = holder[key]
        holder[key] = before + "x" if isinstance(before, str) else 99_999_999
        tried.add(path)
        if validator.is_valid(document):
            taken.append(path)
        holder[key] = before
    return tried, taken


def main():
    schema_file, *files = sys.argv[1:]
    with open(schema_file, encoding="utf-8") as file:
        schema = json.load(file)
    Draft7Validator.check_schema(schema)
    validator = Draft7Validator(schema)
    told = {"invalid": [], "unnoticed": [], "misspelled": 0, "taken": []}
    untried = set(choices(schema))
    for name in files:
        with open(name, "rb") as file:
            document = tomllib.load(file)
        told["invalid"] += [f"{name}: {fault.json_path}: {fault.message}" for fault in validator.iter_errors(document)]
        tried, unnoticed = misspelled(validator, document)
        told["misspelled"] += tried
        told["unnoticed"] += [f"{name}: {key}" for key in unnoticed]
        tried, taken = wrongly_chosen(validator, document)
        untried -= tried
        told["taken"] += [f"{name}: {path}" for path in taken]
    told["untried"] = sorted(untried)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
