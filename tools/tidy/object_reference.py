#!/usr/bin/env python3
"""Writes docs/reference/objects.md: every field of every object that people declare, from the comments in
proto/salvor/v1/object.proto as protoc reads them. A field without a comment is an error.

Usage: object_reference.py ROOT [--check]   (with --check nothing is written: exit code 1 when it would change)
"""
import collections
import os
import re
import subprocess
import sys
import tempfile

SOURCE = "salvor/v1/object.proto"
TARGET = "docs/reference/objects.md"
HEAD = """# Every field of the objects

Objects are YAML documents with `apiVersion: salvor.dev/v1`, `kind`, `metadata` and `spec`;
[`deploy/examples/shop.yaml`](../../deploy/examples/shop.yaml) shows them together. Field names are written as here, in
lowerCamelCase. What is unset has the default that is said. Durations are written like `90s` or `1h30m`.

This page is written by `tools/dev format` from the comments in `proto/salvor/v1/object.proto`.
"""
KINDS = ["Environment", "Location", "Driver", "Application"]
SCALARS = {1: "number", 2: "number", 3: "integer", 4: "integer", 5: "integer", 8: "true or false", 9: "text", 12: "hexadecimal",
           13: "integer"}
ENUM, MESSAGE, REPEATED = 14, 11, 3
ANY = ".google.protobuf.Any"


def fields_of(data: bytes) -> dict:
    """Protobuf's wire format: field number -> its values, numbers or bytes."""
    found, at = collections.defaultdict(list), 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            found[key >> 3].append(varint())
        elif key & 7 == 2:
            length = varint()
            found[key >> 3].append(data[at:at + length])
            at += length
        else:
            at += {1: 8, 5: 4}[key & 7]
    return found


def text(fields: dict, number: int) -> str:
    return fields[number][0].decode() if fields.get(number) else ""


def path_of(packed: bytes) -> tuple:
    # Every part is below 2^21; a packed list of varints.
    path, value, shift = [], 0, 0
    for byte in packed:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            path.append(value)
            value = shift = 0
    return tuple(path)


def camel(words: str) -> str:
    return "".join(part.capitalize() for part in words.lower().split("_"))


class Descriptor:
    """Messages and enums of the file by full name, with their comments."""

    def __init__(self, root: str):
        with tempfile.NamedTemporaryFile() as out:
            subprocess.run(["protoc", "-I", os.path.join(root, "proto"), "--include_source_info", "--descriptor_set_out", out.name,
                            SOURCE], check=True)
            file = fields_of(fields_of(out.read())[1][0])
        self.comments = {}
        for location in fields_of(file[9][0])[1]:
            parts = fields_of(location)
            words = " ".join((text(parts, 3) + text(parts, 4)).split())
            if words:
                self.comments[path_of(parts[1][0]) if parts.get(1) else ()] = words
        self.messages, self.enums = {}, {}
        for index, message in enumerate(file[4]):
            self._add_message("." + text(file, 2), message, (4, index))
        for index, enum in enumerate(file[5]):
            self._add_enum("." + text(file, 2), enum, (5, index))
        self._collect_words()

    def _add_message(self, scope: str, data: bytes, path: tuple):
        message = fields_of(data)
        name = scope + "." + text(message, 1)
        self.messages[name] = (message, path)
        for index, nested in enumerate(message[3]):
            self._add_message(name, nested, path + (3, index))
        for index, enum in enumerate(message[4]):
            self._add_enum(name, enum, path + (4, index))

    def _add_enum(self, scope: str, data: bytes, path: tuple):
        enum = fields_of(data)
        name = text(enum, 1)
        prefix = re.sub(r"(?<!^)([A-Z])", r"_\1", name).upper() + "_"
        values = []
        for index, value in enumerate(enum[2]):
            word = text(fields_of(value), 1).removeprefix(prefix)
            if word != "UNSPECIFIED":
                values.append((word, self.comments.get(path + (2, index), "")))
        self.enums[scope + "." + name] = values

    def _collect_words(self):
        """The names that comments take from the .proto, and that people know otherwise."""
        self.words = {}
        for message, _ in self.messages.values():
            for field in map(fields_of, message[2]):
                if "_" in text(field, 1):
                    self.words[text(field, 1)] = text(field, 10)
        for values in self.enums.values():
            for word, _ in values:
                self.words[word] = camel(word)

    def for_people(self, comment: str) -> str:
        for word, name in self.words.items():
            comment = re.sub(rf"(?<![\w`]){word}(?![\w`])", f"`{name}`", comment)
        return comment.replace("|", "\\|")


