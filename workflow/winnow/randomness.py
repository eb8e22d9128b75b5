"""Random streams: one for every (experiment, seed, purpose), and the numbers made from it.

The same seed gives the same data, initial weights and mask uniforms at every pruned fraction, so that masks are
nested and fractions are compared in pairs.

numpy promises the raw numbers of its bit generators, but not what its distributions make of them: those change with the
C library and between versions. So all numbers are made here, from PCG64's raw 64 bits and by what has one right result
everywhere: integer operations, and +, -, *, / and sqrt, which IEEE 754 rounds exactly.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

STREAMS = ("data", "init", "mask", "order", "noise", "augmentation")
DRAWN = []  # the streams of this process as root/experiment/seed/stream: audit/recorder.py records them
BLOCK = 2**14  # numbers that are made at once: few enough for a processor's cache, many enough for numpy

LN2_HIGH = float.fromhex("0x1.62e42fefa3800p-1")  # its last 11 bits are 0, so that a product with an exponent is exact
LN2_LOW = float.fromhex("0x1.ef35793c76730p-45")

# Numerator and denominator of Wichura's PPND16, highest power first: in the centre (|q| <= 0.425), and in the tail up
# to and beyond r = 5. Algorithm AS 241, Applied Statistics 37 (1988).
CENTRE = (
    (2.5090809287301226727e3, 5.2264952788528545610e3),
    (3.3430575583588128105e4, 2.8729085735721942674e4),
    (6.7265770927008700853e4, 3.9307895800092710610e4),
    (4.5921953931549871457e4, 2.1213794301586595867e4),
    (1.3731693765509461125e4, 5.3941960214247511077e3),
    (1.9715909503065514427e3, 6.8718700749205790830e2),
    (1.3314166789178437745e2, 4.2313330701600911252e1),
    (3.3871328727963666080e0, 1.0),
)
TAIL = (
    (7.74545014278341407640e-4, 1.05075007164441684324e-9),
    (2.27238449892691845833e-2, 5.47593808499534494600e-4),
    (2.41780725177450611770e-1, 1.51986665636164571966e-2),
    (1.27045825245236838258e0, 1.48103976427480074590e-1),
    (3.64784832476320460504e0, 6.89767334985100004550e-1),
    (5.76949722146069140550e0, 1.67638483018380384940e0),
    (4.63033784615654529590e0, 2.05319162663775882187e0),
    (1.42343711074968357734e0, 1.0),
)
FAR_TAIL = (
    (2.01033439929228813265e-7, 2.04426310338993978564e-15),
    (2.71155556874348757815e-5, 1.42151175831644588870e-7),
    (1.24266094738807843860e-3, 1.84631831751005468180e-5),
    (2.65321895265761230930e-2, 7.86869131145613259100e-4),
    (2.96560571828504891230e-1, 1.48753612908506148525e-2),
    (1.78482653991729133580e0, 1.36929880922735805310e-1),
    (5.46378491116411436990e0, 5.99832206555887937690e-1),
    (6.65790464350110377720e0, 1.0),
)


class Stream:
    """A stream of random numbers. Every uniform, normal and sign takes one raw number, wanted or not."""

    def __init__(self, entropy: int | np.random.SeedSequence):
        self._bits = np.random.PCG64(entropy)

    def uniforms(self, *shape: int) -> np.ndarray:
        """Uniform over the multiples of 2^-24 in [0, 1), float32."""
        return self._made(uniform, shape)

    def normals(self, *shape: int) -> np.ndarray:
        """Standard normal, float32 (the nearest to a float64)."""
        return self._made(normal, shape)

    def normals_at(self, rows: Sequence[np.ndarray], columns: int) -> np.ndarray:
        """What `normals(len(rows), columns)` has at some columns of each row, one row after the other, float32.

        The others cost their raw number only. At most BLOCK numbers, or one row, are drawn at once.
        """
        out, start, together = np.empty(sum(map(len, rows)), np.float32), 0, max(1, BLOCK // columns)
        for first in range(0, len(rows), together):
            raw = [self._bits.random_raw(columns)[wanted] for wanted in rows[first : first + together]]
            for block in _blocks(np.concatenate(raw)):
                out[start : start + len(block)] = normal(block)
                start += len(block)
        return out

    def signs(self, *shape: int) -> np.ndarray:
        """-1 or 1, float32."""
        return self._made(sign, shape)

    def integers(self, high: int, n: int) -> np.ndarray:
        """Uniform over 0..high - 1, int64 [n]; raw numbers that would make some of them likelier are drawn again."""
        raw, most = self._bits.random_raw(n), 2**64 - 1 - 2**64 % high
        while len(again := np.flatnonzero(raw > most)):
            raw[again] = self._bits.random_raw(len(again))
        return (raw % high).astype(np.int64)

    def permutation(self, n: int) -> np.ndarray:
        """0..n - 1 in random order, int64 [n]: as n raw numbers are in order.

        Equal ones, which there are with a probability below n^2 / 2^65 (1e-10 for 60,000), stay in their order.
        """
        return self._bits.random_raw(n).argsort(kind="stable")

    def _made(self, law: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        out = np.empty(shape, np.float32)
        for block in _blocks(out.reshape(-1)):
            block[:] = law(self._bits.random_raw(len(block)))
        return out


def generator(root_seed: int, experiment: str, seed: int, stream: str) -> Stream:
    """The stream of a purpose; streams never overlap, whatever the names and seeds.

    Raises ValueError for a stream that is not one of STREAMS.
    """
    if stream not in STREAMS:
        raise ValueError(f"stream {stream!r} is not one of {', '.join(STREAMS)}")
    DRAWN.append(f"{root_seed}/{experiment}/{seed}/{stream}")
    name = int.from_bytes(hashlib.sha256(experiment.encode()).digest()[:8], "big")
    key = (name, seed, STREAMS.index(stream))
    return Stream(np.random.SeedSequence(root_seed, spawn_key=key))


def uniform(raw: np.ndarray) -> np.ndarray:
    """The highest 24 bits of raw numbers as a share of 2^24, float32."""
    return (raw >> 40).astype(np.int32) * np.float32(2**-24)


def sign(raw: np.ndarray) -> np.ndarray:
    """The highest bit of raw numbers: -1 or 1, int64."""
    return raw.view(np.int64) >> 63 | 1


def normal(raw: np.ndarray) -> np.ndarray:
    """The normal quantiles, float64, of the middles of the 2^52 equal parts of (0, 1) that raw numbers choose."""
    q = (raw.view(np.int64) >> 12) + 0.5  # the highest 52 bits; exact, and so is all that follows up to r
    q *= 2.0**-52  # the probability, less 1/2
    r = np.abs(q)
    tail = np.flatnonzero(r > 0.425)
    r = np.sqrt(-log(0.5 - r[tail]))
    beyond = np.flatnonzero(r > 5)
    z = _ratio(TAIL, r - 1.6)
    z[beyond] = _ratio(FAR_TAIL, r[beyond] - 5)
    z = np.copysign(z, q[tail])
    centre = _ratio(CENTRE, 0.180625 - q * q)
    centre *= q
    centre[tail] = z
    return centre


def log(x: np.ndarray) -> np.ndarray:
    """The natural logarithm of positive normal float64, to two units in the last place."""
    mantissa, exponent = np.frexp(x)  # exact
    small = mantissa < np.sqrt(0.5)
    mantissa[small] *= 2
    exponent -= small
    s = (mantissa - 1) / (mantissa + 1)
    square = s * s
    series = np.zeros_like(s)  # log m = 2 artanh s = 2 s (1 + s^2 / 3 + s^4 / 5 + ...)
    for k in range(23, 1, -2):
        series += 1 / k
        series *= square
    s *= 2
    return exponent * LN2_HIGH + (s + (s * series + exponent * LN2_LOW))


def _ratio(coefficients: tuple[tuple[float, float], ...], x: np.ndarray) -> np.ndarray:
    """The quotient of two polynomials, given by their coefficients."""
    over, under = (_polynomial(column, x) for column in zip(*coefficients, strict=True))
    over /= under
    return over


def _polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value *= x
        value += coefficient
    return value


def _blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    return (array[start : start + BLOCK] for start in range(0, len(array), BLOCK))
