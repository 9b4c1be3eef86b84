"""The original library's interface: an application's own tables, and beside them a table of diffs.

`interface` is what the application implements, and `rules` asks its rules. `log` recovers from the diffs what the merge
works on, `known` tells what it knows of a batch, `taken` turns into diffs what was taken, `told` answers with diffs of
the log, `tables` reads and writes, and `attempts` does all that in its order.
"""

from mobync_core.synchronizer.interface import FilterType, OperationType, ReadFilter, Synchronizer

__all__ = ["FilterType", "OperationType", "ReadFilter", "Synchronizer"]
