"""Who can talk to a study that runs on this machine: nobody from elsewhere."""

from __future__ import annotations

import ipaddress

import psutil

from study import cluster


def listening(process):
    """Addresses at which a process and its children accept connections."""
    found = set()
    for each in [process, *process.children(recursive=True)]:
        try:
            found |= {link.laddr.ip for link in each.net_connections("inet") if link.status == psutil.CONN_LISTEN}
        except psutil.Error:
            continue
    return {ipaddress.ip_address(address) for address in found}


def test_a_cluster_of_our_own_listens_on_loopback_alone():
    import ray

    cluster.quieten()
    with cluster.cluster(None):
        assert ray.get(ray.remote(lambda: 1).remote()) == 1
        addresses = listening(psutil.Process())
    assert addresses
    assert all((getattr(address, "ipv4_mapped", None) or address).is_loopback for address in addresses)
