"""Forked children of one parent: started, started again when they die, and ended together."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

DRAIN_SECONDS = 15
STEADY_SECONDS = 5.0
LONGEST_PAUSE = 10.0


@dataclass
class Post:
    """A piece of work that one child does, and how that has gone so far.

    Work that comes to an end is begun again, unless it is to be done `once` and ended well.
    """

    role: str
    work: Callable[[], None]
    once: bool = False
    pid: int | None = None
    since: float = 0.0
    pause: float = 0.0
    done: bool = False


class Crew:
    """The children. When the parent dies by whatever means they notice by the end of a pipe, and end too."""

    def __init__(self, posts: list[Post], before: Callable[[], None]) -> None:
        self._posts = posts
        self._before = before
        self._watched, self._held = os.pipe()
        self._log = structlog.get_logger()

    def start(self) -> None:
        """Start everyone."""
        for post in self._posts:
            self._fork(post)

    def mend(self) -> None:
        """Start those again who have died; later and later one who dies at once."""
        for post in self._posts:
            if post.pid is not None and self._ended(post):
                self._noted(post)
            if post.pid is None and not post.done and time.monotonic() - post.since >= post.pause:
                self._fork(post)

    def _noted(self, post: Post) -> None:
        if post.done:
            self._log.info("a process is done", role=post.role)
        else:
            self._log.warning("a process ended", role=post.role, pid=post.pid)
        steady = time.monotonic() - post.since > STEADY_SECONDS
        post.pause = 0.0 if steady else min(LONGEST_PAUSE, max(0.2, post.pause * 2))
        post.pid, post.since = None, time.monotonic()

    def failing(self, role: str) -> bool:
        """Whether somebody whose role begins so keeps dying at once."""
        return any(post.pause >= 1.0 for post in self._posts if post.role.startswith(role))

    def stop(self) -> None:
        """Ask everyone to finish what they do, and end those who do not."""
        running = [post for post in self._posts if post.pid is not None]
        for post in running:
            _signal(post.pid, signal.SIGTERM)
        deadline = time.monotonic() + DRAIN_SECONDS
        for post in running:
            if not self._ended_by(post, deadline):
                _signal(post.pid, signal.SIGKILL)
                self._ended_by(post, time.monotonic() + 5)
            post.pid = None

    def _ended_by(self, post: Post, deadline: float) -> bool:
        while not self._ended(post):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def _ended(self, post: Post) -> bool:
        assert post.pid is not None
        try:
            pid, status = os.waitpid(post.pid, os.WNOHANG)
        except ChildProcessError:
            return True
        post.done = post.once and pid != 0 and os.waitstatus_to_exitcode(status) == 0
        return pid != 0

    def _fork(self, post: Post) -> None:
        pid = os.fork()
        if pid == 0:
            self._child(post)
        post.pid, post.since = pid, time.monotonic()

    def _child(self, post: Post) -> None:
        status = 1
        try:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            signal.set_wakeup_fd(-1)
            os.close(self._held)
            self._before()
            threading.Thread(target=self._end_with_parent, daemon=True).start()
            post.work()
            status = 0
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        except KeyboardInterrupt:
            status = 0
        except BaseException:
            self._log.exception("a process failed", role=post.role)
        finally:
            os._exit(status)

    def _end_with_parent(self) -> None:
        os.read(self._watched, 1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(DRAIN_SECONDS)
        os._exit(1)


def _signal(pid: int | None, number: signal.Signals) -> None:
    if pid is not None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
