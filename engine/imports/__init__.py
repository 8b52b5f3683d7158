"""Result files of other tools, read into this product's records: labelled imported, and never given a verdict."""
