#!/usr/bin/env bash
# Run by Snakemake in the environment that it made of grads.yaml, from the folder in which it was started: the root of
# the repository. The package itself comes last, since paths inside grads.yaml would be sought in .snakemake/conda.
set -euo pipefail
python -m pip install --no-deps --editable .
