"""Patroni's etcd3 layer, as two members of a cluster use it: their lease, leader key, cache and watch.

Usage: patroni_peer.py HOST:PORT [USER PASSWORD]. Prints one JSON object with what it saw.
"""

import json
import sys
import time

from patroni.dcs.etcd3 import Etcd3, InvalidAuthToken
from patroni.postgresql.mpp import get_mpp
from patroni.version import __version__

address, login = sys.argv[1], dict(zip(("username", "password"), sys.argv[2:]))


def member(name):
    config = {
        "name": name,
        "scope": "batman",
        "namespace": "/service/",
        "ttl": 30,
        "loop_wait": 10,
        "retry_timeout": 10,
        "hosts": [address],
        "use_proxies": True,
        **login,
    }
    return Etcd3(config, get_mpp({}))


def until(what, holds):
    """Waits until the cache of a member, which its watch fills, says so."""
    for _ in range(300):
        if holds():
            return
        time.sleep(0.1)
    raise TimeoutError(what)


one, two = member("one"), member("two")
seen = {"patroni": __version__}
seen["version"] = one._client._cluster_version >= (3, 4)
seen["prefix"] = one._client.version_prefix
# Without `use_proxies` these would be the members, past the proxy.
seen["machines"] = [url == f"http://{address}" for url in one._client.machines_cache or [one._client._base_uri]]
seen["initialized"] = [bool(each.initialize(create_new=True, sysid="7")) for each in (one, two)]
seen["touched"] = one.touch_member({"conn_url": "postgres://one", "state": "running"})
seen["acquired"] = [bool(each.attempt_to_acquire_leader()) for each in (one, two)]
until("the leader", lambda: (cluster := two.get_cluster()).leader and cluster.leader.name == "one")
cluster = two.get_cluster()
seen["leader"] = [cluster.leader.name, cluster.leader.session == one._lease, cluster.initialize]
# Compare-and-swap in a transaction within a transaction, with the lease kept alive.
mine = one.get_cluster().leader
seen["kept"] = one.update_leader(one.get_cluster(), 1234)
seen["alive"] = one._client.lease_keepalive(one._lease)
config = one.set_config_value('{"ttl":30}')
until("the config", lambda: two.get_cluster().config is not None)
version = two.get_cluster().config.version
seen["swapped"] = [
    bool(two.set_config_value('{"ttl":31}', version)),
    bool(one.set_config_value('{"ttl":32}', version)),
]
seen["gone"] = one._client.lease_keepalive("123456789")
until("the swap", lambda: one.get_cluster().config.data == {"ttl": 31})
# A long watch wakes up when the leader lets go.
until("the deletion", lambda: one.delete_leader(one.get_cluster().leader))
until("no leader", lambda: two.get_cluster().leader is None)
seen["follows"] = bool(two.attempt_to_acquire_leader())
if login:
    client = one._client
    client._token = "outdated"
    try:
        client.call_rpc("/kv/range", {"key": "YQ=="})
    except InvalidAuthToken as error:
        seen["outdated"] = str(error)
    # What Patroni does then: it signs in again.
    seen["again"] = "kvs" in client.prefix("/service/")
seen["deleted"] = bool(one.delete_cluster())
print(json.dumps(seen), flush=True)
