"""The step `choose`: writes the configuration of the calibration's next stage from the ranking of the one before.

Configurations are committed, so the next stage is planned, run and verified like every other; config/README.md has the
rules that this step follows.
"""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..errors import WinnowError
from ..files import atomic, used
from .calibration import PRUNED


@dataclass(frozen=True)
class Stage:
    """What a stage runs."""

    share: float
    """Of the readings that prune alike, at most this share is kept, rounded up, …"""
    most: int
    """… and at most so many."""
    fractions: tuple[float, ...]
    seeds: range
    seeds_per_job: int
    evaluations: int
    """2: the ends alone; more: 2c is held up, too."""


STAGES = {
    2: Stage(0.1, 1000, (0, 0.5, 0.9), range(20, 40), 20, 2),
    3: Stage(1, 3, (0, 0.3, 0.5, 0.7, 0.8, 0.9), range(50, 100), 25, 20),
}
HEAD = """# yaml-language-server: $schema=../workflow/schemas/config.schema.json
# Stage {stage} of the search over figure 2's readings (config/README.md, "Figure 2's readings, in stages"), as
# `python workflow choose` wrote it from stage {before}: {counts}.
# make figures CONFIG=config/calibration-{stage}.yaml DIR=build/calibration-{stage}
"""


def chosen(found: list[dict], stage: Stage) -> dict[str, list[dict]]:
    """The readings of a ranking that a stage runs, by what they prune, nearest first."""
    kept = {}
    for target, pruned in PRUNED.items():
        ours = [entry for entry in found if entry["reading"]["target"] == target]
        kept[pruned] = ours[: min(math.ceil(stage.share * len(ours)), stage.most)]
    return kept


def configuration(kept: dict[str, list[dict]], stage: Stage) -> dict:
    """The configuration of a stage: an experiment a reading."""
    experiments = {}
    for pruned, entries in kept.items():
        for rank, entry in enumerate(entries, start=1):
            tree = entry["settings"]
            tree = tree | {"training": tree["training"] | {"evaluations": stage.evaluations}}
            grid = {"fractions": list(stage.fractions), "fractions_per_job": len(stage.fractions)}
            grid |= {"axes": {"sigma_n": [0.5, 1]}, "seeds": list(stage.seeds), "seeds_per_job": stage.seeds_per_job}
            experiments[f"calibration-{pruned}-{rank}"] = {"kind": "two_layer"} | tree | grid
    return {"root_seed": 2025, "experiments": experiments, "figures": []}


def main(arguments: list[str]) -> None:
    """Write the configuration of the next stage of the calibration."""
    parser = argparse.ArgumentParser(prog="python workflow choose", description=main.__doc__)
    parser.add_argument("ranking", help="calibration.json of the stage before")
    parser.add_argument("--stage", type=int, choices=STAGES, required=True, help="the stage to write")
    parser.add_argument("--out", required=True, help="its configuration, as config/calibration-2.yaml")
    options = parser.parse_args(arguments)
    stage = STAGES[options.stage]
    try:
        found = json.loads(Path(used(options.ranking)).read_text(encoding="utf-8"))["readings"]
    except (OSError, ValueError, KeyError) as error:
        raise WinnowError(f"{options.ranking}: cannot be read as a ranking ({error})") from None
    kept = chosen(found, stage)
    counts = " and ".join(f"the {len(entries)} nearest that prune {pruned}" for pruned, entries in kept.items())
    head = HEAD.format(stage=options.stage, before=options.stage - 1, counts=counts)
    body = yaml.safe_dump(configuration(kept, stage), sort_keys=False, default_flow_style=None, width=118)
    with atomic(options.out) as temporary:
        Path(temporary).write_text(head + body, encoding="utf-8")
