"""Only ``test_report.py`` is for every test run; the tool needs cosmic-ray."""

collect_ignore = ["__main__.py", "operators.py", "report.py", "runner.py"]
