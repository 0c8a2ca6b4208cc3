"""
The stubs of etcd's gRPC API.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STUBS = ROOT / "assertlib/robustness/_etcd_api"
TOOL = ROOT / ".tools/grpc/bin/python"

# What another client of etcd does on import, with a message of other fields.
ANOTHER_CLIENT = """
from google.protobuf import descriptor_pb2, descriptor_pool
file = descriptor_pb2.FileDescriptorProto(name="rpc.proto", package="etcdserverpb")
file.message_type.add(name="RangeRequest").field.add(name="theirs", number=1, type=9, label=1)
descriptor_pool.Default().Add(file)
from assertlib.robustness.etcd import pb
print(pb.RangeRequest.FromString(pb.RangeRequest(key=b"k", limit=3).SerializeToString()).limit)
"""


@pytest.mark.skipif(not TOOL.exists(), reason="no grpcio-tools here; `make stubs` installs it")
def test_the_stubs_are_those_that_the_tool_generates(tmp_path):
    command = [TOOL, ROOT / "protocol/generate.py", "--output", tmp_path]
    subprocess.run(command, check=True)
    generated = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert generated == {path.name: path.read_text() for path in STUBS.glob("*_pb2*.py")}


def test_the_stubs_get_along_with_another_client_of_etcd():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ANOTHER_CLIENT], capture_output=True, text=True
    )
    assert done.stdout == "3\n", done.stderr
