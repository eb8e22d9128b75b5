# Winnow: every figure from one DAG. This file is the table of contents; the stages are in workflow/rules/.
import itertools
import json
import os
import sys

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.27")
HERE = workflow.current_basedir.get_path_or_uri(secret_free=True)  # not the folder of a workflow that uses this one
sys.path.insert(0, os.path.join(HERE, "workflow"))

from winnow import paths
from winnow.catalogue import FIGURES, matching
from winnow.config.load import load
from winnow.errors import WinnowError
from winnow.report import draw_stages
from winnow.steps import STEPS
from winnow.terminal import one_line_a_job

# A --configfile, or the configuration of a workflow that uses this one, stands alone; without one, the default run.
if not workflow.overwrite_configfiles and "experiments" not in config:

    configfile: os.path.join(HERE, "config.yaml")


try:
    CONFIG = load(config, workflow.configfiles)
except WinnowError as error:
    raise WorkflowError(str(error))


report: "workflow/report/workflow.rst"


draw_stages()
paths.prefer_this_python()
SCORED = [name for name in CONFIG.figures if FIGURES[name].published]
# The tables that the report shows first.
PAGES = {"scorecard": "every published point against ours"} if SCORED else {}
PAGES |= {"claims": "verdicts on the paper's claims"} if CONFIG.judged else {}


rule all:
    """Everything the configuration asks for."""
    input:
        [paths.table(name, "summary") for name in CONFIG.experiments],
        [paths.figure(name, "svg") for name in CONFIG.figures],
        [paths.page(name) for name in PAGES],


include: "workflow/rules/core.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/collect.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/judge.smk"
include: "workflow/rules/pages.smk"


onstart:
    one_line_a_job(logger, workflow.output_settings.verbose)
    # Snakemake 9.27 sets a timer at every pass over the jobs that are left, for --max-jobs-per-timespan. Timers add passes
    # that set timers: a tenth of a core after 300 jobs, and a run ends with the last of them. Jobs that run here need none.
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


onerror:
    print("Finished jobs are kept: run the same command again to go on (after a kill, once with --unlock before).")
