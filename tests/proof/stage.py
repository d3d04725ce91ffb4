"""The stage: Kafka, Redis, workers and collectors as real processes of the real command line.

Here lives what is started and looked at. What is broken is in `faults`; what is expected is in `checks`.
"""

import os
import shutil
import signal
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import msgspec
from servers.free_port import free_port
from servers.kafka import KafkaServer
from servers.process import ServerProcess
from servers.redis import RedisServer

from pipeline.app import open_backend
from pipeline.backends.contract import Backend
from pipeline.settings import load

TESTS = Path(__file__).resolve().parents[1]
RAPPORT = (str(Path(sys.executable).with_name("rapport")),)
AHEAD = ("env", f"PYTHONPATH={TESTS}", sys.executable, "-m", "proof.ahead")
WORKERS, COLLECTORS = 3, 2
CODE_SECRET = "the code secret of the proof"
WRITE_KEY, SERVER_KEY = "wk_proof", "sk_proof"
COMMAND_SECONDS = 120.0
APPEND_ONLY = "appendonlydir"

CAMPAIGNS = {
    "win-back": """
name = "win-back"
priority = 10
[when]
kind = "lapsed"
horizon_days = {horizon_days}
threshold = 0.9
[do]
kind = "voucher"
discount_percent = 15
[contact]
channels = ["email"]
soft_opt_in = true
""",
    "thanks-regulars": """
name = "thanks-regulars"
priority = 5
[when]
kind = "regular_buyer"
every_orders = 2
[do]
kind = "voucher"
discount_percent = 10
category = "most_bought"
[contact]
channels = ["site", "email"]
soft_opt_in = true
""",
    "limited-thanks": """
name = "limited-thanks"
[when]
kind = "regular_buyer"
every_orders = 3
[do]
kind = "voucher"
discount_cents = 500
currency = "EUR"
[budget]
vouchers = 100
[contact]
channels = ["site", "email"]
soft_opt_in = true
""",
    "hesitation-chat": """
name = "hesitation-chat"
[when]
kind = "hesitating"
products_in_category = 2
product_views = 2
cart_idle_minutes = 1
[do]
kind = "chat_prompt"
""",
}
"""Quick to decide: many vouchers and prompts in little time."""


class Role(ServerProcess):
    """One `rapport` process: started again after each death, with its folder, as a supervisor would."""

    def __init__(self, name: str, command: Sequence[str], settings: dict[str, str | int]) -> None:
        self.name = name
        super().__init__()
        self.starts = 0
        self.ended_by_itself: list[str] = []
        self._command = [*command, "--config", str(self.folder / "rapport.toml")]
        self._settings = {"data": str(self.folder / "data"), **settings}

    def prepare(self) -> None:
        """Write its settings."""
        super().prepare()
        lines = [f"{name} = {msgspec.json.encode(value).decode()}\n" for name, value in self._settings.items()]
        (self.folder / "rapport.toml").write_text("".join(lines))

    def start(self) -> Self:
        """Start it; nobody waits for it to be ready, as no supervisor does."""
        self.starts += 1
        return super().start()

    def command(self) -> list[str]:
        """The command line."""
        return self._command

    def is_ready(self) -> bool:
        """The process is there."""
        return self.running

    def waited(self, seconds: float) -> int:
        """The exit code, when it has ended. Raises subprocess.TimeoutExpired."""
        return self._running().wait(seconds)

    def noticed_dead(self) -> bool:
        """Whether it has ended by itself, which it never may; that is written down, with its last words."""
        if self._process is None or self._process.poll() is None:
            return False
        code = self._process.returncode
        self.ended_by_itself.append(f"{self.name} ended by itself with exit code {code}\n{self.log_tail()}")
        self.kill()
        return True


