"""Files of other tools: how the sample files were made is said in test_readers.py."""
