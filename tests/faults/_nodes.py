"""Several Ray nodes on this machine, as a process: `_nodes.py FOLDER COUNT` prints the address of the head.

The head holds no cores, the COUNT nodes one each. A line on its standard input, "lose" or "add", loses the process's
first node at once, or adds one; it answers with the line. The nodes go when the input ends.
"""

import sys
from pathlib import Path

from study import cluster

cluster.quieten()

from ray._common.utils import get_default_ray_temp_dir  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402  the environment comes first


def main(folder: str, count: int) -> None:
    """Start the nodes and obey."""
    Path(get_default_ray_temp_dir()).mkdir(exist_ok=True)  # where `Cluster` notes its address, wherever it lies
    head = {"num_cpus": 0, "resources": {"trial_slot": 16}, "include_dashboard": False, "temp_dir": folder}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    kept = [nodes.add_node(num_cpus=1) for _ in range(count)]
    print(nodes.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "lose":
            nodes.remove_node(kept.pop(0), allow_graceful=False)
        else:
            kept.append(nodes.add_node(num_cpus=1))
        print(line.strip(), flush=True)
    nodes.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
