"""Renders JSON documents as json.dumps(json.loads(document)) does.

Reads one document a line, in base64, and writes one line for each: the
rendering, in base64, or "refused". As bridge/zenduty does, it also refuses what
json.loads accepts beyond RFC 8259 and objects with the same key twice. Nesting
that CPython gives up on is refused by both.
"""
import base64
import json
import sys


def unique(pairs):
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("the same key twice")
    return dict(pairs)


def refuse(name):
    raise ValueError(name)


for line in sys.stdin.buffer:
    try:
        document = base64.b64decode(line).decode("utf-8")
        data = json.loads(document, object_pairs_hook=unique, parse_constant=refuse)
        rendering = json.dumps(data).encode("ascii")
    except (ValueError, RecursionError):
        print("refused", flush=True)
        continue
    print(base64.b64encode(rendering).decode(), flush=True)
