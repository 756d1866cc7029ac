# The two commands of the README on a CPU:
#   docker build -t msvit-energy . && docker run --rm -v "$PWD/out:/out" msvit-energy
FROM python:3.12-slim
WORKDIR /src
# the CPU build of torch, a tenth of the default one
RUN pip install --no-cache-dir torch torchvision --index-url https://download.pytorch.org/whl/cpu
COPY pyproject.toml README.md LICENSE ./
COPY msvit msvit
COPY msvit_energy msvit_energy
RUN pip install --no-cache-dir . && rm -rf /src
WORKDIR /
CMD ["sh", "-c", "msvit-energy profile --out /out/digits --force && msvit-energy energy /out/digits --protocol all"]
