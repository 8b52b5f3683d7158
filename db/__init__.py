"""Facts: tables, migrations, queue SQL and read queries. Imports nothing else of this project."""
