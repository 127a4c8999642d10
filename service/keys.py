"""Every Redis key that Stoppress uses, spelt once. Keys of one partition share its hash tag.

Everything that one script touches carries the same tag, so it touches one slot of a Redis Cluster.
"""

from __future__ import annotations

from msgspec import Struct


class Keys(Struct, frozen=True):
    """The keys of one partition."""

    prefix: str = "stoppress"
    partition: int = 0

    def _key(self, *parts: str) -> str:
        return ":".join((self.prefix, f"{{{self.partition}}}", *parts))

    @property
    def events(self) -> str:
        """Stream of entry and page events."""
        return self._key("events")

    @property
    def deployment(self) -> str:
        """String: names the data of this partition. It goes with it when that is lost."""
        return self._key("deployment")

    @property
    def alerts(self) -> str:
        """Stream of alert events."""
        return self._key("alerts")

    @property
    def dead(self) -> str:
        """Stream of what could not be delivered or read, with the reason."""
        return self._key("alerts", "dead")

    def queue(self, channel: str) -> str:
        """Sorted set: id of an alert to when it is due there, in ms by the server's clock."""
        return self._key("alerts", "queue", channel)

    def breaker(self, channel: str) -> str:
        """Hash: how often a channel failed in a row, and until when nothing is sent there."""
        return self._key("alerts", "breaker", channel)

    @property
    def canary_out(self) -> str:
        """String with a time to live: the last canary that came out of the alerts."""
        return self._key("canary", "out")

    @property
    def canary(self) -> str:
        """String with a time to live: there is a canary in the stream that is still young."""
        return self._key("canary")

    @property
    def pages(self) -> str:
        """Hash: page id to the JSON of a Page. What is followed."""
        return self._key("pages")

    def meta(self, page: str) -> str:
        """Hash: `version` and `meta` (the JSON of a PageMeta)."""
        return self._key("page", page, "meta")

    def entries(self, page: str) -> str:
        """Hash: entry id to the JSON of an EntryState."""
        return self._key("page", page, "entries")

    def history(self, page: str) -> str:
        """Stream: what entry events said, compressed; kept apart from the stream of all events."""
        return self._key("page", page, "history")

    def health(self, page: str) -> str:
        """String: the JSON of a Health, written after every poll."""
        return self._key("page", page, "health")

    def lease(self, page: str) -> str:
        """String with a time to live: the fencing token of the poller that owns the page."""
        return self._key("page", page, "lease")

    def fence(self, page: str) -> str:
        """Counter that fencing tokens are drawn from."""
        return self._key("page", page, "fence")

    @property
    def push_subscriptions(self) -> str:
        """Hash: id of a push subscription to its JSON."""
        return self._key("push", "subscriptions")

    @property
    def push_key(self) -> str:
        """String: the private key that pushes are signed with. Lost, all must subscribe anew."""
        return self._key("push", "key")

    def push_taken(self, alert: str) -> str:
        """Hash: id of a push subscription to the last event of an alert that was taken for it."""
        return self._key("push", "taken", alert)

    @property
    def rules(self) -> str:
        """Hash: name of a rule that was set over HTTP to the JSON of its RuleSettings."""
        return self._key("rules")

    def ledger(self, alert: str) -> str:
        """Hash: the state of an alert and of its delivery on every channel."""
        return self._key("alert", alert)

    def together(self, alert: str) -> str:
        """String: the JSON of a Group, of an alert that was raised about several entries."""
        return self._key("alert", alert, "together")

    @property
    def held_due(self) -> str:
        """Sorted set: names of places where alerts are held, by when they are due (ms)."""
        return self._key("alerts", "due")

    def held(self, place: str) -> str:
        """Hash: alerts that are held, by id, and what all of them have in common."""
        return self._key("alerts", "held", place)

    def closing(self, place: str) -> str:
        """Hash: as `held`, of a group that takes no more and is about to be raised."""
        return self._key("alerts", "closing", place)

    def rate(self, rule: str) -> str:
        """Sorted set: alerts by a rule that has a limit, by when they were raised (ms)."""
        return self._key("alerts", "rate", rule)
