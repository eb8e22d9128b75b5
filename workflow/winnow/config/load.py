"""The configuration: experiments with their grids and seeds, and the figures to draw from them.

The Snakefile and the package share these classes; `workflow/schemas/config.schema.json` is generated from them.
"""

import argparse
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, ClassVar, Self

import yaml
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from .. import paths
from ..catalogue import FIGURES, THEORY, TWO_LAYER, Asked, known, matching
from ..errors import WinnowError
from ..images.stages import ImagesExperiment
from ..two_layer.settings import FullBatch, TwoLayerSettings
from .base import Distinct, NoSwitch, PositiveInt, RunSettings, Strict, canonical
from .grid import LONGEST, Grid, in_batches
from .messages import validated

TEXT, MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"  # of keys; << is the one that merges
RESERVED = ("core", "figures", "logs", "provenance", "bench", "pages")  # other folders of results/


def _free_name(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"{name} is a folder of results/ already; choose another name")
    return name


Name = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=LONGEST), AfterValidator(_free_name)
]


class TwoLayerExperiment(Grid, TwoLayerSettings):
    """The two-layer network on signal and noise, trained by full-batch gradient descent on the compiled core."""

    data_step: ClassVar[str] = "data"
    fractions_per_job: PositiveInt = 1
    """How many fractions of a seed one training job runs, in the order listed; they share its start and its data."""

    @model_validator(mode="after")
    def _one_table_holds_all_runs(self) -> Self:
        if len(measured := {self.settings.at(point).measured for point in self.points()}) > 1:
            said = " and ".join(sorted(measured))
            raise ValueError(f"axes: runs with {said} have other columns; make them experiments of their own")
        return self

    @property
    def files_per_seed(self) -> int:
        """How many files a command names for each of its seeds, beside the data."""
        return min(self.fractions_per_job, len(self.fractions))

    @property
    def parts(self) -> dict[str, list[str]]:
        """Fractions by the job that trains them, as `batches` has the seeds: by their places in the list."""
        places = {fraction: place for place, fraction in enumerate(self.grid["fraction"])}
        return in_batches("fraction", places, self.fractions_per_job)


Experiment = Annotated[TwoLayerExperiment | ImagesExperiment, Field(discriminator="kind")]


