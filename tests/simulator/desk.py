"""The editorial desk: what it has out, what it does to that, and what it shows. Pure.

It knows no publisher, no server and no reader. Every action takes its own dice, so that a step of
a day does the same whatever is left out before it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

Picture = tuple[str, str, str, str]  # address, alt text, caption, credit

# A desk never has less out than this: fewer posts prove nothing by being gone.
FEWEST = 4


class Post(Struct, frozen=True, kw_only=True):
    """One post as the desk has it, without any publisher's quirks.

    key: the desk's own number ("p17"); a renderer derives native ids from it. items: a bulleted
    list after the paragraphs. Times are aware and whole minutes.
    """

    key: str
    title: str | None
    paragraphs: tuple[str, ...]
    items: tuple[str, ...] = ()
    labels: frozenset[str] = frozenset()
    author: str | None = None
    role: str | None = None
    published: datetime
    updated: datetime | None = None
    image: Picture | None = None


class Front(Struct, frozen=True, kw_only=True):
    """What the desk shows at one moment, newest first.

    posts: the window; total: how many are out; pinned: the key of the pinned post; modified: when
    the desk last did anything; salt: noise, which must change nothing; withdrawn: keys that were
    taken back, for publishers who say so.
    """

    title: str
    summary: str
    live: bool
    url: str
    posts: tuple[Post, ...]
    total: int
    pinned: str | None
    now: datetime
    modified: datetime
    salt: int
    withdrawn: tuple[str, ...] = ()


class Desk:
    """A desk with its posts. sticky: it moves the pinned post to the top of its page. alone: it
    publishes no two posts in one minute."""

    def __init__(
        self, url: str, now: datetime, dice: random.Random, *, sticky: bool, alone: bool = False
    ) -> None:
        self.url, self.sticky, self._alone = url, sticky, alone
        self.title, self.summary = sentence(dice, 5), sentence(dice, 9)
        self.live = True
        self.modified = now
        self.order: list[str] = []  # newest first
        self.posts: dict[str, Post] = {}
        self.wordings: dict[str, list[Post]] = {}
        self.withdrawn: dict[str, int] = {}  # and the place that it had
        self.pinned: str | None = None
        self.moved: set[str] = set()  # posts that stood elsewhere than at their place in time
        for age in range(dice.randint(FEWEST + 1, 14), 0, -1):
            self._file(dice, now - timedelta(minutes=7 * age + dice.randint(0, 6)), 0)

    def front(self, now: datetime) -> Front:
        """All that is out."""
        order = self.order
        if self.sticky and self.pinned in order:
            order = [self.pinned, *(key for key in order if key != self.pinned)]
        return Front(
            title=self.title,
            summary=self.summary,
            live=self.live,
            url=self.url,
            posts=tuple(self.posts[key] for key in order),
            total=len(order),
            pinned=self.pinned if self.pinned in order else None,
            now=now,
            modified=self.modified,
            salt=0,
            withdrawn=tuple(self.withdrawn),
        )

    def act(self, action: str, dice: random.Random, now: datetime) -> bool:
        """Do something of that kind. False when there is nothing to do it to."""
        done = ACTIONS[action](self, dice, now)
        if done:
            self.modified = now
        return done

    # --- what it does ---

    def publish(self, dice: random.Random, now: datetime) -> bool:
        """A new post: on top, or now and then one that came late, at its place in time."""
        late = dice.choice((0, 0, 0, 0, 1, 9))
        moment = now - timedelta(minutes=late)
        if self._is_taken(moment):
            return False
        newer = (n for n, key in enumerate(self.order) if self.posts[key].published <= moment)
        self._file(dice, moment, next(newer, len(self.order)) if late else 0)
        return True

    def edit(self, dice: random.Random, now: datetime) -> bool:
        post = self._any(dice)
        return self._say(dice.choice(EDITS)(post, dice), now)

    def correct(self, dice: random.Random, now: datetime) -> bool:
        post = edit_figure(self._any(dice), dice)
        note = f"CORRECTION: an earlier version said {dice.randint(10, 99)}."
        return self._say(replace(post, paragraphs=(*post.paragraphs, note)), now)

    def label(self, dice: random.Random, now: datetime) -> bool:
        """Marks need not count as a change of the post."""
        post = self._any(dice)
        labels = post.labels ^ {dice.choice(("breaking", "breaking", "key", "key", "summary"))}
        return self._say(replace(post, labels=labels), now if dice.random() < 0.5 else None)

    def revert(self, dice: random.Random, now: datetime) -> bool:
        """A post says again what it said before."""
        several = [key for key in self.order if len(self.wordings[key]) > 1]
        if not several:
            return False
        post = self.posts[dice.choice(several)]
        return self._say(replace(dice.choice(self.wordings[post.key]), updated=post.updated), now)

    def touch(self, dice: random.Random, now: datetime) -> bool:
        """A post is saved again as it was."""
        return self._say(self._any(dice), now)

    def withdraw(self, dice: random.Random, _now: datetime) -> bool:
        if len(self.order) <= FEWEST:
            return False
        key = self._any(dice).key
        self.withdrawn[key] = self.order.index(key)
        self.order.remove(key)
        return True

    def restore(self, dice: random.Random, now: datetime) -> bool:
        """A withdrawn post comes back where it was in time, now and then with other words."""
        if not self.withdrawn:
            return False
        key = dice.choice(list(self.withdrawn))
        del self.withdrawn[key]
        moment = self.posts[key].published
        older = (n for n, one in enumerate(self.order) if self.posts[one].published <= moment)
        self.order.insert(next(older, len(self.order)), key)
        if dice.random() < 0.3:
            self._say(edit_words(self.posts[key], dice), now)
        return True

    def pin(self, dice: random.Random, _now: datetime) -> bool:
        """Pin another post, or none."""
        before = self.pinned
        self.pinned = None if before and dice.random() < 0.5 else self._any(dice).key
        self.moved |= {key for key in (before, self.pinned) if key and self.sticky}
        return self.pinned != before

    def reorder(self, dice: random.Random, _now: datetime) -> bool:
        place = dice.randrange(len(self.order))
        key = self.order.pop(place)
        self.moved.add(key)
        self.order.insert(max(0, place + dice.choice((-2, -1, 1, 2))), key)
        return True

    def split(self, dice: random.Random, now: datetime) -> bool:
        """Half of a post becomes one of its own, right above it or on top."""
        several = [key for key in self.order if len(self.posts[key].paragraphs) > 1]
        if not several or self._is_taken(now):
            return False
        post = self.posts[dice.choice(several)]
        stays = dice.random() < 0.5 and not self._alone
        part = Post(
            key=self._key(),
            title=sentence(dice, dice.randint(4, 9)),
            paragraphs=post.paragraphs[1:],
            published=post.published if stays else minute(now),
        )
        self._put(part, self.order.index(post.key) if stays else 0)
        return self._say(replace(post, paragraphs=post.paragraphs[:1]), now)

    def headline(self, dice: random.Random, _now: datetime) -> bool:
        """The page itself is told anew."""
        if dice.random() < 0.5:
            self.title = sentence(dice, dice.randint(4, 9))
        else:
            self.summary = sentence(dice, dice.randint(6, 14))
        return True

    def end(self, _dice: random.Random, _now: datetime) -> bool:
        ended, self.live = not self.live, False
        return not ended

    # --- how it does it ---

    def _is_taken(self, moment: datetime) -> bool:
        times = (post.published for post in self.posts.values())
        return self._alone and minute(moment) in times

    def _key(self) -> str:
        return f"p{len(self.posts) + 1}"

    def _file(self, dice: random.Random, moment: datetime, place: int) -> None:
        self._put(new_post(self._key(), dice, minute(moment)), place)

    def _put(self, post: Post, place: int) -> None:
        self.posts[post.key] = post
        self.wordings[post.key] = [post]
        self.order.insert(place, post.key)

    def _any(self, dice: random.Random) -> Post:
        """A post that is out, rather one of the newest."""
        place = min(dice.randrange(len(self.order)), dice.randrange(len(self.order)))
        return self.posts[self.order[place]]

    def _say(self, post: Post, saved: datetime | None) -> bool:
        """saved: when the post was changed; None when that does not count as a change."""
        if saved is not None:
            later = max(minute(saved), post.published, post.updated or post.published)
            post = replace(post, updated=later if later > post.published else post.updated)
        before = self.posts[post.key]
        self.posts[post.key] = post
        self.wordings[post.key].append(post)
        return post != before


ACTIONS: dict[str, Callable[[Desk, random.Random, datetime], bool]] = {
    action.__name__: action
    for action in (
        Desk.publish,
        Desk.edit,
        Desk.correct,
        Desk.label,
        Desk.revert,
        Desk.touch,
        Desk.withdraw,
        Desk.restore,
        Desk.pin,
        Desk.reorder,
        Desk.split,
        Desk.headline,
        Desk.end,
    )
}


def minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


# --- words -----------------------------------------------------------------------------------

_VOCABULARY = (
    "police fire talks minister says not will killed injured court “justice” café naïve R&D 5<6"
    " isn't river bridge closed reopened Kyiv עברית 🚒 €40m 12% team goal second half storm"
    " warning lifted train driver vote count official denies confirms report witness smoke"
    ' hospital airport flights delayed "quoted" it’s – rain school children safe £2.50 Zürich'
)
_WORDS = _VOCABULARY.split()


def sentence(dice: random.Random, words: int) -> str:
    """Words that no other sentence has in that order."""
    chosen = [dice.choice(_WORDS) for _ in range(words)]
    chosen.insert(dice.randint(1, words), str(dice.randint(100, 99_999)))
    return f"The {' '.join(chosen)}."


def new_post(key: str, dice: random.Random, published: datetime) -> Post:
    author = dice.choice((None, None, "Ada O'Example", "Ben Müller"))
    return Post(
        key=key,
        title=sentence(dice, dice.randint(4, 9)).rstrip(".") if dice.random() < 0.9 else None,
        paragraphs=tuple(sentence(dice, dice.randint(9, 25)) for _ in range(dice.randint(1, 3))),
        items=tuple(sentence(dice, 5) for _ in range(dice.choice((0, 0, 0, 2, 3)))),
        labels=frozenset(
            name for name, odds in (("breaking", 6), ("key", 6), ("summary", 15))
            if dice.randrange(odds) == 0
        ),
        author=author,
        role="Chief reporter & editor" if author and dice.random() < 0.7 else None,
        published=published,
        image=new_image(key, dice) if dice.random() < 0.3 else None,
    )  # fmt: skip


def new_image(key: str, dice: random.Random) -> Picture:
    number = dice.randint(1000, 9999)
    return (
        f"https://img.example.org/{key}/{number}.jpg",
        f"Smoke over bridge {number}",
        sentence(dice, 5),
        "Agency/Pool",
    )


def edit_figure(post: Post, dice: random.Random) -> Post:
    words = [word if not word.isdigit() else str(int(word) + 1) for word in _first(post).split()]
    return _with_first(post, " ".join((*words[:-1], str(dice.randint(2, 9)), words[-1])))


def edit_words(post: Post, dice: random.Random) -> Post:
    words = _first(post).split()
    words[dice.randrange(len(words))] = f"{dice.choice(_WORDS)}-{dice.randint(2, 999)}"
    return _with_first(post, " ".join(words))


def edit_title(post: Post, dice: random.Random) -> Post:
    words = (post.title or "The new headline").split()
    words[dice.randrange(len(words))] = f"{dice.choice(_WORDS)}-{dice.randint(2, 999)}"
    return replace(post, title=" ".join(words))


def append(post: Post, dice: random.Random) -> Post:
    return replace(post, paragraphs=(*post.paragraphs, sentence(dice, 12)))


def rewrite(post: Post, dice: random.Random) -> Post:
    return replace(post, paragraphs=(sentence(dice, 18), sentence(dice, 14)))


def edit_items(post: Post, dice: random.Random) -> Post:
    return replace(post, items=(*post.items[1:], sentence(dice, 5)))


def edit_author(post: Post, dice: random.Random) -> Post:
    if post.author:
        return replace(post, author=None, role=None)
    return replace(post, author=f"Cy Sample {dice.choice('ABC')}", role="Correspondent")


def edit_image(post: Post, dice: random.Random) -> Post:
    if post.image is None or dice.random() < 0.3:
        return replace(post, image=new_image(post.key, dice))
    url, alt, _, credit = post.image
    return replace(post, image=(url, alt, sentence(dice, 5), credit))


EDITS = (
    edit_figure, edit_words, edit_words, edit_title, append, rewrite, edit_items, edit_author,
    edit_image,
)  # fmt: skip


def _first(post: Post) -> str:
    return post.paragraphs[0]


def _with_first(post: Post, words: str) -> Post:
    return replace(post, paragraphs=(words, *post.paragraphs[1:]))
