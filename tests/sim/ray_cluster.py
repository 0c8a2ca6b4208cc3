"""
A Ray cluster of two nodes on a network of its own, one of which is killed during an exploration.

Run as ``unshare --net --pid --fork --kill-child --mount-proc python ray_cluster.py RESULT COMMAND``;
what came of it is left in RESULT as JSON.
"""

import contextlib
import faulthandler
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

LIMIT = 150
NODE = {
    "num_cpus": 1,
    "object_store_memory": 80_000_000,
    "node_ip_address": "127.0.0.1",
    "include_log_monitor": False,
}


def loopback_up():
    """What ``ip link set lo up`` does."""
    up = struct.pack("16sH14x", b"lo", 0x1 | 0x40)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, up)


def trials_told(process, enough):
    """Read what the exploration says until it has got through *enough* trials."""
    said = []
    for line in process.stderr:
        said.append(line)
        words = line.split()
        if "trials," in words and int(words[words.index("trials,") - 1].replace(",", "")) >= enough:
            break
    return said


def main(result, command):
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={**NODE, "include_dashboard": False, "no_monitor": True},
    )
    second = cluster.add_node(**NODE)
    raylet = second.all_processes["raylet"][0].process
    environment = {**os.environ, "RAY_ADDRESS": cluster.address}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    said = trials_told(process, 1)
    os.kill(raylet.pid, signal.SIGKILL)
    # A zombie would keep its workers alive.
    raylet.wait()
    killed = time.monotonic()
    said += process.stderr.readlines()
    out = process.stdout.read()
    code = process.wait()
    left = {"code": code, "stdout": out, "stderr": "".join(said)}
    left["seconds_after_the_kill"] = time.monotonic() - killed
    Path(result).write_text(json.dumps(left))
    cluster.shutdown()


if __name__ == "__main__":
    # The first process of a namespace ignores most signals: this ends it all the same.
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    loopback_up()
    with contextlib.redirect_stdout(sys.stderr):
        main(sys.argv[1], sys.argv[2:])
