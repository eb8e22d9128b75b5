import pyarrow.parquet as pq
import pytest

from winnow.config.base import RunSettings
from winnow.errors import WinnowError
from winnow.files import write_table
from winnow.images.dense import main
from winnow.images.settings import ImageSettings
from winnow.jobs import run_table


def write_run(path, method: str, fraction: float = 0.0, seed: int = 3) -> str:
    """What the step of training writes of two evaluations."""
    settings = RunSettings(experiment="x", root_seed=0, settings=ImageSettings(kind="images"))
    point = {"method": method, "sigma": "0.5"}
    result = {"step": [0, 10], "train_loss": [2.3, 0.25], "status": "max_steps", "density": 1.0}
    write_table(path, run_table(settings, point, fraction, seed, result))
    return str(path)


def test_a_copy_is_the_file_that_training_by_that_method_would_have_written(tmp_path):
    runs = [write_run(tmp_path / f"imp-{seed}.parquet", "imp", seed=seed) for seed in (3, 4)]
    out = [str(tmp_path / f"{method}-{seed}.parquet") for method in ("erk", "snip") for seed in (3, 4)]
    main(["--runs", *runs, "--methods", "erk", "snip", "--out", *out])
    for seed in (3, 4):
        for method in ("erk", "snip"):
            trained = write_run(tmp_path / "trained.parquet", method, seed=seed)
            copy = tmp_path / f"{method}-{seed}.parquet"
            assert pq.read_table(copy, partitioning=None).equals(pq.read_table(trained, partitioning=None))
            assert copy.read_bytes() == (tmp_path / "trained.parquet").read_bytes()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: write_run(path, "imp", fraction=0.5), "imp.parquet: is no run of a dense network"),
        (lambda path: path.write_bytes(b"PAR1"), "imp.parquet: cannot be read as a table .* delete it and run again"),
    ],
)
def test_what_is_no_dense_run_is_refused_and_nothing_written(tmp_path, make, message):
    make(tmp_path / "imp.parquet")
    with pytest.raises(WinnowError, match=message):
        main(["--runs", str(tmp_path / "imp.parquet"), "--methods", "erk", "--out", str(tmp_path / "erk.parquet")])
    assert not (tmp_path / "erk.parquet").exists()


def test_the_files_must_be_as_many_as_methods_and_runs(tmp_path):
    with pytest.raises(WinnowError, match="--out: 1 files; must be one for each of 1 runs and 2 methods"):
        main(["--runs", "a", "--methods", "erk", "snip", "--out", "b"])
