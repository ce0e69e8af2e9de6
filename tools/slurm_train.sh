#!/usr/bin/env bash
# Train on a Slurm cluster.
#
#   GPUS=8 GPUS_PER_NODE=4 bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of tools/train.py]
#
# GPUS is the number of processes in all. More options for srun go into SRUN_ARGS; with
# SRUN_ARGS=--signal=TERM@120 Slurm sends SIGTERM two minutes before the time limit, and the run is saved.
set -euo pipefail

if [ "$#" -lt 3 ]; then
    echo "usage: bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of tools/train.py]" >&2
    exit 2
fi

PARTITION="$1"
JOB_NAME="$2"
CONFIG="$3"
GPUS="${GPUS:-1}"
GPUS_PER_NODE="${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}"
CPUS_PER_TASK="${CPUS_PER_TASK:-5}"
PYTHON="${PYTHON:-python}"
read -r -a SRUN_OPTIONS <<< "${SRUN_ARGS:-}"

ROOT="$(cd "$(dirname "$0")/.." && pwd)"
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"

exec srun -p "$PARTITION" \
    --job-name="$JOB_NAME" \
    --gres=gpu:"$GPUS_PER_NODE" \
    --ntasks="$GPUS" \
    --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="$CPUS_PER_TASK" \
    --kill-on-bad-exit=1 \
    ${SRUN_OPTIONS[@]+"${SRUN_OPTIONS[@]}"} \
    "$PYTHON" -u "$ROOT/tools/train.py" "$CONFIG" --launcher slurm "${@:4}"
