"""Splits: train, validation and test by connected groups over all domains of a study."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import astuple, replace

from grads.data.compared_words import WORDS_IN_A_ROW, word_count
from grads.data.records.record import Record
from grads.runtime.errors import GradsError
from grads.runtime.files import digest

Domains = Mapping[str, list[Record]]
Member = tuple[str, Record]  # domain and record


def split(
    domains: Domains, train: int | None, validation: int, test: int, seed: int
) -> tuple[dict[str, dict[str, list[Record]]], dict[str, dict[str, int]]]:
    """Divide every domain's records into test, validation and train without leaks within or between domains.

    Records with the same prompt, group or answer of eight words or more are connected, over all domains and through one
    another; connected records always go to the same split. Upper and lower case and white space do not count. Whole
    connected groups go to test, in a seeded order, as long as they fit into what every domain still needs; where that
    leaves a domain short, the group that brings the sizes nearest to those asked. Then to validation; the first
    `train` records of the rest, in a seeded order, are training data. A record that several domains share (see
    `assign_shared`) belongs to one of them. The order of records and domains changes nothing.

    Returns:
        domain -> split -> records in seeded order, each of a group of several named by it (`connected`); and domain ->
        counts of `given`, `duplicate`, `shared` (left to another domain), `groups`, `largest_group`, `train`,
        `validation`, `test`, `unused`.

    Raises:
        GradsError: a domain has too few records for the numbers asked, or so few groups that a split stays empty.
    """
    owned, counts = assign_shared(domains)
    groups = [_named(group) for group in _ordered_groups(domains, owned, seed)]
    in_test, rest_groups = _take(groups, owned, test)
    in_validation, rest_groups = _take(rest_groups, owned, validation)
    parts = {}
    for name in owned:
        rest = _ordered((record for group in rest_groups for domain, record in group if domain == name), seed)
        parts[name] = {
            "train": rest[:train],
            "validation": _ordered(in_validation[name], seed),
            "test": _ordered(in_test[name], seed),
        }
        of_domain = [group for group in groups if any(domain == name for domain, _ in group)]
        counts[name] |= {"groups": len(of_domain), "largest_group": max(map(len, of_domain), default=0)}
        counts[name] |= {part: len(records) for part, records in parts[name].items()}
        counts[name]["unused"] = len(rest[train:]) if train is not None else 0
        _check(name, {"test": test, "validation": validation, "train": train or 1}, counts[name])
    return parts, counts


def assign_shared(domains: Domains) -> tuple[dict[str, list[Record]], dict[str, dict[str, int]]]:
    """Give each record to one domain, and drop repeated ones.

    Records of two domains are the same when their ids are, or when they name one source and have both group and answer
    in common: a glossary asks for the same sense in the words of each domain. The domain with fewer records keeps it,
    the first by name of equally small ones.
    """
    # Of records with one id, which may differ in source and group, the same one is kept whatever their order.
    unique = {name: {r.id: r for r in sorted(domains[name], key=astuple, reverse=True)} for name in domains}
    order = sorted(unique, key=lambda name: (len(unique[name]), name))
    owner: dict[tuple[str, ...], str] = {}
    owned: dict[str, list[Record]] = {}
    for name in order:
        for record in unique[name].values():
            for key in _identities(record):
                owner.setdefault(key, name)
    for name in sorted(unique):
        records = sorted(unique[name].values(), key=lambda record: record.id)
        owned[name] = [record for record in records if all(owner[key] == name for key in _identities(record))]
    counts = {
        name: {
            "given": len(domains[name]),
            "duplicate": len(domains[name]) - len(unique[name]),
            "shared": len(unique[name]) - len(owned[name]),
        }
        for name in owned
    }
    return owned, counts


def _identities(record: Record) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [("id", record.id)]
    # Groups of two sources may be called alike, as those that are numbers are.
    if record.source and record.group:
        found.append(("sense", record.source, record.group, _plain(record.output)))
    return found


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _links(record: Record) -> list[tuple[str, str]]:
    # How a conversation begins, and all its answers: last words such as 'go on' and 'you are welcome' say nothing.
    earlier = [turn.content for turn in record.turns if turn.role == "assistant"]
    answers = ["\n".join([*earlier, record.output]), *record.references]
    links = [("prompt", _plain(record.opening))]
    # Short answers are alike by chance: a label, a number or a name connects nothing.
    links += [("answer", _plain(answer)) for answer in answers if word_count(answer) >= WORDS_IN_A_ROW]
    return [*links, ("group", record.group)] if record.group else links


def connected_groups(domains: Domains) -> list[list[Member]]:
    """Return the groups of records connected by equal prompts, groups or long answers, directly or through others."""
    members = [(name, record) for name in sorted(domains) for record in domains[name]]
    parent = list(range(len(members)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[tuple[str, str], int] = {}
    for index, (_, record) in enumerate(members):
        for link in _links(record):
            parent[root(index)] = root(first.setdefault(link, index))
    groups: dict[int, list[Member]] = {}
    for index, member in enumerate(members):
        groups.setdefault(root(index), []).append(member)
    return list(groups.values())


def _ordered_groups(domains: Domains, owned: Domains, seed: int) -> list[list[Member]]:
    kept = {(name, record) for name in owned for record in owned[name]}
    # Connected before anything is dropped: a dropped record may be what connects two others.
    connected = ([member for member in dict.fromkeys(group) if member in kept] for group in connected_groups(domains))
    # A group is ordered by its smallest id, so that it keeps its place whatever else the study holds.
    return sorted(filter(None, connected), key=lambda group: digest([seed, "group", min(r.id for _, r in group)]))


def _named(group: list[Member]) -> list[Member]:
    """Return a group of several records with its name, the smallest of their ids, in each."""
    if len(group) == 1:
        return group
    name = min(record.id for _, record in group)
    return [(domain, replace(record, connected=name)) for domain, record in group]


def _take(
    groups: list[list[Member]], names: Iterable[str], wanted: int
) -> tuple[dict[str, list[Record]], list[list[Member]]]:
    """Take groups in their order while they fit into `wanted` records of each domain; return them and the others.

    A domain that stays short gets one more group, too large to fit, where that brings the sizes nearer to what is
    wanted, or where the domain has none at all.
    """
    taken: dict[str, list[Record]] = {name: [] for name in names}
    left = []
    for group in groups:
        if all(len(taken[name]) + count <= wanted for name, count in _sizes(group).items()):
            _add(group, taken)
        else:
            left.append(group)
    for name in sorted(taken):
        while len(taken[name]) < wanted and (nearest := _nearest(name, left, taken, wanted)):
            left.remove(nearest)
            _add(nearest, taken)
    return taken, left


def _nearest(
    name: str, groups: list[list[Member]], taken: Mapping[str, list[Record]], wanted: int
) -> list[Member] | None:
    """Return the group with records of the domain that brings all sizes nearest to those wanted, if one helps.

    The last group of a domain stays for training.
    """

    def gain(group: list[Member]) -> int:
        """By how many records all domains together come nearer to what is wanted."""
        sizes = {domain: len(taken[domain]) for domain in _sizes(group)}
        before = sum(abs(wanted - size) for size in sizes.values())
        return before - sum(abs(wanted - sizes[domain] - count) for domain, count in _sizes(group).items())

    candidates = [group for group in groups if name in _sizes(group)]
    if len(candidates) < 2:
        return None
    best = max(candidates, key=gain)
    return best if gain(best) > 0 or not taken[name] else None


def _sizes(group: list[Member]) -> Counter[str]:
    return Counter(name for name, _ in group)


def _add(group: list[Member], taken: Mapping[str, list[Record]]) -> None:
    for name, record in group:
        taken[name].append(record)


def _ordered(records: Iterable[Record], seed: int) -> list[Record]:
    return sorted(records, key=lambda record: digest([seed, "record", record.id]))


def _check(name: str, asked: dict[str, int], counts: dict[str, int]) -> None:
    """Refuse a domain that has not the records asked, or a split of which is empty: by groups alone, others differ."""
    usable = counts["given"] - counts["duplicate"] - counts["shared"]
    enough = usable >= sum(asked.values())
    for part, wanted in asked.items():
        if counts[part] < wanted and not (enough and counts[part]):
            raise GradsError(
                f"splits: {part} of domain '{name}' got {counts[part]} of the {wanted} records asked, from {usable} "
                f"usable ones in {counts['groups']} groups of equal prompt, answer or source, the largest of "
                f"{counts['largest_group']}: ask for fewer in 'splits', or give more data"
            )
