#!/usr/bin/env python3
"""Holds the documents to the tree: relative links lead somewhere, headings that links name exist, every command
of tools/dev and of salvor that a document shows exists, every whole command line of salvor in an example is one that
the program understands, and the licence is the one the README names.

Usage: check_documents.py ROOT [--salvor PROGRAM]   (with the program, its commands are looked up and tried in it)
"""
import argparse
import itertools
import os
import re
import shlex
import subprocess
import sys

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.S | re.M)
# The command stands at the start of a line of an example (after a prompt, perhaps), or within backquotes.
SHOWN = re.compile(r"(?:^[ \t]*(?:\$ )?|`)((?:tools/dev|salvor) [^`\n#|]+)", re.M)
SKIPPED = {".git", "build", "node_modules"}


def documents(root: str):
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in SKIPPED]
        for name in sorted(files):
            if name.endswith(".md"):
                yield os.path.relpath(os.path.join(folder, name), root)


def anchor(heading: str) -> str:
    text = re.sub(r"[`*_]|\[|\]\([^)]*\)", "", heading.lower()) if "](" in heading else heading.lower().replace("`", "")
    return re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-")


def anchors(text: str) -> set:
    return {anchor(line.lstrip("#")) for line in FENCE.sub("", text).splitlines() if line.startswith("#")}


def read(path: str) -> str:
    with open(path, encoding="utf-8") as text:
        return text.read()


def check_links(root: str, document: str, text: str) -> list:
    found = []
    for match in LINK.finditer(FENCE.sub("", text)):
        target = match.group(1) or match.group(2)
        if re.match(r"[a-z]+:", target):
            continue
        name, _, part = target.partition("#")
        path = os.path.normpath(os.path.join(root, os.path.dirname(document), name)) if name else os.path.join(root, document)
        if not os.path.exists(path):
            found.append(f"{document}: link to {target}, which is not there")
        elif part and path.endswith(".md") and part not in anchors(read(path)):
            found.append(f"{document}: link to {target}, but there is no such heading")
    return found


def tools_dev_commands(root: str) -> set:
    text = read(os.path.join(root, "tools/dev"))
    commands = re.search(r"^\s*(setup[^)]*)\)", text, re.M).group(1)
    return {word.strip() for word in commands.split("|")} | {"help"}


def help_of(program: str, words: list) -> bool:
    result = subprocess.run([program, *words, "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
    return result.returncode == 0


def words_of(command: str) -> list:
    """The command words of `salvor run show NAME -o json`: those before the first argument."""
    words = []
    for word in command.split()[1:]:
        if not re.fullmatch(r"[a-z][a-z-]*", word):
            break
        words.append(word)
    return words


SINGLE_WORD = {"apply", "validate", "get", "delete", "version", "help"}


def check_commands(root: str, document: str, text: str, salvor: str) -> list:
    found, known = [], tools_dev_commands(root)
    for command in SHOWN.findall(text):
        words = words_of(command)
        if not words:
            continue
        if command.startswith("tools/dev") and words[0] not in known:
            found.append(f"{document}: shows '{command.strip()}', but tools/dev has no command {words[0]}")
        if command.startswith("salvor") and salvor:
            words = words[:1] if words[0] in SINGLE_WORD else words[:2]
            if not help_of(salvor, words):
                found.append(f"{document}: shows '{command.strip()}', but 'salvor {' '.join(words)}' is not a command")
    return found


def own_words(line: str) -> list:
    """The words that a program gets of a command line: those before a pipe, a redirection or a further command."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return list(itertools.takewhile(lambda word: word.strip("();<>|&"), lexer))


def examples(text: str) -> list:
    """Whole command lines of salvor in fenced blocks, continued ones joined, without their comments."""
    found = []
    for block in FENCE.findall(text):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            words = own_words(line.strip().removeprefix("$ ")) if "salvor " in line else []
            if words[:1] == ["salvor"] and len(words) > 1:
                found.append(words)
    return found


def check_examples(root: str, document: str, text: str, salvor: str) -> list:
    """The command line is tried where no control plane is: what is wrong with itself (exit code 2) is said first."""
    found = []
    surroundings = {**os.environ, "SALVOR_SERVER": "unix:///nonexistent/salvord.sock"}
    surroundings.pop("SALVOR_TOKEN_FILE", None)
    for words in examples(text):
        more = ["--timeout", "100ms"] if words[1:3] == ["run", "watch"] and "--timeout" not in words else []
        try:
            result = subprocess.run([salvor, *words[1:], *more], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True, timeout=10, cwd=root, env=surroundings, check=False)
        except subprocess.TimeoutExpired:
            continue  # it waits for a control plane, so it was understood
        if result.returncode == 2:
            found.append(f"{document}: shows '{shlex.join(words)}', which is not understood: {result.stdout.strip()}")
    return found


def check_licence(root: str) -> list:
    found = []
    if "Apache License" not in read(os.path.join(root, "LICENSE"))[:400]:
        found.append("LICENSE: is not the Apache License")
    if not re.search(r"Apache.*\]\(LICENSE\)|\[LICENSE\]\(LICENSE\)", read(os.path.join(root, "README.md"))):
        found.append("README.md: does not link to LICENSE by name")
    return found


def check(root: str, salvor: str = "") -> list:
    found = check_licence(root)
    for document in documents(root):
        text = read(os.path.join(root, document))
        found += check_links(root, document, text)
        found += check_commands(root, document, text, salvor)
        if salvor:
            found += check_examples(root, document, text, salvor)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root")
    parser.add_argument("--salvor", default="", help="the program whose commands documents may show")
    arguments = parser.parse_args()
    found = check(arguments.root, arguments.salvor)
    print("\n".join(found) if found else "links, commands and licence are as they should be")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
