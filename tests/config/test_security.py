"""Hostile configurations do not leave results/ and run no command; no code reads pickles, evaluates text or listens."""

import ast
import copy
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from winnow.config.load import load
from winnow.errors import WinnowError

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = [
    "a b",
    "a'b",
    'a"b',
    "a; rm -rf .",
    "a && touch owned",
    "a | touch owned",
    "a > owned",
    "a\ntouch owned",
    "a\r\ntouch owned",
    "a\0b",
    "$(touch owned)",
    "`touch owned`",
    "${HOME}",
    "~root",
    "../owned",
    "a/../../owned",
    "..",
    "/tmp/owned",
    "C:\\owned",
    "*",
    "{wildcard}",
    "{input.settings}",
    "-rf",
    "--out",
    "é",
    "\u202eowned",
    "\uff0e\uff0e\u2215owned",
    "",
]
PLACES = {
    "name of an experiment": lambda tree, value: tree["experiments"].update({value: tree["experiments"]["fig5"]}),
    "figure": lambda tree, value: tree["figures"].append(value),
    "key": lambda tree, value: tree.update({value: 1}),
    "fraction": lambda tree, value: tree["experiments"]["fig5"].update(fractions=[value]),
    "seed": lambda tree, value: tree["experiments"]["fig5"].update(seeds=[value]),
    "swept key": lambda tree, value: tree["experiments"]["fig5"].update(axes={value: [1]}),
    "swept value": lambda tree, value: tree["experiments"]["fig5"].update(axes={"method": [value]}),
    "swept number": lambda tree, value: tree["experiments"]["fig5"].update(axes={"sigma_n": [value]}),
    "method": lambda tree, value: tree["experiments"]["fig5"].update(pruning={"method": value}),
    "folder of images": lambda tree, value: tree["experiments"].update(a=IMAGES | {"data": {"source": value}}),
    "number": lambda tree, value: tree["experiments"]["fig5"].update(data={"n_train": value}),
}
IMAGES = {"kind": "images", "fractions": [0], "seeds": 1}
FIG5 = {"kind": "two_layer", "fractions": [0], "seeds": 1}
DANGEROUS_MODULES = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "socket", "socketserver", "http"}
DANGEROUS_CALLS = {"eval", "exec", "torch.load", "torch.save", "yaml.load", "os.system", "os.popen", "pd.read_pickle"}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_a_hostile_value_is_refused_in_one_line(place, value):
    tree = copy.deepcopy({"experiments": {"fig5": FIG5}, "figures": []})
    PLACES[place](tree, value)
    with pytest.raises(WinnowError) as error:
        load(tree)
    assert len(str(error.value).splitlines()) == 1, error.value


def test_a_folder_with_a_hostile_name_runs_nothing(tmp_path, library):
    """The one setting that holds free text, the folder of IDX files, goes through every shell command as one word."""
    folder = "x y'\"; touch owned; $(touch owned) `touch owned` > owned ../owned"
    config = {"experiments": {"hostile": IMAGES | {"data": {"source": f"idx:{folder}"}}}, "figures": []}
    place = tmp_path / "work"
    place.mkdir()
    (place / "hostile.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "--snakefile", f"{ROOT}/Snakefile", "--configfile", "hostile.yaml"]
    command += ["--cores", "1", "results/hostile/data/seed-0.npz"]
    run = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300)
    assert run.returncode == 1
    assert "error: " in run.stderr
    assert "Traceback" not in run.stderr
    assert folder in (place / "results/hostile/experiment.json").read_text().replace('\\"', '"')
    assert {path.name for path in place.iterdir()} == {"hostile.yaml", "results", ".snakemake"}
    assert {path.name for path in tmp_path.iterdir()} == {"work"}


@pytest.mark.parametrize("file", sorted((ROOT / "workflow").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_code_unpickles_evaluates_text_or_listens(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            assert not {name.split(".")[0] for name in names} & DANGEROUS_MODULES, ast.unparse(node)
        if isinstance(node, ast.Call):
            call = ast.unparse(node.func)
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert call not in DANGEROUS_CALLS, ast.unparse(node)
            assert keywords.get("shell", "False") == "False", ast.unparse(node)
            assert call != "np.load" or keywords.get("allow_pickle") == "False", ast.unparse(node)


def test_every_value_in_a_shell_command_is_quoted():
    for file in (ROOT / "workflow/rules").glob("*.smk"):
        commands = re.findall(r'^\s*"(?:python| )[^\n]*"$', file.read_text(), re.MULTILINE)
        assert commands
        for value in re.findall(r"{[^{}]+}", "".join(commands)):
            assert value.endswith(":q}"), f"{file.name}: {value}"
