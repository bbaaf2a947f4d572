#!/usr/bin/env bash
# One part of the proof at full size, on one GPU, from the checkout and without a network:
#
#   bash benchmarks/on_gpu.sh tests|speed|co|ro|weat|generate|dual [--quick]
#
# A part that was cut off goes on from its checkpoints when it is run again. --quick rehearses it, on the CPU too.
#   OUT      folder of the results (runs/gpu)
#   WORK     folder of trainings and checkpoints ($OUT/work)
#   DATA     CIFAR-10 as JPEG files: train/<class>/*.jpg and test/<class>/*.jpg (data/cifar10-jpeg)
#   WHEELS   folder of wheels of packages that the machine lacks (none)
#   JOBS     trainings side by side; a small net leaves the GPU waiting for Python (3)
#   ROWS     groups of part speed, as "faster thirty_epochs" (all; a part that is cut off leaves those that are done)
#   TABLES   of part co ("co-full-eps16-short co-full co-full-eps16")
#   FIT      further arguments of every training (on a GPU "--model.cuda_graph true")
#   SEEDS    of the trainings, as "[0, 1]" ([0])
#   EVALUATE empty to leave the judgement to the validation images (yes)
#   ONLY     methods of a table, as "[FGSM]" (all)
#   NET      checkpoint that part generate draws from (the newest best one in WORK)
set -euo pipefail
cd "$(dirname "$0")/.."
part=${1:?"name a part: tests, speed, co, ro, weat, generate or dual"}
quick=${2:-}
OUT=${OUT:-runs/gpu} DATA=${DATA:-data/cifar10-jpeg} JOBS=${JOBS:-3} FIT=${FIT:-} ONLY=${ONLY:-} SEEDS=${SEEDS:-[0]} evaluating=${EVALUATE-yes}
WORK=${WORK:-$OUT/work}
mkdir -p "$OUT" "$WORK"
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE} PYTHONUNBUFFERED=1 PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
if [ -n "${WHEELS:-}" ]; then
  python3 -m pip install --quiet --no-index --no-deps --no-compile --upgrade --target "$WORK/site" "$WHEELS"/*.whl
  export PYTHONPATH=$PYTHONPATH:$WORK/site
fi
gpu=$(python3 -c "import torch; print('--gpu' if torch.cuda.is_available() else '')")
[ -z "$gpu" ] || FIT=${FIT:---model.cuda_graph true}
[ -n "$gpu" ] || [ -n "$quick" ] || { echo "no CUDA device is here; rehearse with --quick"; exit 1; }


setting() { python3 -c "import sys, yaml; print(yaml.safe_load(open(f'configs/reproduce/{sys.argv[1]}.yaml'))[sys.argv[2]])" "$@"; }

bench() { python3 -m benchmarks $gpu $quick --json "$OUT/$part.json" "$@" | tee "$OUT/$part.txt"; }

# Train and judge a table's methods, and pack what is done so far, whatever happens
table() {
  local name=$1 fit evaluate
  fit="$(setting "$1" fit) $FIT" evaluate=$(setting "$1" evaluate)
  if [ -n "$quick" ]; then
    fit+=" --model.net.width 4 --trainer.max_epochs 2 --trainer.limit_train_batches 3 --trainer.limit_val_batches 1"
    evaluate+=" --count 8"
  fi
  [ -n "$evaluating" ] || evaluate=
  trap "pack $name" EXIT
  python3 -m energy_at reproduce "$name" --root "$DATA" --output "$WORK/$name" --jobs "$JOBS" --seeds "$SEEDS" \
    "--fit=$fit" "--evaluate=$evaluate" ${ONLY:+"--only=$ONLY"}
  trap - EXIT
  pack "$name"
}

pack() {
  cp "$WORK/$1/$1".* "$OUT/" 2>/dev/null || true
  find "$WORK/$1" \( -name '*.csv' -o -name '*.json' -o -name '*.log' \) -print0 | tar -czf "$OUT/$1.tar.gz" --null -T - 2>/dev/null
  cat "$OUT/$1.md" 2>/dev/null || echo "no training of $1 is done yet; the same command goes on"
}

# One training of part dual; it goes on where it was cut off
stage() {
  local folder=$WORK/dual/$1 last
  last=$(ls "$folder"/*/version_0/checkpoints/last.ckpt 2>/dev/null || true)
  if [ -n "$last" ]; then
    python3 -m energy_at fit --resume "${last%/checkpoints/last.ckpt}"
  else
    python3 -m energy_at fit "${@:2}" --trainer.default_root_dir "$folder" --data.root "$DATA" --trainer.limit_test_batches 0 $FIT \
      ${quick:+--model.net.width 4 --trainer.max_epochs 2 --trainer.limit_train_batches 3 --trainer.limit_val_batches 1}
  fi
}

