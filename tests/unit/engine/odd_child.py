"""A child process that does what its request says: answers, dies, hangs, or eats memory."""

from __future__ import annotations

import os
import sys
import time

from dicomkit.deid.child import FAILED, OK, read_block, write_block


def main() -> None:
    """Answer requests; a file with the word in it counts as the request."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    first = read_block(requests)
    write_block(answers, OK)
    while (data := read_block(requests)) is not None:
        if b"DIE" in data:
            os._exit(3)
        if b"HANG" in data:
            time.sleep(600)
        if b"REFUSE" in data:
            write_block(answers, FAILED, b"no")
            continue
        write_block(answers, OK, first or b"", data)
