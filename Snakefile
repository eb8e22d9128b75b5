# Winnow: every figure from one DAG. This file is the table of contents; the stages are in workflow/rules/.
import json
import os
import sys

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.27")
sys.path.insert(0, os.path.join(workflow.basedir, "workflow"))

from winnow import paths
from winnow.config import load
from winnow.errors import WinnowError
from winnow.figures import FIGURES

# A --configfile stands alone; without one, the default run.
if not workflow.overwrite_configfiles:

    configfile: os.path.join(workflow.basedir, "config.yaml")


try:
    CONFIG = load(config)
except WinnowError as error:
    raise WorkflowError(str(error))

paths.prefer_this_python()


include: "workflow/rules/core.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/collect.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/claims.smk"


rule all:
    """Everything the configuration asks for."""
    default_target: True
    input:
        [paths.figure(name, "svg") for name in CONFIG.figures],
        [paths.claims("json")] if CONFIG.judged else [],
