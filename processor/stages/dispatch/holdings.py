"""What a dispatch loop holds: its partitions, the starts under way, and the results that are not published yet."""

from collections.abc import Collection, Sequence
from itertools import chain

from processor.kafka.committed import Place
from processor.kafka.journal import Entry, decode, furthest
from processor.kafka.transactions import Commit
from processor.stages.dispatch.calls import Start
from processor.stages.dispatch.partition import SendPartition
from processor.stages.dispatch.settling import Done


class Holdings:
    """
    The state that a tick changes, and takes back where it comes to nothing.

    *in_flight*: started by this process and not settled, whether the partition is still ours or not.
    *done*: settled, to be published with the next tick. *orphans*: settled starts whose partition is away.
    *unbegun*: starts of a tick that may have been committed or not; nobody has called them while we stay the owner.
    """

    def __init__(self) -> None:
        """Hold nothing."""
        self.partitions: dict[Place, SendPartition] = {}
        self.in_flight: set[tuple[Place, int]] = set()
        self.done: list[Done] = []
        self._orphans: dict[tuple[Place, int], Done] = {}
        self._unbegun: dict[tuple[Place, int], Start] = {}
        self._acknowledged: dict[Place, Commit] = {}

    # -- partitions come and go ---------------------------------------------------------------------

    def begin(self, place: Place) -> None:
        """Take note that a partition is new: what was acknowledged of it was of a topic that was deleted since."""
        self._acknowledged.pop(place, None)

    def remembered(self, place: Place, entry: Entry) -> Entry:
        """
        Return *entry*, or more where Kafka acknowledged more to this process than it tells now.

        A broker without replicas that is stopped in order can lose the marker of an acknowledged transaction in
        `__consumer_offsets`, and abort its offsets after the restart (Apache Kafka 4.3.1, docs/architecture.md).
        """
        known = self._acknowledged.get(place)
        return entry if known is None else furthest(entry, decode(known.offset, known.metadata))

    def take(self, place: Place, part: SendPartition, entry: Entry) -> None:
        """Hold a partition; results, come or to come, of what another owner has settled meanwhile are dropped."""
        self.partitions[place] = part
        for key in [key for key in self._orphans if key[0] == place and key[1] not in entry.started]:
            del self._orphans[key]
        for key in [key for key in self._unbegun if key[0] == place and key[1] not in entry.started]:
            del self._unbegun[key]
        self.in_flight -= {key for key in self.in_flight if key[0] == place and key[1] not in entry.started}

    def let_go(self, places: Sequence[Place]) -> list[SendPartition]:
        """Hold these no more, and return them; results for them wait as orphans."""
        gone = set(places)
        for each in self.done:
            if each.place in gone:
                self._put_by(each)
        self.done = [each for each in self.done if each.place not in gone]
        return [part for place in places if (part := self.partitions.pop(place, None)) is not None]

    def never_begun(self, starts: Sequence[Start], ours: Collection[Place]) -> None:
        """
        Remember starts of a tick whose outcome is not known: they were not handed over to be called.

        Only of partitions that stayed *ours* all the while: another owner of the others may begin them.
        """
        mine = [start for start in starts if start.record.place in ours]
        self._unbegun |= {(start.record.place, start.record.offset): start for start in mine}

    def disown(self, places: Sequence[Place]) -> None:
        """Take note that another member may own *places*, and begin what we never did."""
        gone = set(places)
        self._unbegun = {key: start for key, start in self._unbegun.items() if key[0] not in gone}

    def take_unbegun(self, place: Place, offset: int) -> Start | None:
        """Return a start that nobody has begun, once."""
        return self._unbegun.pop((place, offset), None)

    # -- results ------------------------------------------------------------------------------------

    def owes(self, places: Collection[Place]) -> bool:
        """Tell whether starts of *places* are under way, or have results that are not published yet."""
        return any(place in places for place, _ in self.in_flight) or any(each.place in places for each in self.done)

    def owes_any(self) -> bool:
        """Tell the same of all partitions."""
        return bool(self.in_flight or self.done)

    def remembers(self, places: Collection[Place] | None) -> bool:
        """Tell whether anything waits for one of *places*, or for any partition at all, to come back."""
        return any(places is None or place in places for place, _ in chain(self._orphans, self._unbegun))

    def settle(self, done: Done) -> None:
        """Keep the result of a call, unless another owner has settled it meanwhile."""
        key = (done.place, done.offset)
        if key in self.in_flight:
            self.in_flight.discard(key)
            if done.place in self.partitions:
                self.done.append(done)
            else:
                self._put_by(done)

    def _put_by(self, done: Done) -> None:
        """
        Keep the result of a start while its partition is away.

        What was no start of ours is judged anew: a start that the journal shows when the partition is back is another
        owner's by then, and was perhaps called.
        """
        if done.is_of_start:
            self._orphans[done.place, done.offset] = done

    def adopts(self, place: Place, offset: int) -> bool:
        """Tell whether a start that has no result is ours: still under way, or ended while its partition was away."""
        if (place, offset) in self.in_flight:
            return True
        orphan = self._orphans.pop((place, offset), None)
        if orphan is not None:
            self.done.append(orphan)
        return orphan is not None

    def take_done(self) -> list[Done]:
        """Return what the next tick publishes."""
        done, self.done = self.done, []
        return [each for each in done if each.place in self.partitions]

    # -- a tick -------------------------------------------------------------------------------------

    def mark(self, done: Sequence[Done], starts: Sequence[Start]) -> set[Place]:
        """Write results and starts into the journals, and return the partitions whose commit that changes."""
        changed = {place for place, part in self.partitions.items() if part.dirty}
        for each in done:
            self.partitions[each.place].journal.finished.add(each.offset)
            changed.add(each.place)
        for start in starts:
            self.partitions[start.record.place].journal.started.add(start.record.offset)
            changed.add(start.record.place)
        return changed

    def commits(self, changed: set[Place]) -> dict[Place, Commit]:
        """Return the commits of the partitions whose metadata fits: one that does not would abort the whole tick."""
        commits = {}
        for place in changed:
            commit = self.partitions[place].commit()
            if commit is not None:
                commits[place] = commit
                self.partitions[place].dirty = False
        return commits

    def undo(self, changed: set[Place], done: Sequence[Done], starts: Sequence[Start]) -> None:
        """Take results and starts of a tick that came to nothing out of the journals; they go into the next one."""
        for each in done:
            if each.place in self.partitions:
                self.partitions[each.place].journal.finished.discard(each.offset)
                self.done.append(each)
            else:
                self._put_by(each)
        back: dict[Place, list[Start]] = {}
        for start in starts:
            back.setdefault(start.record.place, []).append(start)
        for place in changed & self.partitions.keys():
            part, given = self.partitions[place], back.get(place, [])
            part.journal.started.difference_update(start.record.offset for start in given)
            part.give_back(given)
            part.dirty = True

    def apply(self, commits: dict[Place, Commit]) -> None:
        """Forget what a committed tick has put below the marks."""
        self._acknowledged |= commits
        for place, commit in commits.items():
            part = self.partitions.get(place)
            if part is not None:
                part.journal.advance(commit.offset)

    def begun(self, starts: Sequence[Start]) -> list[Start]:
        """Return those of *starts* whose partition did not go away while the tick was committed: they are under way."""
        ours = [start for start in starts if start.record.place in self.partitions]
        self.in_flight.update((start.record.place, start.record.offset) for start in ours)
        return ours
