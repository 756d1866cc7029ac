"""Where a tensor has time and images (`layout.py`), found in `layout_search.py` by what `layout_probe.py` sees."""