net_of() { ls "$WORK/dual/$1"/*/version_0/checkpoints/last.ckpt; }

# A robust net in L2, the same net after dual training, one trained by PGD alone for about as long as both, and a standard
# one that judges what they draw; as at 16x16 pixels in docs/results_generation.md, at full size
dual() {
  local wide="--model.net.width 64 --data.batch_size 512 --seed_everything 0" net start drawn
  local robust="-c cifar10jpeg_pgd_at.yaml $wide --model.attack.norm L2 --model.attack.eps 0.5 --model.attack.alpha 0.15 --model.attack.steps 5"
  stage first $robust --trainer.max_epochs 20
  stage dual -c cifar10jpeg_pgd_dualat.yaml $wide --model.window 4000 --trainer.max_epochs 6 --model.classifier "$(net_of first)"
  stage judge -c cifar10jpeg_pgd_at.yaml --model.attack.eps 0 --model.attack.steps 1 --trainer.max_epochs 15 --seed_everything 100
  for net in first dual alone; do
    [ $net != alone ] || stage alone $robust --trainer.max_epochs 60
    python3 -m energy_at evaluate -c eval_cifar10_l2.yaml --data ImageFolder --data.root "$DATA" --ckpt_path "$(net_of $net)" \
      --only "[pgd-20]" --count "$([ -n "$quick" ] && echo 20 || echo 1000)" --output "$WORK/dual/evaluate-$net"
    cp "$WORK/dual/evaluate-$net/evaluation.csv" "$OUT/dual-evaluate-$net.csv"
    for start in "GaussianInit --net_neighbours false --targets false --sampler.normalize true --sampler.step_size 0.1 --sampler.noise 0 --sampler.steps 20" \
      "ClassPCA --net_neighbours false" "LocalPCA --net_neighbours true"; do
      drawn=$net-${start%% *}
      python3 -m energy_at generate -c generate_cifar10jpeg.yaml --data.root "$DATA" --ckpt_path "$(net_of $net)" \
        --judge "$(net_of judge)" --init $start --batch_size 500 --output "$WORK/dual/$drawn" \
        --n "$([ -n "$quick" ] && echo 20 || echo 2000)" --train_count "$([ -n "$quick" ] && echo 2000 || echo null)"
      cp "$WORK/dual/$drawn/generation.json" "$OUT/dual-$drawn.json"
      cp "$WORK/dual/$drawn/grid.png" "$OUT/dual-$drawn.png"
    done
  done
  for net in first dual alone; do cut -d, -f1-4 "$OUT/dual-evaluate-$net.csv" | sed "s/^/$net,/"; done
  python3 -c "import json, sys
print('net and start            Frechet  diversity  agreement  steps')
for path in sys.argv[1:]:
    found = json.load(open(path))
    judge, chains = found['quality']['judge'], found['chains']
    name = path.rpartition('/dual-')[2].removesuffix('.json')
    print(f'{name:<24} {judge[\"frechet_distance\"]:7.3f}  {judge[\"relative_diversity\"]:9.3f}  {judge[\"agreement\"]:9.3f}  {chains[\"mean_steps\"]:5.1f}')
" "$OUT"/dual-*-*.json
}

case $part in
  tests)
    timeout -k 5 150 python3 -m pytest -q -n 8 --dist=load --durations=5 tests/cuda
    bench --quick --only training_step objectives faster evaluation generation
    ;;
  speed) bench --only ${ROWS:-faster thirty_epochs training_step lightning_overhead generation attacks evaluation objectives limits} ;;
  co) for name in ${TABLES:-co-full-eps16-short co-full co-full-eps16}; do table "$name"; done ;;
  ro) table ro-full ;;
  weat) table weat-full ;;
  dual) dual ;;
  generate)
    net=${NET:-$(ls -t "$WORK"/*-full*/*/*/part*/checkpoints/best.ckpt 2>/dev/null | head -1 || true)}
    [ -n "$net" ] || { echo "no net is in $WORK yet; run part co first, with the same WORK, or give NET"; exit 2; }
    for start in ClassPCA LocalPCA GaussianInit UniformInit; do
      python3 -m energy_at generate -c generate_cifar10jpeg.yaml --ckpt_path "$net" --data.root "$DATA" --init "$start" \
        --net_neighbours "$([ "$start" = LocalPCA ] && echo true || echo false)" \
        --n "$([ -n "$quick" ] && echo 20 || echo 10000)" --train_count "$([ -n "$quick" ] && echo 2000 || echo null)" \
        --batch_size 500 --output "$WORK/generate/$start"
      cp "$WORK/generate/$start/generation.json" "$OUT/generate-$start.json"
    done
    ;;
  *) echo "no part is called $part; it is tests, speed, co, ro, weat, generate or dual" && exit 2 ;;
esac
