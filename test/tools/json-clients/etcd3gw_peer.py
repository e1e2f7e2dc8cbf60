"""etcd3gw, the client of OpenStack, with all that it offers.

Usage: etcd3gw_peer.py HOST:PORT. Prints one JSON object with what it saw.
"""

import json
import sys
import threading
from importlib.metadata import version

import etcd3gw
from etcd3gw.exceptions import Etcd3Exception

host, port = sys.argv[1].split(":")
client = etcd3gw.client(host=host, port=int(port))
seen = {"etcd3gw": version("etcd3gw"), "path": client.api_path}

seen["status"] = "version" in client.status()
seen["members"] = len(client.members())
seen["put"] = client.put("gw/1", b"\x00\xff")
seen["get"] = client.get("gw/1")[0] == b"\x00\xff"
seen["none"] = client.get("gw/none")
seen["created"] = [client.create("gw/2", "a"), client.create("gw/2", "b")]
seen["replaced"] = [client.replace("gw/2", "a", "b"), client.replace("gw/2", "a", "c")]
for n in range(3, 20):
    client.put(f"gw/{n:02}", "v" * 1000)
seen["prefix"] = len(client.get_prefix("gw/", sort_order="descend", sort_target="mod"))
seen["metadata"] = sorted(client.get("gw/2", metadata=True)[0][1])

lease = client.lease(ttl=60)
client.put("gw/leased", "x", lease=lease)
seen["lease"] = [lease.ttl() > 50, lease.refresh(), lease.keys() == [b"gw/leased"], lease.revoke()]
seen["gone"] = [client.get("gw/leased"), lease.ttl()]

with client.lock("locked", ttl=30) as lock:
    seen["locked"] = [lock.is_acquired(), client.lock("locked", ttl=30).acquire()]

# Each message has to be one chunk, also one that is larger than the others.
events, cancel = client.watch_prefix("watched/")


def write():
    client.put("watched/1", "v" * 100_000)
    client.delete("watched/1")


timer = threading.Timer(0.5, write)
timer.start()
seen["events"] = [next(events).get("type", "PUT"), next(events).get("type", "PUT")]
cancel()
timer.join()
timer = threading.Timer(0.5, lambda: client.put("once", "x"))
timer.start()
seen["once"] = "kv" in client.watch_once("once", timeout=20)

status = {"compare": [{"key": "Z3cvMg==", "result": "EQUAL", "target": "VERSION", "version": 2}], "success": []}
seen["transaction"] = client.transaction(status).get("succeeded")
try:
    client.put("", "x")
except Etcd3Exception as error:
    seen["error"] = json.loads(error.detail_text)["message"]
seen["deleted"] = client.delete_prefix("gw/")
print(json.dumps(seen), flush=True)
