"""Runs a command and prints the bytes that it has had in memory at most, after its own output.

A script that stays small: Linux counts a process's peak from that of whoever started it.
"""

from __future__ import annotations

import os
import subprocess
import sys


def main() -> int:
    process = subprocess.Popen(sys.argv[1:])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    print(used.ru_maxrss * 1024)  # kibibytes on Linux
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
