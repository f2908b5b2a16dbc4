"""A campaign on a Dask cluster: slices of its phases, played where a worker is free."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kmem_oracle.campaign.course import Share
from kmem_oracle.campaign.result import Progress, Result
from kmem_oracle.campaign.slices import SLACK_SECONDS, Slices
from kmem_oracle.targets.target import CouldNotRun
from kmem_spec.profile import ProfileError

if TYPE_CHECKING:
    from distributed import Client

KIND: Final = "dask:"
CONNECT_SECONDS: Final = 10.0


class Broken(CouldNotRun):
    """A campaign that could not go on; `result` is what it found till then."""

    def __init__(self, message: str, result: Result) -> None:
        """Take what was found."""
        super().__init__(message)
        self.result = result


def in_cluster(share: Share, *, cluster: str, progress: Progress) -> Result:
    """Judge a target by the workers of a cluster, dask:ADDRESS.

    Errors   CouldNotRun, Broken where something was judged before, ProfileError, OSError
    """
    if share.profile.endswith(".toml"):
        # Workers have folders of their own.
        share = replace(share, profile=str(Path(share.profile).resolve()))
    begin = time.monotonic()
    with _connected(cluster) as client:
        slices = Slices(client, share, progress, begin + share.budget.seconds)
        broken: CouldNotRun | ProfileError | OSError | None = None
        interrupted = False
        try:
            slices.run()
        except KeyboardInterrupt:
            interrupted = True
        except (CouldNotRun, ProfileError, OSError) as error:
            broken = error
        total = slices.rest()
    if total is None:
        raise broken or CouldNotRun(f"{cluster}: nothing was judged before the end")
    total.seconds = time.monotonic() - begin
    total.interrupted |= interrupted
    if broken is not None:
        total.interrupted = True
        raise Broken(str(broken), total) from broken
    return total


@contextmanager
def _connected(cluster: str) -> Iterator[Client]:
    """Give a client of the cluster, which is closed at the end.

    Errors   CouldNotRun
    """
    address = cluster.removeprefix(KIND)
    if not cluster.startswith(KIND) or not address:
        raise CouldNotRun(
            f"unknown cluster {cluster!r}: a cluster is dask:ADDRESS, as dask:tcp://127.0.0.1:8786"
        )
    try:
        from distributed import Client
        from distributed.comm.addressing import resolve_address
    except ModuleNotFoundError as error:
        raise CouldNotRun(
            f"--cluster needs {error.name}: install it with `pip install 'kmem-oracle[cluster]'`"
        ) from error
    for name in ("distributed", "distributed.client", "distributed.core", "distributed.batched", "tornado"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # what is wrong is said once, by us
    try:
        resolve_address(address)  # a client that is half made is not easily rid of
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CouldNotRun(f"{cluster}: no scheduler of Dask answers there: {reason}") from error
    try:
        yield client
    finally:
        with suppress(OSError):  # TimeoutError is one: the scheduler may have gone
            client.close(timeout=SLACK_SECONDS)
