"""The commands of the command line, one file for each kind of question. engine/cli.py loads them all."""
