"""The other side: the best code for the same work with plain aiohttp (or sqlite3, or json)."""
