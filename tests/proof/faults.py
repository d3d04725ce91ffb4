"""What is broken, when, and for how long: the kinds of faults, and the dice that choose.

A fault begins at a moment the dice name, lasts as long as they say, and is healed; several can be under way at once,
one for each target. The same seed makes the same choices; how they meet the work is the machine's.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import msgspec

from proof.stage import Role, Stage


class NotDone(Exception):
    """This fault could not be injected now (the others were in its way): it does not count."""


class Injected(msgspec.Struct):
    """One fault of the timeline. Times are seconds since the faults began."""

    at: float
    kind: str
    target: str
    what: str = ""
    healed: float = 0.0


class Kind(msgspec.Struct, frozen=True):
    """One kind of fault: how often it is chosen, what it needs for itself, what it does, which heals it too and says
    what it did, or raises NotDone."""

    name: str
    weight: int
    targets: tuple[str, ...]
    """Any one of them, or, if `needs_all`, every one."""
    do: Callable[[str, Random], str]
    needs_all: bool = False
    is_fault: bool = True
    """False: ordinary work that is to meet the others."""


class Nemesis:
    """Breaks the stage. `pause` waits (seconds) and can be cut short by the end of the run."""

    def __init__(self, stage: Stage, seed: int, gap_seconds: tuple[float, float]) -> None:
        self.timeline: list[Injected] = []
        self.counts: Counter[str] = Counter()
        self.publications = 0
        self.failures: list[str] = []
        self._stage = stage
        self._dice = Random(f"{seed} faults")
        self._gap = gap_seconds
        self._ending = threading.Event()
        self._began = time.monotonic()
        self._busy: set[str] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._copy = stage.folder / "older-redis"
        self._backup = stage.folder / "backup"
        self._roles = {role.name: role for role in stage.roles}
        self._kinds = self._all_kinds()

    def run(self, seconds: float, faults: int) -> None:
        """Break things for so long or until so many faults were injected, whichever comes first; then heal all."""
        self._began = time.monotonic()
        while sum(self.counts.values()) < faults and time.monotonic() - self._began < seconds:
            time.sleep(self._dice.uniform(*self._gap))
            self._inject()
            self._supervise()
        self._ending.set()
        self._heal()
        self._supervise()

    def _inject(self) -> None:
        """One fault whose target is free now; one that needs everything waits until all else is healed."""
        taken: list[str] = []
        while not taken:
            kind = self._dice.choices(self._kinds, [each.weight for each in self._kinds])[0]
            own = Random(self._dice.random())
            if kind.needs_all:
                self._heal()
            taken = self._take(kind, own)
        target = "all workers" if kind.needs_all else taken[0]
        entry = Injected(round(time.monotonic() - self._began, 2), kind.name, target)
        self.timeline.append(entry)
        thread = threading.Thread(target=self._carry_out, args=(kind, entry, taken, own))
        self._threads.append(thread)
        thread.start()

    def _take(self, kind: Kind, dice: Random) -> list[str]:
        """The targets for this fault, now nobody else's; none if they are not free."""
        order = dice.sample(kind.targets, len(kind.targets))
        with self._lock:
            free = [target for target in order if target not in self._busy]
            taken = free if kind.needs_all else free[:1]
            self._busy.update(taken)
        return taken

    def _carry_out(self, kind: Kind, entry: Injected, taken: Sequence[str], dice: Random) -> None:
        try:
            entry.what = kind.do(taken[0], dice)
            self._count(kind)
        except NotDone as reason:
            entry.what = f"not done: {reason}"
        except Exception as problem:  # noqa: BLE001  the run says it at its end: a fault that could not be healed
            self.failures.append(f"{kind.name} of {entry.target} at {entry.at} s: {problem!r}")
        finally:
            entry.healed = round(time.monotonic() - self._began, 2)
            with self._lock:
                self._busy.difference_update(taken)

    def _count(self, kind: Kind) -> None:
        with self._lock:
            if kind.is_fault:
                self.counts[kind.name] += 1
            else:
                self.publications += 1

    def _heal(self) -> None:
        """Wait until no fault is under way."""
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _supervise(self) -> None:
        """Start again what ended by itself, as a supervisor would; the check of that name tells."""
        for name, role in self._roles.items():
            with self._lock:
                if name in self._busy:
                    continue
                self._busy.add(name)
            if role.noticed_dead():
                role.start()
            with self._lock:
                self._busy.discard(name)

    def _wait(self, seconds: float) -> float:
        self._ending.wait(seconds)
        return seconds

    def _all_kinds(self) -> list[Kind]:
        workers = tuple(role.name for role in self._stage.workers)
        collectors = tuple(role.name for role in self._stage.collectors)
        redis, kafka, extra = ("redis",), ("kafka",), (self._stage.extra.name,)
        return [
            Kind("worker kill -9", 16, workers, self._kill_role),
            Kind("worker SIGTERM", 6, workers, self._terminate_role),
            Kind("worker frozen beyond its session", 12, workers, self._freeze_long),
            Kind("worker frozen shortly", 5, workers, self._freeze_shortly),
            Kind("rebalance by an extra worker", 8, extra, self._extra_worker),
            Kind("collector kill -9", 9, collectors, self._kill_role),
            Kind("collector SIGTERM", 3, collectors, self._terminate_role),
            Kind("collector frozen", 3, collectors, self._freeze_shortly),
            Kind("Redis kill -9, restarted from its file", 9, redis, self._kill_redis),
            Kind("Redis stopped and started", 3, redis, self._stop_redis),
            Kind("Redis frozen", 4, redis, self._freeze_redis),
            Kind("Redis FLUSHALL", 5, redis, self._flush),
            Kind("Redis back to an older copy of its file", 5, redis, self._older_redis),
            Kind("rapport backup, restored later", 2, (*workers, *extra, *redis), self._restore, needs_all=True),
            Kind("broker kill -9 and restart", 4, kafka, self._kill_kafka),
            Kind("broker stopped and started", 2, kafka, self._stop_kafka),
            Kind("broker frozen", 3, kafka, self._freeze_kafka),
            Kind("campaigns published", 5, ("campaigns",), self._publish, is_fault=False),
        ]

    # Workers and collectors

    def _kill_role(self, name: str, dice: Random) -> str:
        role = self._roles[name]
        role.kill()
        seconds = self._wait(dice.choice((0.0, 0.0, 1.0, 8.0)))
        role.start()
        return f"away for {seconds:g} s"

    def _terminate_role(self, name: str, dice: Random) -> str:
        role = self._roles[name]
        role.stop()
        seconds = self._wait(dice.choice((0.0, 1.0)))
        role.start()
        return f"away for {seconds:g} s"

    def _freeze_long(self, name: str, dice: Random) -> str:
        return self._frozen(self._roles[name], dice.uniform(7.0, 14.0))

    def _freeze_shortly(self, name: str, dice: Random) -> str:
        return self._frozen(self._roles[name], dice.uniform(0.5, 5.0))

    def _frozen(self, role: Role, seconds: float) -> str:
        role.pause()
        self._wait(seconds)
        role.resume()
        return f"for {seconds:.1f} s"

    def _extra_worker(self, _name: str, dice: Random) -> str:
        extra = self._stage.extra
        extra.start()
        seconds = self._wait(dice.uniform(4.0, 12.0))
        hard = dice.random() < 0.3
        extra.kill() if hard else extra.stop()
        return f"for {seconds:.1f} s, then {'kill -9' if hard else 'SIGTERM'}"

    # Redis

    def _kill_redis(self, _name: str, dice: Random) -> str:
        self._stage.redis.kill()
        seconds = self._wait(dice.choice((0.0, 0.0, 2.0)))
        self._stage.redis.start()
        return f"away for {seconds:g} s"

    def _stop_redis(self, _name: str, dice: Random) -> str:
        self._stage.redis.stop()
        seconds = self._wait(dice.uniform(0.0, 4.0))
        self._stage.redis.start()
        return f"away for {seconds:.1f} s"

    def _freeze_redis(self, _name: str, dice: Random) -> str:
        self._stage.redis.pause()
        seconds = self._wait(dice.choice((1.0, 4.0, 11.0)))
        self._stage.redis.resume()
        return f"for {seconds:g} s"

    def _flush(self, _name: str, _dice: Random) -> str:
        client = self._stage.redis.client()
        client.flushall()
        client.close()
        return "empty"

    def _older_redis(self, _name: str, dice: Random) -> str:
        """As a failover to a replica that was behind: workers go on meanwhile."""
        redis = self._stage.redis
        self._stage.copy_redis(self._copy)
        seconds = self._wait(dice.uniform(1.0, 6.0))
        redis.kill()
        self._stage.put_redis_back(self._copy)
        redis.start()
        return f"{seconds:.1f} s older"

    def _restore(self, _name: str, dice: Random) -> str:
        """As an operator does it: backup under working workers; later workers stopped, restored, started."""
        self._backup.unlink(missing_ok=True)
        problem = self._stage.run("backup", str(self._backup))
        if problem:
            raise NotDone(problem.splitlines()[-1])
        seconds = self._wait(dice.uniform(1.0, 5.0))
        workers = self._stage.workers
        for role in workers:
            role.stop()
        problem = self._stage.run("restore", str(self._backup))
        for role in workers:
            role.start()
        if problem:
            raise NotDone(problem.splitlines()[-1])
        return f"{seconds:.1f} s older"

    # Kafka

    def _kill_kafka(self, _name: str, dice: Random) -> str:
        self._stage.kafka.kill()
        seconds = self._wait(dice.choice((0.0, 3.0)))
        self._stage.kafka.start()
        return f"away for {seconds:g} s and its start"

    def _stop_kafka(self, _name: str, _dice: Random) -> str:
        self._stage.kafka.restart()
        return "away for its start"

    def _freeze_kafka(self, _name: str, dice: Random) -> str:
        self._stage.kafka.pause()
        seconds = self._wait(dice.uniform(1.0, 8.0))
        self._stage.kafka.resume()
        return f"for {seconds:.1f} s"

    # Not a fault, but what makes a sweep over all customers meet the others

    def _publish(self, _name: str, dice: Random) -> str:
        days = dice.randint(1, 60)
        self._stage.write_campaigns(days)
        problem = self._stage.run("campaigns", "publish")
        if problem:
            raise NotDone(problem.splitlines()[-1])
        return f"a horizon of {days} days"
