#!/usr/bin/env python3
"""Writes src/salvor_action/contract.py from the schema of the action contract.

Usage: generate.py SCHEMA [--check]   (with --check nothing is written: exit code 1 when it would change)
"""
import json
import pathlib
import sys

TARGET = pathlib.Path(__file__).parent / "src/salvor_action/contract.py"
TYPES = {"string": "str", "integer": "int", "boolean": "bool"}


def type_of(shape):
    if "const" in shape:
        return type(shape["const"]).__name__
    if "enum" in shape:
        return "str"
    if shape["type"] == "object":
        return f"dict[str, {type_of(shape['additionalProperties'])}]"
    if shape["type"] == "array":
        return "list[Artifact]"
    return TYPES[shape["type"]]


def fields_of(shape):
    for name, field in shape["properties"].items():
        comment = f"  # {field['description']}" if "description" in field else ""
        yield f"    {name}: {type_of(field)}{comment}\n"


def event_of(name, shape):
    fields = [(field, inside) for field, inside in shape["properties"].items() if field != "event"]
    fields.sort(key=lambda field: field[0] not in shape["required"])
    parameters = "".join(f", {field}: {type_of(inside)}" + ("" if field in shape["required"] else " | None = None")
                         for field, inside in fields)
    given = "".join(f", {field}={field}" for field, _ in fields)
    return (f"\n    def {name}(self{parameters}) -> None:\n        \"\"\"{shape['description']}\"\"\"\n"
            f"        self._tell(\"{name}\"{given})\n")


def text_of(schema):
    request, events = schema["$defs"]["request"], schema["$defs"]["events"]
    verbs = {name: tuple(shape["x-verbs"]) for name, shape in events.items()}
    allowed = {name: {field: inside.get("enum", inside.get("maxLength", "number")) for field, inside in shape["properties"].items()
                      if field != "event"} for name, shape in events.items()}
    needed = {name: tuple(field for field in shape["required"] if field != "event") for name, shape in events.items()}
    parts = ['"""Made from the schema of the action contract by generate.py: do not edit."""\n',
             "from __future__ import annotations\n\nfrom dataclasses import dataclass\n\n",
             f"VERSION = {request['properties']['contract']['const']}\n",
             f"LIMITS = {schema['x-limits']!r}\n", f"DESCRIPTORS = {schema['x-descriptors']!r}\n",
             f"EXIT_CODES = {schema['x-exit-codes']!r}\n", f"VERBS = {verbs!r}\n", f"FIELDS = {allowed!r}\n",
             f"NEEDED = {needed!r}\n",
             "\n\n@dataclass\nclass Artifact:\n", *fields_of(request["properties"]["artifacts"]["items"]),
             "\n\n@dataclass\nclass Request:\n", *fields_of(request),
             "\n\nclass Events:\n    \"\"\"What a program may tell. Somebody else says how it is told.\"\"\"\n\n"
             "    def _tell(self, event: str, **fields: object) -> None:\n        raise NotImplementedError\n",
             *(event_of(name, shape) for name, shape in events.items())]
    return "".join(parts)


def main():
    text = text_of(json.loads(pathlib.Path(sys.argv[1]).read_text()))
    if "--check" in sys.argv:
        if TARGET.read_text() != text:
            sys.exit("contract.py is not what the schema says: run generate.py")
        print("contract.py is what the schema says")
        return
    TARGET.write_text(text)


if __name__ == "__main__":
    main()
