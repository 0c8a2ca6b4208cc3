"""
Generates the stubs of etcd's gRPC API: ``make stubs``.

The files in ``etcd/`` are those of the Go module go.etcd.io/etcd/api/v3 at v3.5.21 (Apache-2.0),
unchanged.  Options for Go and for the HTTP gateway are left out on the way, since they change
nothing on the wire and need further protocol files.
"""

import argparse
import re
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
PACKAGE = "assertlib/robustness/_etcd_api"
OUTPUT = HERE.parent / PACKAGE

_LEFT_OUT = re.compile(
    r"""^import "(?:gogoproto|google/api)/[^;]*;\n"""
    r"""|^\s*option \((?:gogoproto\.\w+|google\.api\.http)\) = (?:\{(?:[^{}]|\{[^{}]*\})*\}|\w+);\n""",
    re.MULTILINE,
)
_IMPORT = re.compile(r'^import "etcd/api/\w+/(\w+\.proto)";', re.MULTILINE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="directory of the stubs")
    output = parser.parse_args().output
    pinned = (HERE / "requirements.txt").read_text(encoding="utf-8").strip()
    if pinned != f"grpcio-tools=={version('grpcio-tools')}":
        print(f"generate: {pinned} is required; run `make stubs`", file=sys.stderr)
        return 2
    for name, text in generated().items():
        (output / name).write_text(text, encoding="utf-8")
    return 0


def generated() -> dict[str, str]:
    """The generated modules by name."""
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "source") / PACKAGE
        source.mkdir(parents=True)
        for path in sorted((HERE / "etcd").glob("*.proto")):
            # The directory of a protocol file becomes the package of its module.
            text = _LEFT_OUT.sub("", path.read_text(encoding="utf-8"))
            (source / path.name).write_text(_IMPORT.sub(rf'import "{PACKAGE}/\1";', text))
        files = sorted(map(str, source.glob("*.proto")))
        base, target = Path(directory, "source"), Path(directory, "target")
        target.mkdir()
        code = protoc.main(["protoc", f"-I{base}", f"--python_out={target}", *files])
        if code:
            raise SystemExit(code)
        return {path.name: _in_own_pool(path.read_text()) for path in target.rglob("*.py")}


def _in_own_pool(text: str) -> str:
    """
    Register the messages in a pool of their own.

    A store's own client of etcd registers the same names in the default pool, where two files
    must not define one message.
    """
    imported = "from google.protobuf import descriptor_pool as _descriptor_pool\n"
    own = "from assertlib.robustness._etcd_api import POOL as _POOL\n"
    return text.replace(imported, own).replace("_descriptor_pool.Default()", "_POOL")


if __name__ == "__main__":
    sys.exit(main())
