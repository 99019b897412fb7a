#!/usr/bin/env python3
"""Fuzzes targets and keeps what they learnt.

    python3 fuzz/fuzz.py SECONDS [CORPUS...]

CORPUS is a target of fuzz/fuzz_targets/, or TARGET.PARSER for one of its parsers; all where none is named. As many
at a time as there are cores are fuzzed for so many seconds each, from their seeds (tests/it/fuzzing.rs) and from what
was kept before. Then the smallest inputs that together reach as much of the code are packed into
fuzz/kept/CORPUS.tar.zst, which an ordinary test replays. Needs cargo-fuzz, a nightly toolchain and zstd. Exit code 1
where anything crashed, hung for ten seconds, or took 256 MiB in one allocation or 1 GiB in all: the input lies in
fuzz/artifacts/.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FUZZ = Path(__file__).resolve().parent
WORK = FUZZ / "target/corpora"
KEPT = FUZZ / "kept"
LIMITS = ["-timeout=10", "-malloc_limit_mb=256", "-rss_limit_mb=1024", "-print_final_stats=1"]
# Naming each function that is new takes most of the first minute.
LIMITS += ["-print_funcs=0"]
# What is kept of a corpus: so many inputs, each of so many bytes at most. The test replays them in no time, and
# the repository stays small.
MOST_INPUTS, MOST_BYTES = 200, 8192


def build():
    """The targets, and the seeds."""
    subprocess.run(["cargo", "+nightly", "fuzz", "build"], cwd=FUZZ.parent, check=True)
    seeds = WORK / "seeds"
    shutil.rmtree(seeds, ignore_errors=True)
    command = "cargo test --locked --quiet --test it seeds_are_written".split()
    subprocess.run(command, cwd=FUZZ.parent, check=True, env={**os.environ, "PORTCULLIS_FUZZ_SEEDS": str(seeds)})
    return seeds


def binary(corpus):
    [found] = FUZZ.glob(f"target/*/release/{corpus.split('.')[0]}")
    return str(found)


def fuzz(corpus, seeds, seconds):
    """Fuzzes one corpus, and prints how far that came; whether nothing was found."""
    folder, artifacts = WORK / corpus, FUZZ / "artifacts" / corpus
    for path in (folder, artifacts):
        path.mkdir(parents=True, exist_ok=True)
    kept = KEPT / f"{corpus}.tar.zst"
    if kept.exists():
        unpacked = subprocess.run(["zstd", "-dcq", kept], check=True, stdout=subprocess.PIPE).stdout
        with tarfile.open(fileobj=io.BytesIO(unpacked)) as archive:
            archive.extractall(folder, filter="data")
    command = [binary(corpus), *LIMITS, f"-max_total_time={seconds}", f"-artifact_prefix={artifacts}/"]
    command += [folder, seeds / corpus]
    run = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
    runs = re.search(r"number_of_executed_units:\s*(\d+)", run.stderr)
    peak = re.search(r"peak_rss_mb:\s*(\d+)", run.stderr)
    covered = re.findall(r"cov: (\d+)", run.stderr)
    print(
        f"{corpus:24} {int(runs[1]) if runs else 0:>10} runs  {covered[-1] if covered else 0:>6} edges"
        f"  {peak[1] if peak else 0:>5} MiB  {'sound' if run.returncode == 0 else 'FAILED'}",
        flush=True,
    )
    if run.returncode != 0:
        print(run.stderr[-3000:])
    return run.returncode == 0


def keep(corpus, seeds):
    """Packs the smallest inputs that reach as much, the same bytes for the same inputs."""
    least = WORK / "least" / corpus
    shutil.rmtree(least, ignore_errors=True)
    least.mkdir(parents=True)
    command = [binary(corpus), "-merge=1", *LIMITS[:3], least, WORK / corpus, seeds / corpus]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    inputs = sorted((path.stat().st_size, path.name, path) for path in least.iterdir())
    # Spread over all sizes: the small ones alone would be those that are refused at once.
    inputs = [path for size, _, path in inputs if size <= MOST_BYTES]
    step = max(1, -(-len(inputs) // MOST_INPUTS))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in inputs[::step]:
            entry = tarfile.TarInfo(path.name)
            entry.size = path.stat().st_size
            archive.addfile(entry, io.BytesIO(path.read_bytes()))
    KEPT.mkdir(exist_ok=True)
    target = KEPT / f"{corpus}.tar.zst"
    subprocess.run(["zstd", "-19", "-qf", "-o", target], input=packed.getvalue(), check=True)


def learn(corpus, seeds, seconds):
    sound = fuzz(corpus, seeds, seconds)
    keep(corpus, seeds)
    return sound


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    seconds, wanted = int(sys.argv[1]), sys.argv[2:]
    seeds = build()
    corpora = sorted(path.name for path in seeds.iterdir())
    chosen = [corpus for corpus in corpora if not wanted or corpus in wanted or corpus.split(".")[0] in wanted]
    if not chosen:
        sys.exit(f"no such corpus: there are {', '.join(corpora)}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sound = all(list(pool.map(lambda corpus: learn(corpus, seeds, seconds), chosen)))
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
