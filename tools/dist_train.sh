#!/usr/bin/env bash
# Train with several processes, one for each GPU, or on the CPU (gloo) where there is no GPU.
#
#   bash tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
#
# GPUS is the number of processes on this node. For several nodes, run it on each of them with
# NNODES, NODE_RANK and MASTER_ADDR (and PORT) in the environment. MAX_RESTARTS=3 lets torchrun start
# all processes again when one has failed, up to three times; they go on from the latest checkpoint.
set -euo pipefail

if [ "$#" -lt 2 ]; then
    echo "usage: bash tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]" >&2
    exit 2
fi

CONFIG="$1"
GPUS="$2"
NNODES="${NNODES:-1}"
NODE_RANK="${NODE_RANK:-0}"
PORT="${PORT:-29500}"
MASTER_ADDR="${MASTER_ADDR:-127.0.0.1}"
MAX_RESTARTS="${MAX_RESTARTS:-0}"
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
    --max_restarts="$MAX_RESTARTS" \
    "$ROOT/tools/train.py" "$CONFIG" --launcher pytorch "${@:3}"
