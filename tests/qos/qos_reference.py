"""A plain simulator of continuous batching, token by token, to check the array version by.

One environment, Python objects, one iteration at a time, no fast-forward.
"""

from dataclasses import dataclass, field

from cqb_qos import Expert, System, Workload


@dataclass
class Request:
    number: int
    arrival: float
    prompt: int
    length: int
    emitted: int = 0
    first: float | None = None
    finish: float | None = None

    @property
    def tokens(self) -> int:
        return self.prompt + self.emitted


@dataclass
class PlainExpert:
    setting: Expert
    clock: float = 0.0
    busy: float = 0.0
    evictions: int = 0
    running: list[Request] = field(default_factory=list)
    waiting: list[Request] = field(default_factory=list)

    @property
    def used(self) -> int:
        return sum(r.tokens for r in self.running)

    def add(self, request: Request) -> None:
        if not self.running and not self.waiting:
            self.clock = max(self.clock, request.arrival)
        self.waiting.append(request)

    def advance(self, until: float) -> None:
        while self.clock < until and (self.running or self.waiting):
            admitted = self.admit()
            if admitted:
                tokens = sum(r.tokens for r in admitted)
                self.pass_time(self.setting.c0 + self.setting.k1 * tokens, admitted)
            else:
                while self.used + len(self.running) > self.setting.memory:
                    youngest = max(self.running, key=lambda r: r.number)
                    self.running.remove(youngest)
                    self.waiting = sorted([*self.waiting, youngest], key=lambda r: r.number)
                    self.evictions += 1
                self.pass_time(self.setting.c0 + self.setting.k2 * self.used, self.running)
            assert self.used <= self.setting.memory

    def admit(self) -> list[Request]:
        admitted: list[Request] = []
        while self.waiting and len(self.running) < self.setting.batch:
            head = self.waiting[0]
            if self.used + len(admitted) + head.tokens + 1 > self.setting.memory:
                break
            admitted.append(self.waiting.pop(0))
            self.running.append(head)
        return admitted

    def pass_time(self, seconds: float, emitting: list[Request]) -> None:
        """An iteration ends: each request of it has one more token."""
        self.clock += seconds
        self.busy += seconds
        for request in emitting:
            request.emitted += 1
            if request.first is None:
                request.first = self.clock
            if request.emitted == request.length:
                request.finish = self.clock
        self.running = [r for r in self.running if r.finish is None]


def reference(workload: Workload, system: System, actions: list[int]):
    """Serve with given actions; returns all requests (None where dropped) and the experts."""
    experts = [PlainExpert(setting) for setting in system.experts]
    requests: list[Request | None] = []
    for k, action in enumerate(actions):
        arrival = float(workload.arrivals[k])
        for expert in experts:
            expert.advance(arrival)
        if action == system.N:
            requests.append(None)
            continue
        length = int(workload.lengths[action, k])
        requests.append(Request(k, arrival, int(workload.prompts[k]), length))
        experts[action].add(requests[-1])
    for expert in experts:
        expert.advance(float("inf"))
    return requests, experts
