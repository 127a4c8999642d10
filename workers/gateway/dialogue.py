"""What a subscriber may say over a socket, and what follows: message in, action out. Pure."""

from __future__ import annotations

from msgspec import Struct

from service.errors import SubscriberError
from workers.gateway.protocol import (
    BAD_CLIENT,
    Close,
    Error,
    Message,
    Ping,
    Pong,
    Subscribe,
    Unsubscribe,
    Unsubscribed,
    heard,
)
from workers.gateway.subscription import Subscription, Wanted, subscription

MISUNDERSTANDINGS = 20  # so many senseless messages end a connection
MAX_SUBSCRIPTIONS = 20
FIRST = "address"  # the subscription that the address of the connection asks for


class Say(Struct, frozen=True):
    """Answer with this."""

    message: Message


class Widen(Struct, frozen=True):
    """Show the state of what this subscription wants, and from there on its events."""

    id: str
    subscription: Subscription


class Narrow(Struct, frozen=True):
    """What is wanted is less now."""

    answer: Message


class HangUp(Struct, frozen=True):
    """End the connection."""

    why: Close


Action = Say | Widen | Narrow | HangUp


class Allowance:
    """Lets so many pass in a minute: as many at once, and then as they come back (token bucket)."""

    __slots__ = ("_at_s", "_left", "_per_minute")

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._left, self._at_s = float(per_minute), float("inf")

    def take(self, now_s: float) -> bool:
        """One more: may it pass? now_s: seconds by any clock that only goes forward."""
        regained = max(0.0, now_s - self._at_s) * self._per_minute / 60
        self._left, self._at_s = min(self._per_minute, self._left + regained), now_s
        self._left -= 1
        return self._left >= 0


class Dialogue:
    """One connection. wanted: what its subscriptions want; those that wait for their state don't
    count yet.
    """

    __slots__ = ("_misunderstood", "_subscriptions", "_waiting", "_within")

    def __init__(self, first: Subscription) -> None:
        self._subscriptions: dict[str, Subscription] = {FIRST: first}
        self._within = first.within
        self._waiting: dict[str, Subscription] = {}
        self._misunderstood = 0

    @property
    def wanted(self) -> Wanted:
        """What all subscriptions want together."""
        return Wanted(frozenset(self._subscriptions.values()))

    def hear(self, payload: str | bytes) -> Action:
        """What to do about a message."""
        try:
            said = heard(payload)
            if isinstance(said, Ping):
                return Say(Pong())
            return self._subscribe(said) if isinstance(said, Subscribe) else self._unsubscribe(said)
        except SubscriberError as error:
            self._misunderstood += 1
            if self._misunderstood >= MISUNDERSTANDINGS:
                return HangUp(BAD_CLIENT)
            return Say(Error(error.code, str(error)))

    def shown(self, name: str) -> bool:
        """The state that a subscription begins with was sent. False if it was taken back before."""
        found = self._waiting.pop(name, None)
        if found is not None:
            self._subscriptions[name] = found
        return found is not None

    def _subscribe(self, said: Subscribe) -> Widen:
        if said.id in self._subscriptions or said.id in self._waiting:
            raise SubscriberError(
                "subscription.exists",
                f"there is a subscription {said.id!r}",
                fix="unsubscribe first, or choose another id",
            )
        if len(self._subscriptions) + len(self._waiting) >= MAX_SUBSCRIPTIONS:
            raise SubscriberError(
                "subscription.too_many",
                f"there are {MAX_SUBSCRIPTIONS} subscriptions",
                fix="unsubscribe from one, or put several values into one filter",
            )
        wanted = subscription(said.filter, self._within)
        self._waiting[said.id] = wanted
        return Widen(said.id, wanted)

    def _unsubscribe(self, said: Unsubscribe) -> Narrow:
        if said.id not in self._subscriptions and said.id not in self._waiting:
            raise SubscriberError("subscription.unknown", f"no subscription {said.id!r}")
        self._waiting.pop(said.id, None)
        self._subscriptions.pop(said.id, None)
        return Narrow(Unsubscribed(said.id))