class Stage:
    """Everything that runs. `worker_command` starts workers that are broken on purpose or stop where they are told to
    (`proof.worker`); without it the first is as it is shipped, and the others step ahead (`proof.ahead`)."""

    def __init__(
        self,
        folder: Path,
        *,
        worker_command: Sequence[str] = (),
        workers: int = WORKERS,
        collectors: int = COLLECTORS,
        cached_subjects: int = 50_000,
        kafka: KafkaServer | None = None,
        prefix: str = "",
    ) -> None:
        """`kafka`: one that runs and that others use too, told apart by `prefix`."""
        self.folder = folder
        self.prefix = prefix
        self._stack = ExitStack()
        self.kafka = kafka or self._stack.enter_context(KafkaServer())
        self.redis = self._stack.enter_context(RedisServer())
        self.campaigns = folder / "campaigns"
        self.campaigns.mkdir(parents=True)
        self.write_campaigns(1)
        self.settings: dict[str, str | int] = {
            "log": f"kafka://{self.kafka.bootstrap}",
            "store": self.redis.url,
            "prefix": prefix,
            "campaigns": str(self.campaigns),
            "code_secret": CODE_SECRET,
            "write_key": WRITE_KEY,
            "server_key": SERVER_KEY,
            "identity_secret": "the identity secret of the proof",
            "max_batch": 500,
            "cached_subjects": cached_subjects,
        }
        self.ports = [free_port() for _ in range(collectors)]
        work = ["work", "--metrics-port", "0"]
        first, others = worker_command or RAPPORT, worker_command or AHEAD
        self.workers = [
            self._role(f"worker-{n}", [*(first if n == 1 else others), *work]) for n in range(1, workers + 1)
        ]
        self.extra = self._role("worker-extra", [*others, *work])
        self.collectors = [
            self._role(f"collector-{n}", [*RAPPORT, "collect", "--metrics-port", str(port)])
            for n, port in enumerate(self.ports, 1)
        ]
        self.backend: Backend = open_backend(load({f"RAPPORT_{k.upper()}": str(v) for k, v in self.settings.items()}))
        self._stack.callback(self.backend.close)
        self.backend.ensure_topics()
        reader = self.backend.reader()
        self._stack.callback(reader.close)
        self._reader = reader
        self.partitions = reader.partitions()

    @property
    def roles(self) -> list[Role]:
        """Every process of Rapport's."""
        return [*self.workers, self.extra, *self.collectors]

    def places(self, topics: Iterable[str]) -> list[tuple[str, int]]:
        """Every partition of these topics."""
        return [(topic, number) for topic in topics for number in range(self._reader.topic_partitions(topic))]

    def start(self) -> None:
        """All but the extra worker, which comes and goes."""
        for role in (*self.collectors, *self.workers):
            role.start()

    def stop(self) -> None:
        """Every process of Rapport's ends in good order (SIGTERM), all at once."""
        for role in self.roles:
            role.noticed_dead()
        with ThreadPoolExecutor() as together:
            list(together.map(Role.stop, self.roles))

    def say_where_they_stand(self) -> None:
        """Every process writes to its log where its threads are: for whoever looks for what one hangs in."""
        for role in self.roles:
            if role.running:
                os.kill(role.pid, signal.SIGUSR1)

    def run(self, *arguments: str) -> str:
        """One command of `rapport` to its end; why it did not succeed, or ""."""
        role = self._role(arguments[0], [*RAPPORT, *arguments])
        with role:
            return "" if role.waited(COMMAND_SECONDS) == 0 else role.log_tail()

    def write_campaigns(self, horizon_days: int) -> None:
        """The campaign files; another horizon is another version, which every customer is shown."""
        for name, text in CAMPAIGNS.items():
            (self.campaigns / f"{name}.toml").write_text(text.format(horizon_days=horizon_days))
        (self.campaigns / "policy.toml").write_text('per_day = 0\nper_week = 0\nquiet_from = "08:00"\n')

    def copy_redis(self, target: Path) -> None:
        """Redis's append-only file as it is now: what a server that fell behind would still have."""
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.redis.folder / APPEND_ONLY, target)

    def put_redis_back(self, source: Path) -> None:
        """Redis, which does not run, will start with that copy."""
        shutil.rmtree(self.redis.folder / APPEND_ONLY)
        shutil.copytree(source, self.redis.folder / APPEND_ONLY)

    def keep_logs(self, folder: Path) -> None:
        """Copy what the processes said, for whoever looks for the reason of a failure."""
        folder.mkdir(parents=True, exist_ok=True)
        for process in (*(role for role in self.roles if role.starts), self.kafka, self.redis):
            shutil.copy(process.log_file, folder / f"{process.name}.log")

    def close(self) -> None:
        """Nothing of it runs any more, nothing of it is left."""
        self._stack.close()

    def _role(self, name: str, command: Sequence[str]) -> Role:
        role = Role(name, command, self.settings)
        self._stack.callback(role.close)
        return role