class Config(Strict):
    """A whole configuration file."""

    root_seed: Annotated[int, Field(ge=0), NoSwitch] = 2025
    """Root of all random streams; every configuration of the project has 2025."""
    experiments: Annotated[dict[Name, Experiment], Field(min_length=1)]
    """The experiments by name; a name is a folder of `results/` (`a-z`, `0-9`, `-`, `_`)."""
    figures: Annotated[list[str], Distinct]
    """The names of the figures to draw."""
    claims: bool = True
    """Whether claims are judged; `false` where the runs are those of another configuration, which judges them."""

    @model_validator(mode="after")
    def _figures_and_claims_have_what_they_need(self) -> Self:
        for name in self.figures:
            if name not in FIGURES:
                raise ValueError(f"figures: {name} is unknown; allowed: {', '.join(FIGURES)}")
            missing = [e for e in FIGURES[name].experiments if not matching([e], self.experiments)]
            if missing:
                raise ValueError(f"figures: {name} needs the experiment {missing[0]}, which is not configured")
            for experiment, asked in known(matching(FIGURES[name].experiments, self.experiments)):
                axes = self.experiments[experiment].axes
                if isinstance(asked.swept, str) and asked.swept not in ("method", *axes):  # a run says its method
                    said = f"{', '.join(axes) or 'none'}; the figure {name} compares values of {asked.swept}"
                    raise ValueError(
                        f"experiments.{experiment}.axes: {said}; allowed: {asked.swept} with a list of them"
                    )
                self._check_runs(f"the figure {name}", experiment, asked)
        for experiment, asked in known(self.judged):
            self._check_runs("a claim about this name", experiment, asked)
        return self

    def _check_runs(self, what: str, name: str, asked: Asked) -> None:
        """Raise ValueError if a figure or claim lacks something of an experiment: what runs record, or their grid."""
        one, where = self.experiments[name], f"experiments.{name}"
        kind = TWO_LAYER if asked.kind == THEORY else asked.kind
        if one.kind != kind:
            raise ValueError(f"{where}.kind: {one.kind}; {what} needs runs of kind {kind}")
        if asked.kind == THEORY and one.model.output_layer != "class_sums":
            said = f"{one.model.output_layer}; {what} needs the theory's network, of class_sums"
            raise ValueError(f"{where}.model.output_layer: {said}")
        for key, values in asked.points.items():
            place = "fractions" if key == "fraction" else f"axes.{key}"
            there = one.grid.get(key, [])
            if not there:
                place, there = f"{one.settings.sweepable()[key]}.{key}", [canonical(one.settings.value(key))]
            if missing := [value for value in map(canonical, values) if value not in there]:
                said = f"{', '.join(there)}; {what} needs {', '.join(missing)} among them"
                raise ValueError(f"{where}.{place}: {said}")
        if asked.kind == THEORY:
            self._check_training(what, f"{where}.training", one.training, asked)

    @staticmethod
    def _check_training(what: str, where: str, training: FullBatch, asked: Asked) -> None:
        """Raise ValueError if steps that are a time differ in size, or runs end before they are compared."""
        if asked.timed and (level := training.flat_below) is not None:
            said = f"{level:g} makes steps longer, and {what} takes them for a time"
            raise ValueError(f"{where}.flat_below: {said}; allowed: null, or another name")
        eps, milestones, losses = training.eps, training.milestones, asked.losses
        if losses is None or ((eps or 0) <= min(losses, default=0) and {eps, *milestones} >= {*losses}):
            return
        at = f"at train loss {' and '.join(map(str, losses))}" if losses else "after as many steps"
        allowed = "each as a milestone or as eps, and eps no larger" if losses else "eps null"
        said = f"eps {json.dumps(eps)}, milestones {milestones}; {what} compares runs {at}"
        raise ValueError(f"{where}: {said}; allowed: {allowed}, or another name")

    @model_validator(mode="after")
    def _figures_and_claims_know_what_is_swept(self) -> Self:
        for name, asked in known(self.experiments):
            allowed = asked.swept if isinstance(asked.swept, tuple) else (asked.swept,)
            for key in self.experiments[name].axes:
                if key not in allowed:
                    raise ValueError(
                        f"experiments.{name}.axes: figures and claims would take runs that differ in {key} for one;"
                        f" allowed: {' and '.join(filter(None, allowed)) or 'none'}, or another name"
                    )
        return self

    @model_validator(mode="after")
    def _streams_make_pairs(self) -> Self:
        """Data are drawn in one go, so those of other sizes have nothing in common."""
        for name, one in self.experiments.items():
            if one.streams is None:
                continue
            others = [other for other, that in self.experiments.items() if other != name and that.streams is None]
            said = f"experiments.{name}.streams: {one.streams}"
            if one.streams not in others:
                allowed = ", ".join(others) or "none here"
                raise ValueError(f"{said} is no other experiment with streams of its own; allowed: {allowed}")
            that = self.experiments[one.streams]
            if that.kind != one.kind:
                raise ValueError(f"{said} is of kind {that.kind}; pairs need the same kind, {one.kind}")
            if not one.drawn <= that.drawn:
                scales = " and ".join(one.SCALES)
                raise ValueError(f"{said} has other data; pairs need the same in all keys of data but {scales}")
        return self

    @model_validator(mode="after")
    def _commands_are_short(self) -> Self:
        """Linux takes 131,072 bytes as one argument, and 2 MB as all with their pointers and the environment."""
        for name, one in self.experiments.items():
            if (length := len(json.dumps(one.collected))) > 100_000:
                raise ValueError(
                    f"experiments.{name}.seeds: fractions, axes and seeds make a command of {length:,} characters;"
                    " at most 100,000 are possible, as consecutive seeds always are"
                )
            longest = {key: max(values, key=len) for key, values in one.grid.items()}
            file = len(paths.masks(name, list(one.axes)).format(**longest)) + 10  # the longest path, and its pointer
            seeds = min(one.seeds_per_job, len(one.seed_list))
            if (length := seeds * (one.files_per_seed + 1) * file) > 1_000_000:
                raise ValueError(
                    f"experiments.{name}.seeds_per_job: {seeds} seeds with the files of their runs make a command of"
                    f" {length:,} characters; at most 1,000,000 are possible"
                )
        return self

    def of_kind(self, kind: str) -> dict[str, Grid]:
        """The experiments of one kind, by name."""
        return {name: experiment for name, experiment in self.experiments.items() if experiment.kind == kind}

    @property
    def judged(self) -> list[str]:
        """The experiments that the claims are judged from, as far as they are configured."""
        return [name for name, asked in known(self.experiments) if asked.judged] if self.claims else []

    def run_settings(self, experiment: str) -> RunSettings:
        """What `results/<experiment>/experiment.json` holds."""
        one = self.experiments[experiment]
        kind = RunSettings[type(one.settings)]
        return kind(experiment=experiment, root_seed=self.root_seed, streams=one.streams, settings=one.settings)


def load(tree: dict, files: Iterable[str | Path] = ()) -> Config:
    """Check a configuration and the files that it was read from.

    Raises WinnowError with one line a mistake: file or key, value, what is allowed.
    """
    for file in files:
        text = Path(file).read_text(encoding="utf-8").replace("\t", " ")  # JSON may be indented with tabs
        try:
            _check_written(file, yaml.compose(text, yaml.SafeLoader), "", set())
        except RecursionError:
            raise WinnowError(f"{file}: an anchor stands in what it names") from None
    return validated(Config, tree, "config")


