"""Scenes: what one client request turns into, from one event to a long conversation."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

from demo import failures, habits, pool
from demo.attempts import Attempt, Attempts
from demo.habits import Habit
from demo.models import spread
from demo.quota import Quotas

LONGEST_CONVERSATION = 16
MOST_ROUNDS = 5
# A used-up account is asked again now and then, when its rest is over too early.
ASKED_ANYWAY = 0.05

Scene = Callable[[float], Iterator[Attempt]]


class Stage:
    """Plays scenes, all of one random sequence."""

    def __init__(self, rng: Random, quotas: Quotas, attempts: Attempts) -> None:
        self._rng = rng
        self._quotas = quotas
        self._attempts = attempts
        self._scenes = _deck(
            (940, self._ordinary),
            (20, self._failing),
            (16, self._conversation),
            (9, self._picture),
            (3, self._refused_here),
            (1, self._nobody_home),
            (2, self._foreign_headers),
        )

    def play(self, moment: float) -> Iterator[Attempt]:
        """Play a scene that begins then, unix seconds."""
        return self._rng.choice(self._scenes)(moment)

    def _ordinary(self, moment: float) -> Iterator[Attempt]:
        habit = self._rng.choice(habits.HABITS)
        call = self._attempts.call(habit)
        account = self._rng.choice(habit.accounts)
        resets_at = self._quotas.exhausted_until(account, moment)
        if resets_at and self._rng.random() < ASKED_ANYWAY:
            limit = failures.usage_limit(account, resets_at=resets_at, at=moment)
            tried = self._attempts.failure(call, account, at=moment, failure=limit)
            yield tried
            moment = tried.ended_at
        free = self._other(habit, account, at=moment) if resets_at else account
        if free is not None:
            yield self._attempts.success(call, free, at=moment)

    def _other(self, habit: Habit, account: pool.Account, *, at: float) -> pool.Account | None:
        free = [
            other
            for other in dict.fromkeys(habit.accounts)
            if other is not account and not self._quotas.exhausted_until(other, at)
        ]
        return self._rng.choice(free) if free else None

    def _failing(self, moment: float) -> Iterator[Attempt]:
        habit = self._rng.choice(habits.HABITS)
        call = self._attempts.call(habit)
        account = self._rng.choice(habit.accounts)
        failure = self._rng.choice(failures.BY_PROVIDER[account.provider])
        tried = self._attempts.failure(call, account, at=moment, failure=failure)
        yield tried
        other = self._other(habit, account, at=moment) if failure.elsewhere else None
        if other is not None:
            yield self._attempts.success(call, other, at=tried.ended_at)

    def _conversation(self, moment: float) -> Iterator[Attempt]:
        endpoint, agent = habits.WEBSOCKET
        call = replace(self._attempts.call(habits.CODING), endpoint=endpoint, agent=agent)
        account = self._rng.choice((pool.ALICE, pool.BOB, pool.BOB))
        if self._quotas.exhausted_until(account, moment):
            return
        for number in range(self._rng.randrange(2, LONGEST_CONVERSATION)):
            turn = self._attempts.turn(call, account, at=moment, number=number)
            yield turn
            moment = turn.ended_at + spread(self._rng, 4, 0.8)

    def _picture(self, moment: float) -> Iterator[Attempt]:
        call = self._attempts.call(habits.CODING)
        asked = self._attempts.success(call, pool.ALICE_TEAM, at=moment)
        yield asked
        yield self._attempts.image(call, pool.ALICE_TEAM, beside=asked)

    def _refused_here(self, moment: float) -> Iterator[Attempt]:
        call = replace(self._attempts.call(habits.SMALL), effort="minimal")
        account = self._rng.choice(habits.SMALL.accounts)
        yield self._attempts.failure(call, account, at=moment, failure=failures.NO_SUCH_EFFORT)

    def _nobody_home(self, moment: float) -> Iterator[Attempt]:
        call = self._attempts.call(habits.HARD)
        for _ in range(self._rng.randrange(2, MOST_ROUNDS)):
            account = self._rng.choice(habits.HARD.accounts)
            tried = self._attempts.failure(call, account, at=moment, failure=failures.BUSY)
            yield tried
            moment = tried.ended_at

    def _foreign_headers(self, moment: float) -> Iterator[Attempt]:
        resets_at = self._quotas.exhausted_until(pool.DAVE, moment)
        if not resets_at:
            return
        call = self._attempts.call(habits.CODING)
        limit = failures.usage_limit(pool.DAVE, resets_at=resets_at, at=moment)
        tried = self._attempts.failure(call, pool.DAVE, at=moment, failure=limit)
        yield tried
        gone = self._attempts.failure(
            call, pool.ALICE, at=tried.ended_at, failure=failures.CANCELLED_UPSTREAM
        )
        # One holder of headers serves all attempts: this one shows those of the account before.
        gone.payload.response_headers = tried.payload.response_headers
        yield gone


def _deck(*cards: tuple[int, Scene]) -> tuple[Scene, ...]:
    return tuple(scene for number, scene in cards for _ in range(number))
