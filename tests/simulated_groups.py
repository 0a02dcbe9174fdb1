"""Groups of threads that run in an order that is drawn, and stores that arrive late: what simulations are made of.

A group is a thread of Python. One runs at a time: whenever one pauses, it is drawn which goes on, or which event under
way happens. Speeds are drawn as well, so that some groups, and some events, are late.
"""

import threading

import jax
import numpy as np


class Race(AssertionError):
    """What no order of events may lead to."""


class Stopped(Exception):
    """Ends the other threads when one has failed."""


class Group(threading.Thread):
    """One group: what it runs, what it waits for, and what it knows."""

    def __init__(self, machine, block, index, run):
        super().__init__(daemon=True)
        self.machine, self.place, self.run_it = machine, {"block": block, "group": index}, run
        self.go, self.ready = threading.Semaphore(0), lambda: True
        self.error, self.ended = None, False
        self.parity, self.products, self.unfenced, self.fence = {}, [], [], 0

    def run(self):
        self.go.acquire()
        try:
            if not self.machine.stopped:
                with jax.disable_jit():
                    self.run_it()
        except Stopped:
            pass
        except BaseException as error:
            self.error = error
        self.ended = True
        self.machine.back.release()


class Machine:
    """One cluster: its groups, and what is under way between them."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.flying, self.back, self.stopped, self.time = [], threading.Semaphore(0), False, 0

    def run(self, groups):
        """Until all have ended and everything has arrived."""
        self.groups = groups
        speed = {group: 10 ** self.rng.uniform(-2, 0) for group in groups}
        for group in groups:
            group.start()
        try:
            while self.flying or not all(group.ended for group in groups):
                ready = [group for group in groups if not group.ended and group.ready()]
                if not ready and not self.flying:
                    raise Race("everybody waits")
                weights = np.array([speed[group] for group in ready] + [weight for weight, _ in self.flying])
                drawn = self.rng.choice(len(weights), p=weights / weights.sum())
                if drawn >= len(ready):
                    self.flying.pop(drawn - len(ready))[1]()
                    continue
                self.current = ready[drawn]
                self.current.go.release()
                self.back.acquire()
                if self.current.error:
                    raise self.current.error
        finally:
            self.stopped = True
            for group in groups:
                group.go.release()
                group.join()

    def pause(self, ready=lambda: True):
        """Lets others go first, and until `ready`."""
        group = self.current
        group.ready = ready
        self.back.release()
        group.go.acquire()
        if self.stopped:
            raise Stopped

    def later(self, event):
        """Happens some time."""
        self.flying.append((10 ** self.rng.uniform(-2, 0), event))

    def tick(self):
        self.time += 1
        return self.time
