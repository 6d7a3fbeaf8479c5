"""Run the golden studies of this working tree, and write what is expected of them from now on: `make golden`.

Tables go beside their study; selections.json says, by cell, what stands for the set of records that it kept.
"""

import argparse
import json
import shutil
import subprocess
from pathlib import Path

from compare import golden_studies, selection_hashes, snakemake

from grads.study.grid import cells
from grads.study.load import read_study


def main() -> None:
    """Run all studies, then write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", default="all", help="jobs at once (default: %(default)s cores)")
    options = parser.parse_args()
    studies = golden_studies(Path()).values()
    for study in studies:
        subprocess.run(snakemake(study, options.jobs), check=True)
    for study in studies:
        for target in study.targets:
            shutil.copy(target, study.folder)
        # Arms of yesterday may lie there still.
        asked = {str(cell) for cell in cells(read_study(study.config))}
        kept = {cell: digest for cell, digest in selection_hashes(study.results).items() if cell in asked}
        (study.folder / "selections.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
