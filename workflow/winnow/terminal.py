"""One line a job on the terminal, while Snakemake's own log file keeps the full text.

None of Snakemake 9.27's options does that: what `--quiet` drops is dropped from the log file as well, `rules` drops the
log of a failed job, and a rule's `message` replaces the full text in both.
"""

import logging
import time

from snakemake.logging import DefaultFormatter, get_event
from snakemake_interface_logger_plugins.common import LogEvent

NAME = "DefaultStreamHandler"  # there is none where a plugin writes to the terminal, which is left alone


def one_line_a_job(logger: logging.Logger, verbose: bool) -> None:
    """Shorten what a run says on the terminal from now on, unless all of it was asked for."""
    for handler in logger.handlers:
        if handler.name == NAME and not verbose:
            short = OneLine(handler.formatter)
            handler.addFilter(short.keeps)
            handler.setFormatter(short)


class OneLine(DefaultFormatter):
    """Says a job when it is done: when, how many of how many, rule and wildcards. A failed one keeps its log."""

    def __init__(self, plain: DefaultFormatter):
        super().__init__(plain.quiet, plain.show_failed_logs)
        self.jobs: dict[int, str] = {}
        self.done: list[str] = []

    def keeps(self, record: logging.LogRecord) -> bool:
        """Whether a record is said; what is said later is noted."""
        event = get_event(record)
        if event == LogEvent.JOB_INFO:
            name, more = record.rule_name, []
            for key, value in record.wildcards.items():
                if f"{{{key}}}" in name:  # seeds_per_job 1: the batch of a rule's name is the wildcard itself
                    name = name.replace(f"{{{key}}}", value)
                else:
                    more.append(f"{key} {value}")
            self.jobs[record.jobid] = ", ".join([name, *more])
        elif event == LogEvent.JOB_FINISHED:
            self.done.append(self.jobs.pop(record.job_id, "a job"))
        selecting = event is None and record.getMessage() == "Select jobs to execute..."
        return not selecting and event not in (LogEvent.JOB_INFO, LogEvent.JOB_FINISHED, LogEvent.JOB_STARTED)

    def format_progress(self, msg: dict) -> str:
        """A line for every job that is done since the last time: those of a group are done together."""
        done, self.done = self.done, []
        now, first = time.strftime("%H:%M:%S"), msg["done"] - len(done) + 1
        counts = [super(OneLine, self).format_progress(msg | {"done": n}) for n in range(first, msg["done"] + 1)]
        return "\n".join(f"{now} {count}: {what}" for count, what in zip(counts, done, strict=True))

    def _format_job_error(self, msg: dict) -> list[str]:
        """Without the files, of which there may be hundreds: its command names those that matter."""
        return super()._format_job_error(msg | {"input": [], "output": []})
