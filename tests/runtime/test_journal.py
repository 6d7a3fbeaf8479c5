from grads.runtime.journal import Journal

ENTRIES = [b"first", b"", b"third" * 50]


def test_entries_come_back_in_order(tmp_path):
    journal = Journal(tmp_path / "journal")
    assert list(journal) == []
    for entry in ENTRIES:
        journal.append(entry)
    assert list(journal) == list(Journal(tmp_path / "journal")) == ENTRIES


def test_a_kill_at_any_byte_loses_no_finished_entry_and_leaves_no_half(tmp_path):
    path = tmp_path / "journal"
    ends = [0]
    for entry in ENTRIES:
        Journal(path).append(entry)
        ends.append(path.stat().st_size)
    whole = path.read_bytes()
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        finished = sum(end <= size for end in ends) - 1
        journal = Journal(path)
        assert list(journal) == ENTRIES[:finished]
        # What follows is not hidden by what was torn.
        journal.append(b"next")
        assert list(Journal(path)) == [*ENTRIES[:finished], b"next"]


def test_an_entry_that_the_disk_changed_ends_the_journal(tmp_path):
    journal = Journal(tmp_path / "journal")
    for entry in ENTRIES:
        journal.append(entry)
    content = bytearray(journal.path.read_bytes())
    content[-1] ^= 1
    journal.path.write_bytes(content)
    assert list(Journal(journal.path)) == ENTRIES[:2]
