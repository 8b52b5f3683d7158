"""A node whose children are misbehaving_child, and a scheduler of a cluster of such: python -m tests.engine.cluster.stand_in ADDRESS LEASE BEAT."""

from __future__ import annotations

import sys

from db.session import connect
from engine.child_process import adopt_orphans
from engine.cluster.node import Node
from engine.cluster.serving import serve_cluster
from engine.settings import database_url
from tests.engine.processes import local_executor


class StandIn(Node):
    def __init__(self) -> None:
        adopt_orphans()
        super().__init__(local_executor())


if __name__ == "__main__":
    from tests.engine.cluster.stand_in import StandIn as Imported  # as the nodes find it, not as __main__

    lease, beat = map(float, sys.argv[2:])
    serve_cluster(connect(database_url()), sys.argv[1], lease=lease, beat=beat, actor=Imported)