def _check_written(file: str | Path, node: yaml.Node | None, where: str, seen: set[tuple[int, bool]]) -> None:
    """Refuse what a YAML or JSON file says otherwise than it reads: a key that stands twice in one place, of which
    readers keep the last one alone; in experiments, numbers and keys that YAML takes for others, and a section that
    loses what `<<` gave it."""
    # The file may be that of a workflow that uses this one.
    ours = bool(re.search(r"(^|\.)(root_seed|experiments\b)", where))
    if (id(node), ours) in seen:  # an anchor can stand in many places
        return
    seen.add((id(node), ours))
    lines = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else []:
        path, line = f"{where}.{key.value}".lstrip("."), key.start_mark.line + 1
        if key.value in lines:
            raise WinnowError(f"{file}: {path} stands twice, in lines {lines[key.value]} and {line}; keep one")
        if ours and key.tag not in (TEXT, MERGE):
            kind = key.tag.rpartition(":")[2]
            raise WinnowError(f"{file}: {path}: a key must be text, and to YAML its type is {kind}; quote it")
        lines[key.value] = line
        _check_written(file, value, path, seen)
    for i, value in enumerate(node.value if isinstance(node, yaml.SequenceNode) else []):
        _check_written(file, value, f"{where}[{i}]", seen)
    if ours and isinstance(node, yaml.ScalarNode) and node.tag.endswith((":int", ":float")):
        _check_number(file, node, where)
    if isinstance(node, yaml.MappingNode) and re.search(r"(^|\.)experiments\.[^.]+$", where):
        _check_merged(file, node, where)


def _value(node: yaml.ScalarNode) -> object:
    return yaml.SafeLoader("").construct_object(node)


def _check_number(file: str | Path, node: yaml.ScalarNode, where: str) -> None:
    """Raise WinnowError for a number of YAML 1.1, which Snakemake reads, that is another one to a reader."""
    value = _value(node)
    try:
        reads = type(value)(node.value)  # 010 is 8 to YAML and 10 to Python
    except ValueError:  # 1:20, which is 80 to YAML; keys say themselves whether they hold .inf and .nan
        reads = None
    if reads != value and math.isfinite(value):
        allowed = f"{value}" if reads is None else f"{value} or {reads}"
        raise WinnowError(f"{file}: {where} = {node.value}: YAML takes this for {value}; write {allowed}")


def _check_merged(file: str | Path, experiment: yaml.MappingNode, where: str) -> None:
    """`<<` gives whole sections: one that is written anew keeps nothing of it, and what it leaves out has its default.

    Where it says another word than the merged one, as another architecture, it is taken for another thing.
    """
    own = {key.value: value for key, value in experiment.value if key.tag != MERGE}
    for section, merged in _entries(experiment, own=False).items():
        new = own.get(section)
        if section == "axes" or not isinstance(merged, yaml.MappingNode) or not isinstance(new, yaml.MappingNode):
            continue
        before, after = _entries(merged), _entries(new)
        lost = [key for key in before if key not in after]
        if lost and not any(_word(after[key]) != _word(before[key]) for key in before if key in after):
            said = f"what << gave it is lost: {', '.join(lost)}; write them as well, or << their section into it"
            raise WinnowError(f"{file}: {where}.{section}: stands anew in line {new.start_mark.line + 1}, and {said}")


def _entries(mapping: yaml.MappingNode, own: bool = True) -> dict[str, yaml.Node]:
    """The entries of a mapping by key, those that `<<` gives (the first one wins) and its own."""
    found = {}
    for key, value in mapping.value:
        if key.tag == MERGE:
            for given in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                found = _entries(given) | found
    return found | ({key.value: value for key, value in mapping.value if key.tag != MERGE} if own else {})


def _word(node: yaml.Node) -> str | None:
    """The text of a node, if it is a word: 1e-3 is text to YAML, too."""
    return node.value if node.tag == TEXT and re.search("[a-z]{2}", node.value) else None


def schema() -> str:
    """The JSON schema of the configuration, as the text of `workflow/schemas/config.schema.json`."""
    return json.dumps(Config.model_json_schema(), indent=2) + "\n"


def main(arguments: list[str]) -> None:
    """Write the JSON schema that editors check a configuration with."""
    parser = argparse.ArgumentParser(prog="python workflow schema", description=main.__doc__)
    parser.add_argument("out", type=Path, help="the schema, as in workflow/schemas/config.schema.json")
    parser.parse_args(arguments).out.write_text(schema(), encoding="utf-8")
