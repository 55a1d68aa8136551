"""A process with everything that a node runs stays small, and gives back what only its start needed."""

import json
import subprocess
import sys

from convergence_jax.transport.memory import _clean_mappings

NODE = """
import asyncio, json, sqlite3, sys
import numpy as np
import msgspec
from convergence_jax.transport.channel import Client, Server
from convergence_jax.transport.datagrams import Datagrams
from convergence_jax.transport.http_messages import Response
from convergence_jax.transport.http_server import HttpServer
from convergence_jax.transport.identity import Credentials
from convergence_jax.transport.memory import release_startup_memory, resident_bytes
from convergence_jax.transport.signing import SigningKey, verify

async def main():
    own = Credentials.load(sys.argv[1])
    key = SigningKey.generate()
    heard, table = [], sqlite3.connect(":memory:")

    async def add(peer, request):
        numbers = msgspec.msgpack.decode(request, type=list[int])
        table.execute("create table if not exists t (x integer)")
        table.executemany("insert into t values (?)", [(n,) for n in numbers])
        return msgspec.msgpack.encode(int(np.asarray(numbers).sum()))

    async def home(request):
        return Response.json({"total": 1})

    datagrams = Datagrams("n1", key, lambda name: [key.public], heard.append, epoch=1)
    udp = await datagrams.open("127.0.0.1:0")
    async with (
        Server(own, "127.0.0.1:0", {"add": add}) as server,
        HttpServer({("GET", "/"): home}, credentials=own) as http,
        Client(own, str(server.address), "n1") as one,
        Client(own, str(server.address), "n1") as two,
        Client(own, str(server.address), "n1") as three,
        Client(own, str(server.address), "n1") as four,
    ):
        where = await http.start("127.0.0.1:0")

        async def work():
            for client in (one, two, three, four):
                answer = await client.call("add", msgspec.msgpack.encode(list(range(100))), 10.0)
                assert msgspec.msgpack.decode(answer) == 4950
            before = len(heard)
            await datagrams.send("n1", str(udp), b"hello")
            async with asyncio.timeout(10):
                while len(heard) == before:
                    await asyncio.sleep(0.01)
            tls = own.tls(server=False)
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", where.port, ssl=tls, server_hostname="localhost"
            )
            writer.write(b"GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n")
            assert b'{"total":1}' in await reader.read(-1)
            writer.close()
            await writer.wait_closed()
            assert verify(key.public, key.sign(b"x"), b"x")
            return resident_bytes() / 2**20

        started = await work()
        release_startup_memory()
        released = resident_bytes() / 2**20
        busy = max([await work() for _ in range(5)])
        sizes = {"started": started, "released": released, "busy": busy}
        print(json.dumps({**sizes, "loaded": sorted(sys.modules)}))
    await datagrams.close()
    table.close()

asyncio.run(main())
"""


def test_a_process_with_all_of_it_stays_below_its_share_of_memory(issue, tmp_path):
    issue("n1").save(tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", NODE, tmp_path], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    loaded = set(told.pop("loaded"))
    assert not loaded & {
        "jax",
        "scipy",
        "pyarrow",
        "tyro",
        "rich",
        "jinja2",
        "google.protobuf",
        "http.client",
    }
    assert not loaded & {
        "cryptography.x509",
        "convergence_jax.transport.authority",
    }  # only who issues needs them
    print({name: round(value, 1) for name, value in told.items()}, "MB")
    assert told["released"] < told["started"]
    assert told["busy"] <= 55


def test_only_pages_that_come_back_as_they_were_are_given_back():
    changed = {}  # by range, from another reading of the same file
    with open("/proc/self/smaps", encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if not words[0].endswith(":"):
                bounds = tuple(int(part, 16) for part in words[0].split("-"))
                changed[bounds] = {"mode": words[1], "file": len(words) > 5}
            elif words[0] in ("Anonymous:", "Private_Dirty:", "Shared_Dirty:"):
                changed[bounds][words[0]] = int(words[1])
    found = _clean_mappings()
    assert len(found) > 10
    for bounds in found:
        facts = changed[bounds]
        assert facts["file"]
        assert "w" not in facts["mode"]
        assert facts["Anonymous:"] == facts["Private_Dirty:"] == 0