class Page:
    def __init__(self, descriptor: Descriptor):
        self.descriptor, self.missing, self.queue, self.done = descriptor, [], [], set()

    def type_of(self, field: dict) -> str:
        kind, name = field[5][0], text(field, 6)
        if kind == ENUM:
            word = "one of " + ", ".join(f"`{camel(value)}`" for value, _ in self.descriptor.enums[name])
        elif kind == MESSAGE and name == ANY:
            word = "map with `\"@type\"`, the full name of a message, and that message's fields"
        elif kind == MESSAGE:
            message = self.descriptor.messages[name][0]
            if message.get(7) and fields_of(message[7][0]).get(7):
                return "map of text"
            title = name.rsplit(".", 1)[1]
            if name not in self.done and name not in self.queue:
                self.queue.append(name)
            word = f"[{title}](#{title.lower()})"
        else:
            word = SCALARS[kind]
        return f"list of {word}" if field[4][0] == REPEATED else word

    def values_of(self, field: dict) -> str:
        if field[5][0] != ENUM:
            return ""
        said = [f"`{camel(word)}`: {self.descriptor.for_people(comment)}"
                for word, comment in self.descriptor.enums[text(field, 6)] if comment]
        return (". " if said else "") + "; ".join(said)

    def section(self, name: str, title: str, mark: str) -> str:
        message, path = self.descriptor.messages[name]
        self.done.add(name)
        intro = self.descriptor.comments.get(path, "")
        if not intro:
            self.missing.append(name)
        lines = [f"{mark} {title}", "", self.descriptor.for_people(intro), "", "| field | what | meaning |", "|---|---|---|"]
        for index, field in enumerate(map(fields_of, message[2])):
            comment = self.descriptor.comments.get(path + (2, index), "")
            if not comment:
                self.missing.append(f"{name}.{text(field, 1)}")
            lines.append(f"| `{text(field, 10)}` | {self.type_of(field)} | "
                         f"{self.descriptor.for_people(comment)}{self.values_of(field)} |")
        return "\n".join(lines) + "\n"

    def render(self) -> str:
        package = ".salvor.v1."
        sections = [HEAD, self.section(package + "Metadata", "metadata", "##")]
        sections += [self.section(f"{package}{kind}Spec", kind, "##") for kind in KINDS]
        while self.queue:
            name = self.queue.pop(0)
            if name not in self.done:
                sections.append(self.section(name, name.rsplit(".", 1)[1], "##"))
        return "\n".join(sections)


def main():
    if len(sys.argv) < 2 or sys.argv[2:] not in ([], ["--check"]):
        sys.exit(__doc__)
    root = sys.argv[1]
    page = Page(Descriptor(root))
    new = page.render()
    if page.missing:
        sys.exit("these have no comment in proto/" + SOURCE + ":\n  " + "\n  ".join(page.missing))
    target = os.path.join(root, TARGET)
    old = ""
    if os.path.exists(target):
        with open(target, encoding="utf-8") as there:
            old = there.read()
    if "--check" in sys.argv and old != new:
        sys.exit(f"{TARGET} is not what the comments in proto/{SOURCE} say: run tools/dev format")
    if "--check" not in sys.argv and old != new:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as out:
            out.write(new)


if __name__ == "__main__":
    main()
