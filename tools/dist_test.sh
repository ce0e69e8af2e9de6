#!/usr/bin/env bash
# Test with several processes, one for each GPU, or on the CPU (gloo) where there is no GPU.
#
#   bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]
#
# GPUS is the number of processes on this node. For several nodes, run it on each of them with
# NNODES, NODE_RANK and MASTER_ADDR (and PORT) in the environment.
set -euo pipefail

if [ "$#" -lt 3 ]; then
    echo "usage: bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]" >&2
    exit 2
fi

CONFIG="$1"
CHECKPOINT="$2"
GPUS="$3"
NNODES="${NNODES:-1}"
NODE_RANK="${NODE_RANK:-0}"
PORT="${PORT:-29500}"
MASTER_ADDR="${MASTER_ADDR:-127.0.0.1}"
PYTHON="${PYTHON:-python}"

ROOT="$(cd "$(dirname "$0")/.." && pwd)"
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"

if [ "$NODE_RANK" = 0 ]; then  # the node on which the processes meet
    "$PYTHON" "$ROOT/tools/free_port.py" "$PORT" "$0" "$@"
fi

# torchrun, started as a module so that it is that of the same interpreter.
exec "$PYTHON" -m torch.distributed.run \
    --nnodes="$NNODES" \
    --node_rank="$NODE_RANK" \
    --master_addr="$MASTER_ADDR" \
    --master_port="$PORT" \
    --nproc_per_node="$GPUS" \
    "$ROOT/tools/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
