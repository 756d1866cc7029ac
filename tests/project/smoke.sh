#!/usr/bin/env bash
# Install a wheel or a source distribution into an environment of its own and use it from an empty folder:
#   tests/project/smoke.sh dist/msvit_energy-0.2.0-py3-none-any.whl
# PYTHON is the interpreter (python3), WITH further requirements, such as WITH="torch==2.6.* timm==1.0.22".
set -euo pipefail
package=$(realpath "$1")
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"${PYTHON:-python3}" -m venv "$place/venv"
# shellcheck disable=SC2086  # several requirements
"$place/venv/bin/python" -m pip install --quiet "$package" ${WITH:-}
mkdir "$place/empty"
cd "$place/empty"
run() {
  echo "+ msvit-energy $*"
  "$place/venv/bin/msvit-energy" "$@" >"$place/out.txt" || { cat "$place/out.txt"; exit 1; }
}
run --version
run profile --images 16 --out energy
run energy energy --protocol all --json
run compare energy --baselines measured,qkformer
run report energy --html energy.html
run heatmap energy --out rates.png
run models msvit
run table1
run train digits --epochs 1 --batch-size 64 --set 'model_args={"time_steps": 1}' --out run
for name in energy/profile.json energy/energy.tex energy/report.html energy.html rates.png run/model.safetensors; do
  test -s "$name"
done
"$place/venv/bin/python" - <<'PYTHON'
import torch
import msvit
import msvit_energy

model = msvit.create_model("msvit_cifar")
profile = msvit_energy.profile(model, [torch.rand(1, 3, 32, 32)])
print(profile)
print(msvit_energy.price(profile))
assert sum(operator.macs_per_step for operator in profile.operators) > 2e9
PYTHON
"$place/venv/bin/python" -m pip list 2>/dev/null | grep -iE "^(torch|timm|spikingjelly|fvcore|numpy|pandas|typer|msvit)" | tr -s ' ' | paste -sd,
