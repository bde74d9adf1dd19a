#!/usr/bin/env python
"""The command line of the benchmark: `python run_benchmark.py --help`."""

from benchmark.commands.app import app

if __name__ == "__main__":
    app(prog_name="run_benchmark.py")
