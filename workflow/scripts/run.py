"""Runs the job of any rule; `grads.graph` knows which one that is."""

from grads.graph.rule import run_rule

run_rule(snakemake)
