"""The step `settings`: writes what the jobs of an experiment read.

It knows no kind of experiment, so that a new key of one kind reruns nothing of the other. The settings come checked
from the configuration, and every step that reads them checks them again.
"""

import argparse
import json

from ..files import write_json


def main(arguments: list[str]) -> None:
    """Write the settings given as JSON."""
    parser = argparse.ArgumentParser(prog="python workflow settings", description=main.__doc__)
    parser.add_argument("--json", required=True, type=json.loads, help="the settings as JSON")
    parser.add_argument("--out", required=True, help="experiment.json")
    options = parser.parse_args(arguments)
    write_json(options.out, options.json)
