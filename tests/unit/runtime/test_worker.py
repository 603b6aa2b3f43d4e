"""A worker of the pool, as a process of its own: what it tells, and how often."""

from __future__ import annotations

import os

from pyflow import pipeline, task
from pyflow.contract import Home, Invocation
from pyflow.executors.local.worker import Kind, Worker
from pyflow.packing import pack
from pyflow.runtime import open_home


def test_a_chain_that_is_asked_back_before_it_began_is_told_once(tmp_path):
    """The chain and the wish to have it back may arrive together; each of its links is told of once, and so is what comes next."""

    @task
    def inc(x):
        return x + 1

    @pipeline
    def body():
        return inc(inc(inc(0)))

    home = Home(store_url=str(tmp_path / "store"), project="p", owner="o")
    packed = pack(body.trace(), open_home(home))
    chain = [
        Invocation(
            home=home, run_id="r1", graph_digest=packed.digest, graph_size=packed.size_bytes, node=node.id, nonce="n"
        )
        for node in packed.graph.walk()
    ]
    following = chain[0]._replace(run_id="r2")
    worker = Worker(Kind("", str(tmp_path), dict(os.environ)), -1)
    told = []
    try:
        # It is still starting, so it reads all of this at once.
        worker.take(chain, None)
        worker.send(chain)
        worker.ask_back()
        worker.take([following], None)
        worker.send([following])
        while worker.queue:
            for one in worker.read():
                told.append(one.outcome.slot)
                worker.done()
    finally:
        worker.bury()
    assert told == ["0", "1", "2", "0"]
