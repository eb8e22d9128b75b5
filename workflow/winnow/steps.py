"""The steps of the workflow: which module `python workflow <step> …` runs; dispatcher, rules and tests read it here."""

# Names stand in records and golden values: a module may move, its step keeps its name.
STEPS = {
    "core": "core.build",
    "settings": "config.settings",
    "data": "two_layer.data",
    "train": "two_layer.training",
    "images": "images.data",
    "train-images": "images.training",
    "dense-run": "images.dense",
    "collect": "collect",
    "figure": "figures.draw",
    "claims": "judge.claims",
    "scorecard": "judge.scorecard",
    "page": "page",
    "audit": "audit.cli",
    "schema": "config.load",
    "columns": "columns",
    "keys": "config.keys",
}
