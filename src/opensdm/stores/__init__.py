"""Where state lives: one schema, SQLite or PostgreSQL, every write through the ledger."""
