"""The settings of a run of the two-layer network: which data, which network, which pruning, which training."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ..config.base import LARGEST, NoSwitch, PositiveFloat, PositiveInt, Settings, Strict

# What float32 holds with room for products: a scale of 1e-60 is 0 there, and one of 1e60 infinite.
Scale = Annotated[PositiveFloat, Field(ge=1e-30, le=1e9)]
SMALLEST_GRADIENT = 1e-32  # a million times what float32 holds: sums over examples and neurons must fit, too


class TwoPatchData(Strict):
    """Signal and noise patches: x = (mu e_y, xi) with xi ~ N(0, sigma_n^2 I) (paper, section 2 and Fig. 2, 5)."""

    distribution: Literal["binary", "classes"] = "binary"
    """`binary`: labels +-1 and signal +-mu e_1 (Fig. 2, 5); `classes`: K labels and signal mu e_y (section 2)."""
    dimension: PositiveInt = 400
    """d, the number of coordinates of one patch."""
    classes: Annotated[int, Field(ge=2, le=LARGEST), NoSwitch] = 2
    """K, the number of classes (2 for `binary`)."""
    n_train: PositiveInt = 100
    """Training examples per seed."""
    n_test: PositiveInt = 2000
    """Test examples per seed (the paper used 100, which made its error bars)."""
    signal_norm: Scale = 1.0
    """mu, the length of the signal patch."""
    signal: Literal["coordinate", "dense"] = "coordinate"
    """`coordinate`: mu e_y (section 2); `dense`: as long, but spread over all coordinates (`classes` only)."""
    sigma_n: Annotated[float, Field(ge=0, le=1e9), NoSwitch] = 1.0
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
        if self.signal == "dense" and (self.classes > 60 or self.dimension % 2**self.classes):
            raise ValueError(f"dimension: a dense signal needs a multiple of 2^classes; classes = {self.classes}")
        return self

    @property
    def examples(self) -> tuple[int, int]:
        """How many examples a seed has, train and test."""
        return self.n_train, self.n_test

    @property
    def signal_coordinates(self) -> int:
        """How many leading coordinates carry signal: 1 (`binary`) or K (`classes`)."""
        return 1 if self.distribution == "binary" else self.classes


class TwoLayerNetwork(Strict):
    """F_j(x) = sum_r a_jr sum_patches max(0, <w_r, patch>)^q, without biases: a filter of d weights sees both patches
    (paper, section 2)."""

    width: PositiveInt = 150
    """m, hidden neurons (per class when `output_layer` is `class_sums`)."""
    power: Annotated[int, Field(ge=1, le=8), NoSwitch] = 1
    """q in max(0, z)^q; 1 is ReLU, the theory has 3."""
    init_std: Scale = 0.01
    """sigma_0, standard deviation of the initial first-layer weights."""
    output_layer: Literal["fixed", "trained", "class_sums"] = "fixed"
    """`fixed` or `trained` random output weights, or `class_sums`: each class adds up its own m neurons (theory)."""
    output_init: Literal["normal", "uniform", "sign"] = "normal"
    """Law of the output weights: `normal` N(0, scale^2), `uniform` U(-scale, scale) or `sign` +-scale (ignored for
    `class_sums`)."""
    output_scale: Scale | None = None
    """Scale of the output weights; null means 1/sqrt(m)."""

    @property
    def event_threshold(self) -> float:
        """(2m)^(-2/q): Lemma 8's event E is that no neuron's <w, xi> of a fresh example reaches it."""
        return (2 * self.width) ** (-2 / self.power)


class Pruning(Strict):
    """Which weights of the first layer, or which neurons, are removed before training starts."""

    method: Literal["bernoulli", "exact"] = "bernoulli"
    """`bernoulli`: every weight is kept with probability 1 - fraction (the theory); `exact`: exactly that share."""
    target: Literal["all", "signal", "noise", "neurons"] = "all"
    """What is pruned: weights on `all` coordinates, only those on coordinates that carry the `signal`, only those on
    the others (`noise`), or whole hidden `neurons`; a fraction is then a share of these. `signal` and `noise` need
    `bernoulli`."""

    @property
    def by_coordinate(self) -> bool:
        """Whether only weights on some of the coordinates are pruned."""
        return self.target in ("signal", "noise")

    @model_validator(mode="after")
    def _target_fits(self) -> Self:
        if self.by_coordinate and self.method != "bernoulli":
            raise ValueError("target: must be all or neurons unless method is bernoulli")
        return self


class FullBatch(Strict):
    """Full-batch gradient descent."""

    loss: Literal["logistic", "cross_entropy"] = "logistic"
    """`logistic` of one output for labels +-1, `cross_entropy` of an output per class (two for labels +-1); in nats."""
    reduction: Literal["sum", "mean"] = "mean"
    """Whether the gradient is that of the `sum` or of the `mean` over examples (reported losses are always means)."""
    learning_rate: PositiveFloat = 0.001
    """eta, the step size."""
    flat_below: PositiveFloat | None = None
    """Of `class_sums` with powers q of 3 and 4: a class takes longer steps as long as no <w_r, x> of its own neurons
    and examples reaches this, and null means never. They are `learning_rate` (`flat_below` / the largest
    <w_r, x>)^(q - 2). Outputs are flat there and classes do not feel each other, so that z' = rate z^(q - 1) of a class
    keeps its course and takes less time."""
    max_steps: PositiveInt = 1000
    """Steps after which training stops."""
    eps: PositiveFloat | None = None
    """Train loss at which training stops earlier; null: never."""
    milestones: list[PositiveFloat] = []
    """Further train losses, at the first step of each of which the run is evaluated too."""
    evaluations: Annotated[int, Field(ge=2, le=LARGEST), NoSwitch] = 20
    """How many log-spaced steps are evaluated on the test set, the first and the last included."""


class TwoLayerSettings(Settings):
    """All that a run of the two-layer network depends on, but its fraction and seed."""

    SCALES: ClassVar[tuple[str, ...]] = ("sigma_n", "signal_norm")
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
        if self.training.loss == "logistic" and self.data.distribution != "binary":
            raise ValueError("training.loss: must be cross_entropy unless distribution is binary")
        if (self.model.output_layer == "class_sums") and self.data.distribution == "binary":
            raise ValueError("model.output_layer: class_sums needs data.distribution classes")
        if self.training.flat_below:
            # At q = 2 growth is exponential: a small start costs few steps. Gradients are of the order init_std^(q-1):
            # from 5 on those of a start that needs longer steps leave float32.
            if self.model.output_layer != "class_sums" or self.model.power not in (3, 4):
                raise ValueError("training.flat_below: needs model.output_layer class_sums and power 3 or 4")
            if self.model.init_std ** (self.model.power - 1) < SMALLEST_GRADIENT:
                raise ValueError(
                    f"training.flat_below: needs model.init_std^(power - 1) of at least {SMALLEST_GRADIENT:g}, which"
                    " float32 holds"
                )
        if self.pruning.by_coordinate and self.data.signal != "coordinate":
            raise ValueError("pruning.target: must be all or neurons unless data.signal is coordinate")
        return self

    @property
    def measured(self) -> str:
        """What decides which columns the tables of its runs have (docs/COLUMNS.md)."""
        if self.model.output_layer == "class_sums":
            return "output_layer class_sums"
        return "two classes" if self.training.loss == "logistic" or self.data.classes == 2 else "more classes than two"
